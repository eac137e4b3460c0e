"""The map that a layer gives for images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mixwright.taps import as_input, as_map, bare, classifier, evaluating, last_map, tapping


def feature_map(
    model: nn.Module, images: Tensor, layer: str | None, *, pooled: bool = True
) -> tuple[str, Tensor]:
    """Return the name of a layer, None for the last map, and its map ``(B, C, h, w)`` float32.

    Images are not written; evaluation mode, no gradients, the surrounding autocast's precision. For
    ``pooled`` see ``last_map``.
    """
    inner = bare(model)
    name = last_map(inner, images, pooled=pooled) if layer is None else layer
    with torch.no_grad(), evaluating(inner), tapping(inner, name) as tap:
        inner(as_input(images).clone())
    return name, as_map(tap.value, _width(inner, images), size=images.shape[2:]).float()


def _width(model: nn.Module, images: Tensor) -> int | None:
    """Return the number of features that the last Linear takes, None where there is no Linear."""
    if any(isinstance(module, nn.Linear) for module in model.modules()):
        return classifier(model, images).in_features
    return None
