"""Optional libraries: there, new enough, and none of the releases that are refused."""

from __future__ import annotations

import re
from importlib import import_module, metadata
from types import ModuleType


def require(name: str, minimum: str, extra: str, *, excluded: tuple[str, ...] = ()) -> ModuleType:
    """Import an optional library, or say which version of it is needed.

    Its version is read before anything of it runs, since a release may be excluded because it does
    harm when it is imported.

    Args:
        name: of the library, as it is imported and installed, such as ``"torchvision"``.
        minimum: the oldest release that serves, such as ``"0.21"``.
        extra: of mixwright, that installs it.
        excluded: releases that are refused although they are new enough.

    Returns:
        The library.

    Raises:
        ImportError: it is missing, too old, excluded, or does not import.

    Example:
        >>> require("torch", "2.6", "lab").__name__
        'torch'
    """
    needs = f"mixwright needs {name} {minimum} or newer"
    if excluded:
        needs += f", but not {' or '.join(excluded)}"
    install = f"pip install --upgrade 'mixwright[{extra}]'"

    def check(version: str) -> None:
        if _release(version) < _release(minimum) or _release(version) in map(_release, excluded):
            raise ImportError(f"{needs}; {version} is installed: {install}", name=name)

    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:  # built in place, or not there
        installed = None
    else:
        check(installed)
    try:
        library = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # it is there, and something that it needs is not
            raise
        raise ImportError(f"{needs}; it is not installed: {install}", name=name) from None
    except Exception as error:  # built for another torch, for example
        raise ImportError(
            f"{needs}; {installed or 'one'} is installed and does not import "
            f"({type(error).__name__}: {error}): {install}",
            name=name,
        ) from error
    check(str(getattr(library, "__version__", minimum)))  # the one that was found first
    return library


def _release(version: str) -> tuple[int, ...]:
    """Read the numbers of a release, ``2.6.0+cpu`` as (2, 6); a build before one counts as it."""
    found = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in found.group().split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
