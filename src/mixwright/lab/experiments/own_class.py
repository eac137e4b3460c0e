"""Classes of users in a METHOD: ``package.module:Class``."""

from pathlib import Path

from mixwright.arguments import did_you_mean
from mixwright.lab.settings.own_code import own_module


def own_class(module: str, name: str, file: Path | None, trust: bool) -> tuple[type, bool]:
    """Return a class of the user's, and whether it is an objective; else it is a mixer.

    ``file`` and ``trust`` are those of ``parse_method``.

    Raises:
        ValueError: the module may not or cannot be imported, or has no such class.
    """
    from mixwright.objectives.objective import Objective

    found = own_module(
        f'method "{module}:{name}"', module, expected="a method of ours", file=file, trust=trust
    )
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
