"""Operations that move pixels or cover them, a batch at a time: the nearest pixel, black beyond.

All take ``(B, C, H, W)`` floating images in [0, 1] and one value an image, ``(B,)``.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from mixwright import sampling

GREY = 0.5


def shear_x(images: Tensor, amount: Tensor) -> Tensor:
    """Shift each row by ``amount``, a tangent, times its distance from the top edge."""
    return _moved(images, 1, amount, 0, 0, 1, 0)


def shear_y(images: Tensor, amount: Tensor) -> Tensor:
    """Shift each column by ``amount``, a tangent, times its distance from the left edge."""
    return _moved(images, 1, 0, 0, amount, 1, 0)


def translate_x(images: Tensor, share: Tensor) -> Tensor:
    """Shift by a share of the width, to the left where it is above 0."""
    return _moved(images, 1, 0, share * images.shape[3], 0, 1, 0)


def translate_y(images: Tensor, share: Tensor) -> Tensor:
    """Shift by a share of the height, upwards where it is above 0."""
    return _moved(images, 1, 0, 0, 0, 1, share * images.shape[2])


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn about the centre, counter-clockwise where the angle is above 0."""
    across, down = images.shape[3] / 2, images.shape[2] / 2
    angle = torch.deg2rad(degrees)
    cos, sin = angle.cos(), angle.sin()
    right = across - across * cos + down * sin
    below = down - across * sin - down * cos
    return _moved(images, cos, -sin, right, sin, cos, below)


def cutout(images: Tensor, share: Tensor, *, generator: Generator) -> Tensor:
    """Cover a square, its side a share of the width, around a uniform point with mid grey."""
    count, _, height, width = images.shape
    point = sampling.uniform((count, 2), device=images.device, generator=generator)
    half = (share * width / 2)[:, None]
    rows = (_centres(height, images) - point[:, :1] * height).abs() < half
    columns = (_centres(width, images) - point[:, 1:] * width).abs() < half
    return torch.where((rows[:, :, None] & columns[:, None, :])[:, None], GREY, images)


def _moved(images: Tensor, *matrix: Tensor | int) -> Tensor:
    """Show at (x, y) the pixel at (a x + b y + c, d x + e y + f); ``matrix`` holds a to f."""
    count, channels, height, width = images.shape
    a, b, c, d, e, f = (v[:, None, None] if isinstance(v, Tensor) else v for v in matrix)
    x, y = _centres(width, images), _centres(height, images)[:, None]
    column = (a * x + b * y + c).floor().long()
    row = (d * x + e * y + f).floor().long()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    moved = images.flatten(2).gather(2, place.view(count, 1, -1).expand(-1, channels, -1))
    return moved.view(images.shape) * inside[:, None]


def _centres(size: int, images: Tensor) -> Tensor:
    return torch.arange(size, device=images.device) + 0.5
