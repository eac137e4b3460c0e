"""Modules of users that a text names: imported where the user wrote it, else with trust alone."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

_FILE = re.compile(r"(?:\./)?((?:\w+/)*\w+)\.py:(\w+)")
_OWN = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")


def own_name(text: str) -> tuple[str, str] | None:
    """Return module and name of ``package.module:name``; None where a text is of another form.

    Example:
        >>> own_name("my.nets:small"), own_name("resnet20")
        (('my.nets', 'small'), None)
    """
    found = _OWN.fullmatch(text)
    return (found[1], found[2]) if found else None


def as_module(text: str) -> str:
    """Return what a path with a name behind it is as a module; empty for other texts.

    Example:
        >>> as_module("./nets/small.py:build"), as_module("small.py:build"), as_module("resnet20")
        ('nets.small:build', 'small:build', '')
    """
    found = _FILE.match(text)
    return f"{found[1].replace('/', '.')}:{found[2]}" if found else ""


def own_module(
    what: str, module: str, *, expected: str, file: Path | None = None, trust: bool = False
) -> ModuleType:
    """Return a module of the user's, from the folder that we are in or an installed package.

    Args:
        what: what names it, for messages: ``model my.nets:small``.
        module: its name.
        expected: what else could be named, for messages.
        file: where it is named, if the user did not write it here and now. Then it has to be
            imported already: importing runs its code.
        trust: import what ``file`` names.

    Raises:
        ValueError: it may not be imported, is not there, or fails while it is imported.
    """
    if file is None or trust:
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)
    elif module not in sys.modules and module.partition(".")[0] != "mixwright":
        raise ValueError(
            f"{what}: {file} names the module {module}, which is not imported: that would run its "
            f"code, and a file may come from anywhere. Expected {expected}, or a module that is "
            f"imported already. In Python import {module} first; or, if you trust it, give "
            "trust=True, on the command line --trust."
        )
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise _cannot_import(what, module, error) from error  # it needs one that is missing
        if module.endswith(".py"):
            raise ValueError(
                f"{what}: {module} is the name of a file; expected that of the module, which is "
                f"written {module.removesuffix('.py')}."
            ) from None
        raise ValueError(
            f"{what}: there is no module {module} here or among the installed packages. Run from "
            "the folder that holds it, or install it."
        ) from None
    except (Exception, SystemExit) as error:  # a module of the user's can fail in any way
        raise _cannot_import(what, module, error) from error


def _cannot_import(what: str, module: str, error: BaseException) -> ValueError:
    from mixwright.checkpoint import first_line  # its torch is not wanted to read names

    return ValueError(
        f"{what}: module {module} cannot be imported ({type(error).__name__}: "
        f"{first_line(error)}). Fix it; python -c 'import {module}' shows the place."
    )
