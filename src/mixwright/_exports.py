"""Public names of a package, read from the stub beside its ``__init__`` and imported on first use.

The stub has one import a line, ``from MODULE import NAME as NAME``, and is what type checkers read
in place of the package (PEP 562, PEP 484). So each name is listed once, and a package can be
imported, as the command line does to parse its arguments, without torch.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False  # typing itself would take half the time of import mixwright
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def homes(package: str) -> dict[str, str]:
    """Return the module of each public name of a package that is being imported."""
    spec: Any = sys.modules[package].__spec__
    stub = f"{os.path.splitext(spec.origin)[0]}.pyi"
    text = spec.loader.get_data(stub).decode()  # by the loader: a package may lie in a zip file
    found: dict[str, str] = {}
    for statement in f"\n{text}".split("\nfrom ")[1:]:
        module, _, names = statement.partition(" import ")
        # One line, or, where that would be too long, what stands in parentheses.
        names = names[1 : names.index(")")] if names.startswith("(") else names.partition("\n")[0]
        found |= {name.split()[-1]: module for name in names.split(",") if name.strip()}
    return found


def getter(package: str, homes: dict[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package, which imports a public name and keeps it."""

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        room = home == package  # a room of ours, such as adapters, which is no name in a module
        value = import_module(f"{home}.{name}") if room else getattr(import_module(home), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
