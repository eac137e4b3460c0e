"""Public names of a package, read from the stub beside its ``__init__`` and imported on first use.

The stub has one import a line, ``from MODULE import NAME as NAME``, and is what type checkers read
in place of the package (PEP 562, PEP 484). So each name is listed once, and a package can be
imported, as the command line does to parse its arguments, without torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def homes(file: str) -> dict[str, str]:
    """Return the module of each public name of the package whose ``__file__`` this is."""
    with open(f"{os.path.splitext(file)[0]}.pyi", encoding="utf-8") as stub:
        text = stub.read().replace("(\n    ", "").replace(",\n", "\n")  # long lines are broken
    imports = [line.split() for line in text.splitlines() if line.startswith("from ")]
    return {words[-1]: words[1] for words in imports}


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
