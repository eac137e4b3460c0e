"""How mixers meet the loops that people have."""

from mixwright import _exports

# Lazily, so that mixwright.adapters.torchvision is there without its library being imported.
_HOMES = _exports.homes(__name__)
__getattr__ = _exports.getter(__name__, _HOMES)
__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]
