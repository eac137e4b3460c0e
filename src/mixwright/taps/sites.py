"""What a model is made for: the layer that a mask network reads, the side of images and patches."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn

from mixwright.taps.attention import prefix_tokens
from mixwright.taps.hooks import tapping
from mixwright.taps.layers import as_map, stages
from mixwright.taps.modes import bare, class_name, evaluating

_SIDES = (32, 64, 96, 224)


def map_of(model: nn.Module, features: Tensor, images: Tensor) -> Tensor:
    """Bring what a layer gave for images to a map ``(B, C, h, w)``; see ``as_map``."""
    prefix = prefix_tokens(model, features.shape[1]) if features.ndim == 3 else None
    return as_map(features, prefix=prefix, size=images.shape[2:])


@torch.no_grad()
def mask_stage(model: nn.Module, images: Tensor) -> str:
    """Name the stage that learned mixers read: the last whose map is larger than the final one.

    It is the third of a ResNet's four, 8 x 8 for images of 32 pixels and 14 x 14 for 224. Where
    all stages give maps of one size, as in a plain transformer, the middle one is taken, the 6th
    block of 12. Two of the images are run once in evaluation mode.
    """
    names = stages(model, images)
    inner, few = bare(model), images[:2]
    with contextlib.ExitStack() as stack:
        stack.enter_context(evaluating(inner))
        taps = [stack.enter_context(tapping(inner, name)) for name in names]
        inner(few)
    areas = list[int]()
    for tap in taps:
        with contextlib.suppress(ValueError):
            areas.append(map_of(inner, tap.value, few).shape[2:].numel())
            continue
        areas.append(0)
    larger = [name for name, area in zip(names, areas, strict=True) if area > areas[-1]]
    if larger:
        return larger[-1]
    if not any(areas):
        raise ValueError(
            f"taps: no stage of {class_name(inner)} gives a map; expected one for a mask "
            "network to read. Name the layer."
        )
    return names[(len(names) - 1) // 2]


@torch.no_grad()
def example_images(model: nn.Module, side: int | None = None) -> Tensor:
    """Make two blank images that a model takes, to see the shapes inside before there are data.

    Without ``side``, what the model says of itself is tried (``image_size``, ``img_size``, timm's
    ``default_cfg``), then common sides.
    """
    inner = bare(model)
    first = next((m for m in inner.modules() if isinstance(m, nn.Conv2d)), None)
    weight = None if first is None else first.weight
    channels = 3 if first is None else first.in_channels
    sides = _declared_sides(inner) + _SIDES if side is None else (side,)
    reason: Exception | None = None
    for length in dict.fromkeys(sides):
        images = torch.zeros(2, channels, length, length)
        images = images if weight is None else images.to(weight)
        try:
            with evaluating(inner):
                inner(images)
        except (RuntimeError, ValueError, AssertionError) as error:
            reason = reason or error
            continue
        return images
    raise ValueError(
        f"taps: {class_name(inner)} does not run on blank images of {channels} channels and "
        f"{', '.join(map(str, sides))} pixels ({reason}); expected one of these to do. Give "
        "image_size, the side of the images in pixels."
    )


def patch_side(model: nn.Module | None) -> int | None:
    """Return the side of a model's patches in pixels: of its first convolution without overlap.

    None where the first convolution is no square patch embedding, and without a model.

    Example:
        >>> patch_side(nn.Conv2d(3, 8, 4, stride=4)), patch_side(nn.Conv2d(3, 8, 3))
        (4, None)
    """
    if model is not None:
        for module in bare(model).modules():
            if isinstance(module, nn.Conv2d):
                sides = {*module.kernel_size, *module.stride}
                return sides.pop() if len(sides) == 1 and module.stride[0] > 1 else None
    return None


def _declared_sides(model: nn.Module) -> tuple[int, ...]:
    """Return the sides that modules say they are made for."""
    found = list[int]()
    for module in model.modules():
        for name in ("image_size", "img_size", "default_cfg"):
            value: Any = getattr(module, name, None)
            value = value.get("input_size") if isinstance(value, dict) else value
            value = value[-1] if isinstance(value, tuple | list) and value else value
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                found.append(value)
    return tuple(found)
