"""Training: from a recipe to a folder of records and checkpoints."""

from mixwright import _exports

_HOMES = _exports.homes(__name__)
__getattr__ = _exports.getter(__name__, _HOMES)
__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]
