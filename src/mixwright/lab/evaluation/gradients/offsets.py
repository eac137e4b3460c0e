"""The largest product of two pixels' gradients, by the offset between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST = 64
"""Longest side, in pixels, up to which maxima over all pairs of pixels are exact."""

POOLED = 56
"""Longest side to which larger maps are brought before their maxima are taken."""

_NUMBERS = 8_000_000  # products at a time: 32 MB

Colour = Literal["l2", "linf"]


@dataclass(frozen=True, eq=False)
class OffsetMaps:
    """Maps over offsets p = (row, column) from ``-(H - 1)`` to ``H - 1``; p = 0 in the middle.

    Args:
        highest: ``(2H - 1, 2W - 1)`` float64, max over images k and pixels v of
            ``g_k(v) g_k(v + p)``. Of images above ``LARGEST`` the sides are those of the pooled
            map.
        q99: the same with the 99 % quantile over images in place of the maximum.
    """

    highest: Tensor
    q99: Tensor


def pixel_sizes(gradient: Tensor, colour: Colour = "l2") -> Tensor:
    """Bring gradients ``(B, C, H, W)`` to one size a pixel, ``(B, H, W)``.

    By ``"l2"``, the Euclidean norm over channels; or ``"linf"``, the largest absolute value, with
    which a product of two sizes is the largest over pairs of channels.

    Raises:
        ValueError: ``colour`` is another word.
    """
    if colour == "l2":
        return torch.linalg.vector_norm(gradient, dim=1)
    if colour == "linf":
        return gradient.abs().amax(dim=1)
    raise ValueError(f"pixel_sizes: colour is {colour!r}; expected l2 or linf.")


def pooled(sizes: Tensor) -> Tensor:
    """Max-pool maps ``(B, H, W)`` above ``LARGEST`` to ``POOLED`` a side; leave others alone."""
    longest = max(sizes.shape[1:])
    if longest <= LARGEST:
        return sizes
    shape = [max(1, round(side * POOLED / longest)) for side in sizes.shape[1:]]
    return F.adaptive_max_pool2d(sizes[:, None], shape)[:, 0]


def offset_maxima(sizes: Tensor, progress: Callable[[float], None] | None = None) -> OffsetMaps:
    """Take, for each offset, the largest product of two of ``sizes`` ``(N, H, W)`` so far apart.

    Over all pairs of pixels and images; there is no shorter way than to look at them all. Offsets
    p and -p have the same pairs, so half of them are gone through. Maps above ``LARGEST`` are
    max-pooled to ``POOLED`` a side first: what comes out then bounds the exact map from above.

    Raises:
        ValueError: another shape, no images, or values that are not finite.

    Example:
        >>> sizes = torch.tensor([[[3.0, 0.0, 2.0]]])
        >>> offset_maxima(sizes).highest.tolist()
        [[6.0, 0.0, 9.0, 0.0, 6.0]]

    Source: Park et al., "A Unified Analysis of Mixed Sample Data Augmentation: A Loss Function
    Perspective", 2022, arXiv:2208.09913, figure 4.
    """
    check_maps("offset_maxima", sizes)
    sizes = pooled(sizes)
    count, height, width = sizes.shape
    last = sizes.permute(1, 2, 0).contiguous()  # images last: their maxima are then one sweep
    chunk = max(1, _NUMBERS // (height * width))
    highest = torch.zeros(2 * height - 1, 2 * width - 1, dtype=torch.float64)
    q99 = torch.zeros_like(highest)
    for down in range(height):
        rights = range(-(width - 1) if down else 0, width)
        peaks = torch.empty(len(rights), count, device=sizes.device, dtype=sizes.dtype)
        for start in range(0, count, chunk):
            part = last[:, :, start : start + chunk]
            for row, right in enumerate(rights):
                pixels, neighbours = _apart(part, down, right)
                peaks[row, start : start + chunk] = (pixels * neighbours).amax(dim=(0, 1))
        tops = peaks.amax(dim=1).double().cpu()
        high = peaks.double().quantile(0.99, dim=1).cpu()
        for row, right in enumerate(rights):
            for sign in (1, -1):
                place = (height - 1 + sign * down, width - 1 + sign * right)
                highest[place], q99[place] = tops[row], high[row]
        if progress is not None:
            progress((down + 1) / height)
    return OffsetMaps(highest, q99)


def _apart(values: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """Two views of ``(H, W, ...)``: pixels, and their neighbours ``down`` and ``right`` of them."""
    height, width = values.shape[:2]
    if right >= 0:
        return values[: height - down, : width - right], values[down:, right:]
    return values[: height - down, -right:], values[down:, : width + right]


def check_maps(name: str, values: Tensor) -> None:
    """Refuse, for the function ``name``, anything but finite ``(N, H, W)`` or ``(N, C, H, W)``."""
    if values.ndim not in (3, 4) or 0 in values.shape or not bool(values.isfinite().all()):
        raise ValueError(
            f"{name}: shape {tuple(values.shape)}, "
            f"{int((~values.isfinite()).sum())} values not finite; expected one map per image, at "
            "least one image, all finite."
        )
