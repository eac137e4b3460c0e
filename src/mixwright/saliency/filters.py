"""What saliency maps are made with: a grey image, and a Gaussian blur."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mixwright.arguments import check_number, check_whole
from mixwright.constants import once

_CACHED = 400_000
"""Pixels of maps that fit into a cache together with what is made of them."""

_LUMA = (0.299, 0.587, 0.114)  # red, green and blue, as ITU-R BT.601 weighs them


def grey(images: Tensor) -> Tensor:
    """Return ``(B, C, H, W)`` in grey, three channels by luma; the largest absolute value is 1."""
    if images.shape[1] == 3:
        red, green, blue = (images[:, k].float() for k in range(3))
        plane = (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
    else:
        plane = images.float().mean(dim=1)
    low, high = plane.amin(dim=(1, 2), keepdim=True), plane.amax(dim=(1, 2), keepdim=True)
    return plane.div_(torch.maximum(-low, high).clamp_min(1e-30))


def by_parts(make: Callable[..., Tensor], maps: Tensor, *others: Tensor) -> Tensor:
    """Make maps of ``maps`` ``(B, H, W)`` float32 and of other rows, on the CPU a few at a time.

    So each of many passes reads what the last one wrote, which then still is in a cache.
    """
    few = max(1, _CACHED // (maps.shape[1] * maps.shape[2]))
    if maps.device.type != "cpu" or torch.compiler.is_compiling() or len(maps) <= few:
        return make(maps, *others)
    done = torch.empty_like(maps)
    parts = zip(*(rows.split(few) for rows in (done, maps, *others)), strict=True)
    for out, *part in parts:
        out.copy_(make(*part))
    return done


def blurred(maps: Tensor, *, width: int, sigma: float) -> Tensor:
    """Blur maps ``(B, H, W)`` float32 by a Gaussian; outside, the image goes on as its mirror.

    The kernel is ``width`` pixels wide, odd; 1 leaves the maps as they are. The border pixel is not
    repeated (OpenCV's ``BORDER_REFLECT_101``); images narrower than the kernel are mirrored to and
    fro.

    Example:
        >>> blurred(torch.tensor([[[0.0, 1.0, 0.0]]]), width=3, sigma=1e9).round(decimals=2)
        tensor([[[0.6700, 0.3300, 0.6700]]])
    """
    if width == 1:
        return maps
    weight = _weights(width, sigma, maps.device)
    return by_parts(lambda some: _weighed(some, weight), maps)


def _weighed(maps: Tensor, weight: Tensor) -> Tensor:
    """Give the weighted sum of the neighbours of each pixel, along columns, then along rows."""
    reach = len(weight) // 2
    for axis in (1, 2):
        before, after = _beyond(maps.shape[axis], reach, maps.device).unbind()
        # Only what is mirrored is picked: to pick rows or columns takes far longer than to copy.
        sides = maps.index_select(axis, before), maps.index_select(axis, after)
        wide = torch.cat([sides[0], maps, sides[1]], dim=axis)
        # Sums of shifted views: convolutions would run in TF32 on accelerators.
        total = weight[0] * wide.narrow(axis, 0, maps.shape[axis])
        for k in range(1, len(weight)):
            total.addcmul_(wide.narrow(axis, k, maps.shape[axis]), weight[k])
        maps = total
    return maps


@once
def _weights(width: int, sigma: float, device: torch.device) -> Tensor:
    offset = torch.arange(-(width // 2), width // 2 + 1, device=device)
    return (-0.5 * (offset.float() / sigma) ** 2).softmax(dim=0)


@once
def _beyond(length: int, reach: int, device: torch.device) -> Tensor:
    """Give which pixels an axis shows before its first and behind its last one, ``(2, reach)``."""
    place = torch.arange(reach, device=device)
    return torch.stack([_mirrored(place - reach, length), _mirrored(place + length, length)])


def check_blur(name: str, blur: int, sigma: float) -> None:
    """Refuse a ``blur`` that is not odd and above 0, or a ``sigma`` not finite and above 0."""
    check_whole(name, "blur", blur, low=1)
    if blur % 2 == 0:
        raise ValueError(f"{name}: blur is {blur!r}; expected an odd number of pixels.")
    check_number(name, "sigma", sigma, open_low=True)


def _mirrored(place: Tensor, length: int) -> Tensor:
    """Fold whole numbers into ``[0, length)`` by reflection at the first and last pixel."""
    period = max(2 * (length - 1), 1)
    place = place.remainder(period)
    return torch.minimum(place, period - place).clamp_max(length - 1)
