"""Mixed-sample data augmentation for PyTorch: every method under one interface.

    import mixwright as mw

    mix = mw.Mix(mw.CutMix(), num_classes=10)
    images, targets = mix(images, labels)

``mw.MIXERS`` and ``mw.OBJECTIVES`` list the methods by short name.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from mixwright import _moved

__version__ = "0.1.0"

_moved.install()


def _homes() -> dict[str, str]:
    """Return the module of each public name, as the stub beside this file imports it."""
    with open(os.path.join(os.path.dirname(__file__), "__init__.pyi"), encoding="utf-8") as stub:
        imports = [line.split() for line in stub if line.startswith("from ")]
    return {words[-1]: words[1] for words in imports}  # from MODULE import NAME as NAME


# The command line parses its arguments without torch, so nothing is imported before it is asked
# for (PEP 562).
_HOMES = _homes()
__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mixwright' has no attribute {name!r}")
    home = _HOMES[name]
    room = home == __name__  # a room of ours, such as adapters, which is no name in a module
    value = import_module(f"{home}.{name}") if room else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
