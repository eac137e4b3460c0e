"""Augmentation of masks themselves: rotation, shear and smoothing, each mask by its own."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from mixwright.constants import once
from mixwright.masks.gaussian import exponent_slope, positions

# From so many pixels on masks do not fit into the caches together, and most of a matrix is 0.
_MANY_PIXELS = 128 * 128
_BAND = 56

_LEAST = math.exp(-60)  # of a kernel's values, of which the largest is 1


def turned(coverage: Tensor, *, angle: Tensor, shear_x: Tensor, shear_y: Tensor) -> Tensor:
    """Shear, then rotate each mask about the image's centre; what moves in from outside is 0.

    Measured in pixels, so that a rotation stays a rotation on images that are not square. Values
    between pixels are interpolated linearly, so a binary mask gets soft edges.

    Args:
        coverage: ``(B, 1, H, W)`` floating or bool. Give the partner's share of each pixel, not
            the sample's own: what is revealed then belongs to the sample itself.
        angle: ``(B,)`` in radians; positive turns clockwise on the screen (x right, y down).
        shear_x: ``(B,)``; columns moved per row from the centre.
        shear_y: ``(B,)``; rows moved per column from the centre. ``shear_x * shear_y`` is not 1.

    Example:
        >>> mask = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
        >>> zero, quarter = torch.zeros(1), torch.full((1,), torch.pi / 2)
        >>> turned(mask, angle=quarter, shear_x=zero, shear_y=zero).round(decimals=3).tolist()
        [[[[0.0, 1.0], [0.0, 0.0]]]]

    Source: the mask augmentation of MiAMix, Liang et al. 2023, arXiv:2308.02804.
    """
    _check("turned", coverage)
    height, width = coverage.shape[-2:]
    cosine, sine = angle.cos(), angle.sin()
    # What is sampled where: the inverse of R [[1, sx], [sy, 1]], in pixels.
    scale = (1 - shear_x * shear_y).reciprocal()
    x_from_x = (cosine + shear_x * sine) * scale
    x_from_y = (sine - shear_x * cosine) * scale
    y_from_x = (sine + shear_y * cosine) * -scale
    y_from_y = (cosine - shear_y * sine) * scale
    each = torch.stack([x_from_x, y_from_x, x_from_y, y_from_y], dim=1)[:, :, None, None]
    across = _places(width, 1.0, width / height, angle.device)[:, None]
    down = _places(height, height / width, 1.0, angle.device)[:, :, None]
    # Both coordinates as planes of their own, which is no slower to read and half as long to make.
    grid = (each[:, :2] * across + each[:, 2:] * down).permute(0, 2, 3, 1)
    return functional.grid_sample(
        coverage.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )


@once
def _places(length: int, to_x: float, to_y: float, device: torch.device) -> Tensor:
    """Give the middles of pixels on an axis from -1 to 1, as a sampling grid has them.

    In units of both coordinates, ``(2, length)``.
    """
    place = (torch.arange(length, device=device, dtype=torch.float32) * 2 + 1) / length - 1
    return torch.stack([place * to_x, place * to_y])


def smoothed(mask: Tensor, *, sigma: Tensor, radius: int, out: Tensor | None = None) -> Tensor:
    """Blur each mask ``(B, 1, H, W)`` by its own Gaussian; border pixels are repeated outside.

    ``sigma`` is ``(B,)`` in pixels, 0 for none; every kernel ends ``radius`` pixels off, at least
    three times the largest sigma. A constant mask stays what it is. The result is float32, written
    into ``out`` if one is given, which is not the mask.

    Example:
        >>> mask = torch.tensor([[[[0.0, 0.0, 1.0, 0.0, 0.0]]]])
        >>> smoothed(mask, sigma=torch.tensor([0.5]), radius=2).round(decimals=3)
        tensor([[[[0.0000, 0.1060, 0.7870, 0.1060, 0.0000]]]])

    Source: the mask augmentation of MiAMix, Liang et al. 2023, arXiv:2308.02804.
    """
    _check("smoothed", mask)
    height, width = mask.shape[-2:]
    rows = _smoothing_matrix(sigma, radius=radius, size=height)
    columns = rows if width == height else _smoothing_matrix(sigma, radius=radius, size=width)
    plane = mask[:, 0].float()
    here = plane.device.type == "cpu" and not torch.compiler.is_compiling()
    after = torch.empty_like(plane) if out is None else out[:, 0]
    if here and height * width >= _MANY_PIXELS:
        # Beyond 5.5 sigma a kernel has less than float32 adds to 1.
        reaches = (sigma * 5.5).ceil().clamp_max(radius).int().tolist()
        _smooth_in_bands(plane, rows, columns, reaches=reaches, out=after)
    else:
        torch.bmm(torch.bmm(rows, plane), columns.transpose(1, 2), out=after)
    return after[:, None]


def _smooth_in_bands(
    plane: Tensor, rows: Tensor, columns: Tensor, *, reaches: list[int], out: Tensor
) -> None:
    """Multiply one sample at a time and where kernels are not 0: two thirds of the time."""
    half = torch.empty_like(plane[0])
    for one, row, column, reach, result in zip(plane, rows, columns, reaches, out, strict=True):
        for band, near in _bands(len(row), reach):
            torch.mm(row[band, near], one[near], out=half[band])
        for band, near in _bands(len(column), reach):
            torch.mm(half[:, near], column[band, near].T, out=result[:, band])


def _bands(length: int, reach: int) -> list[tuple[slice, slice]]:
    """Divide an axis; of each part also the pixels that kernels around its own reach."""
    return [
        (slice(start, start + _BAND), slice(max(0, start - reach), start + _BAND + reach))
        for start in range(0, length, _BAND)
    ]


def _smoothing_matrix(sigma: Tensor, *, radius: int, size: int) -> Tensor:
    """``(B, size, size)``: row i says which pixels of an axis make up its smoothed pixel i."""
    if size == 1:
        return torch.ones(len(sigma), 1, 1, device=sigma.device, dtype=torch.float32)
    reach = max(radius + 1, size)
    slope = exponent_slope(sigma.float().square())[:, None]
    kernel = (positions(reach, sigma.device).square() * slope).exp2_()
    # Denormal numbers would make the matrix products several times slower.
    kernel = functional.threshold(kernel, _LEAST, 0.0)
    kernel[:, radius + 1 :] = 0
    kernel = kernel / (2 * kernel.sum(1, keepdim=True) - kernel[:, :1])
    falling = kernel.flip(1)
    both = torch.cat([falling[:, reach - size :], kernel[:, 1:size]], dim=1)
    matrix = both.unfold(1, size, 1).flip(1)  # row i is the kernel around pixel i
    # The border's pixel stands for itself and for all beyond it.
    tail = falling.cumsum(1)[:, reach - size :]
    matrix[:, :, 0] = tail.flip(1)
    matrix[:, :, -1] = tail
    return matrix


def _check(name: str, mask: Tensor) -> None:
    if mask.ndim != 4 or mask.shape[1] != 1:
        raise ValueError(
            f"{name}: the mask has shape {tuple(mask.shape)}; expected (B, 1, H, W), one mask per "
            "sample. Add the second dimension with mask[:, None]."
        )
