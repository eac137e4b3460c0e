"""Networks for small images, and the way to all of timm's; a leaf that imports no other room."""

from mixwright import _exports

_HOMES = _exports.homes(__name__)
__getattr__ = _exports.getter(__name__, _HOMES)
__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]
