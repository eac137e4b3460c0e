"""The largest and the mean product of two pixels' gradients, by the offset between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mixwright.lab.evaluation.offset_maps import from_torus, offset_distance, overlap, profile

LARGEST = 64
"""Longest side, in pixels, up to which maxima over all pairs of pixels are exact."""

POOLED = 56
"""Longest side to which larger maps are brought before their maxima are taken."""

_NUMBERS = 8_000_000  # products at a time: 32 MB
_SPECTRUM = 4_000_000  # numbers transformed at a time: 32 MB

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


def mean_products(signals: Tensor) -> Tensor:
    """Average, for each image and offset, the products of all pairs of pixels that far apart.

    From ``(N, C, H, W)``, products summed over channels, to ``(N, 2H - 1, 2W - 1)`` float64, p = 0
    in the middle; each offset is divided by its number of pairs.

    Example:
        >>> mean_products(torch.tensor([[[[3.0, 0.0, 2.0]]]])).round(decimals=6).tolist()
        [[[6.0, 0.0, 4.333333, 0.0, 6.0]]]
    """
    height, width = signals.shape[2:]
    # Padded to twice the size: the correlation is circular, and offsets would else wrap around.
    spectrum = torch.fft.rfft2(signals.double(), s=(2 * height, 2 * width))
    power = spectrum.abs().square().sum(dim=1)
    sums = from_torus(torch.fft.irfft2(power, s=(2 * height, 2 * width)))
    return sums / overlap((height, width)).to(sums)


@dataclass(frozen=True, eq=False)
class MeanMaps:
    """What images have in common in how pairs of their pixels count, and what each has.

    Records of parts of a test set add up.

    Args:
        total: ``(2H - 1, 2W - 1)`` float64, sum over images of their mean products of sizes, each
            image brought to unit mean square first.
        signed_total: ``(2H - 1, 2W - 1)`` float64, sum over images of their mean products of signed
            gradients as they are, summed over channels.
        profiles: ``(N, R)`` float32, of each image its mean over offsets whose longer coordinate
            is 0, 1, ..., R - 1.
        near: ``(N,)`` float64, of each image its mean over offsets up to ``reach[0]``.
        far: ``(N,)`` float64, over offsets from ``reach[1]``.
        used: ``(N,)`` bool, False where the gradient is 0 everywhere: such an image has no scale,
            counts in no mean of sizes, and has zeros here.
    """

    total: Tensor
    signed_total: Tensor
    profiles: Tensor
    near: Tensor
    far: Tensor
    used: Tensor

    @property
    def mean(self) -> Tensor:
        """``(2H - 1, 2W - 1)``, the mean over images that have a gradient; 1 in the middle."""
        return self.total / max(1, int(self.used.sum()))

    @property
    def signed(self) -> Tensor:
        """``(2H - 1, 2W - 1)``, the mean over all images of products of signed gradients."""
        return self.signed_total / len(self.used)

    def __add__(self, other: MeanMaps) -> MeanMaps:
        """Return the record of both sets of images, one after the other."""
        return MeanMaps(
            total=self.total + other.total,
            signed_total=self.signed_total + other.signed_total,
            profiles=torch.cat([self.profiles, other.profiles]),
            near=torch.cat([self.near, other.near]),
            far=torch.cat([self.far, other.far]),
            used=torch.cat([self.used, other.used]),
        )


def offset_means(gradient: Tensor, colour: Colour = "l2") -> MeanMaps:
    """Average products of pairs of pixels of gradients ``(N, C, H, W)`` over images, by offset."""
    check_maps("offset_means", gradient)
    height, width = gradient.shape[2:]
    reach = near_and_far(height, width)
    distance = offset_distance((height, width))
    inside, outside = distance <= reach[0], distance >= reach[1]
    totals = torch.zeros(2, 2 * height - 1, 2 * width - 1, dtype=torch.float64)
    rows = list[tuple[Tensor, Tensor, Tensor, Tensor]]()
    for part in gradient.split(max(1, _SPECTRUM // (4 * height * width * gradient.shape[1]))):
        sizes = pixel_sizes(part.double(), colour)
        scale = sizes.square().mean(dim=(1, 2), keepdim=True).sqrt()
        used = scale[:, 0, 0] > 0
        unit = torch.where(scale > 0, sizes / scale.clamp_min(1e-300), torch.zeros_like(sizes))
        maps = mean_products(unit[:, None]).cpu()
        totals[0] += maps.sum(dim=0)
        totals[1] += mean_products(part).sum(dim=0).cpu()
        rows.append(
            (profile(maps), maps[:, inside].mean(dim=1), maps[:, outside].mean(dim=1), used.cpu())
        )
    profiles, near, far, used = (torch.cat(column) for column in zip(*rows, strict=True))
    return MeanMaps(
        total=totals[0],
        signed_total=totals[1],
        profiles=profiles.float(),
        near=near,
        far=far,
        used=used,
    )


def near_and_far(height: int, width: int) -> tuple[int, int]:
    """Return the largest near offset and the smallest far one, by the longer coordinate.

    4 and 12 pixels of 32, in proportion otherwise.

    Example:
        >>> near_and_far(32, 32), near_and_far(64, 64)
        ((4, 12), (8, 24))
    """
    side = min(height, width)
    near = max(0, round(side / 8))
    return near, min(max(near + 1, round(3 * side / 8)), max(height, width) - 1)


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
