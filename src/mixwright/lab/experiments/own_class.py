"""Classes of users in a METHOD: ``package.module:Class``."""

import importlib
import sys
from pathlib import Path

from mixwright.arguments import did_you_mean


def own_class(module: str, name: str, file: Path | None, trust: bool) -> tuple[type, bool]:
    """Return a class of the user's, and whether it is an objective; else it is a mixer.

    ``file`` and ``trust`` are those of ``parse_method``.

    Raises:
        ValueError: the module may not or cannot be imported, or has no such class.
    """
    from mixwright.objectives.objective import Objective

    if file is None or trust:
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)
    elif module not in sys.modules and module.partition(".")[0] != "mixwright":
        raise ValueError(
            f'method "{module}:{name}": {file} names the module {module}, which is not imported: '
            "that would run its code, and a file may come from anywhere. Expected a method of "
            f"ours, or a module that is imported already. In Python import {module} first; or, if "
            "you trust it, give trust=True, on the command line --trust."
        )
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise _cannot_import(module, name, error) from error  # it needs one that is missing
        raise ValueError(
            f'method "{module}:{name}": there is no module {module} here or among the installed '
            "packages. Run from the folder that holds it, or install it."
        ) from None
    except Exception as error:  # a module of the user's can fail in any way
        raise _cannot_import(module, name, error) from error
    cls = getattr(found, name, None)
    if not isinstance(cls, type):
        known = [key for key, value in vars(found).items() if isinstance(value, type)]
        raise ValueError(
            f'method "{module}:{name}": module {module} has no class {name}.'
            f"{did_you_mean(name, known)}"
        )
    if issubclass(cls, Objective):
        return cls, True
    if not callable(getattr(cls, "plan", None)):
        raise ValueError(
            f'method "{module}:{name}": {name} has no method plan(images, labels, *, generator, '
            "model); a mixer needs one."
        )
    return cls, False


def _cannot_import(module: str, name: str, error: Exception) -> ValueError:
    return ValueError(
        f'method "{module}:{name}": module {module} cannot be imported '
        f"({type(error).__name__}: {error}). Fix it; python -c 'import {module}' shows the place."
    )
