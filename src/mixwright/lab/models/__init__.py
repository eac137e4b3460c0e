"""Networks for small images, and the way to all of timm's; a leaf that imports no other room."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixwright.lab.models.build import build_model as build_model
    from mixwright.lab.models.names import MODELS as MODELS
    from mixwright.lab.models.names import ModelError as ModelError
    from mixwright.lab.models.normalised import Normalised as Normalised

_HOMES = {
    "MODELS": "names",
    "ModelError": "names",
    "Normalised": "normalised",
    "build_model": "build",
}
__all__ = [*_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that the names can be listed without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
