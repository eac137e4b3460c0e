"""The map that a layer gives for images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mixwright.taps import as_input, as_map, bare, classifier, evaluating, last_map, tapping


def feature_map(
    model: nn.Module, images: Tensor, layer: str | None, *, pooled: bool = True
) -> tuple[str, Tensor]:
    """Run images through a network in evaluation mode, without gradients, and keep a map.

    Args:
        model: the network, wrapped or not; its modes and statistics stay as they are. It runs in
            the precision of the surrounding autocast.
        images: ``(B, C, H, W)``; not written, also where the network writes into its input.
        layer: name of the layer, or None for the last map.
        pooled: see ``last_map``.

    Returns:
        The layer's name, and its map ``(B, C, h, w)`` float32.

    Raises:
        ValueError: the layer is unknown, was not run, or gives neither map nor tokens.
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
