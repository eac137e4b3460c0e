"""Data sets of images with class labels, and the batches that training draws from them."""

from mixwright import _exports

_HOMES = _exports.homes(__name__)
__getattr__ = _exports.getter(__name__, _HOMES)
__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return __all__
