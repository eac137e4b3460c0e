"""Mixed-sample data augmentation for PyTorch: every method under one interface.

    import mixwright as mw

    mix = mw.Mix(mw.CutMix(), num_classes=10)
    images, targets = mix(images, labels)

``mw.MIXERS`` and ``mw.OBJECTIVES`` list the methods by short name.
"""

from __future__ import annotations

from mixwright import _exports, _moved

__version__ = "0.2.0"

_moved.install()

# The command line parses without torch, so nothing is imported before it is asked for.
_HOMES = _exports.homes(__name__)
__getattr__ = _exports.getter(__name__, _HOMES)
__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
