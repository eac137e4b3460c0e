"""Operations that move pixels or cover them, a batch at a time: the nearest pixel, black beyond."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from mixwright import sampling

GREY = 0.5


def shear_x(images: Tensor, amount: Tensor) -> Tensor:
    """Shift each row by ``amount`` times its distance from the top edge.

    Args:
        images: ``(B, C, H, W)`` floating.
        amount: ``(B,)``, a tangent.
    """
    one, none = torch.ones_like(amount), torch.zeros_like(amount)
    return _moved(images, torch.stack([one, amount, none, none, one, none], dim=1))


def shear_y(images: Tensor, amount: Tensor) -> Tensor:
    """Shift each column by ``amount`` times its distance from the left edge.

    Args:
        images: ``(B, C, H, W)`` floating.
        amount: ``(B,)``, a tangent.
    """
    one, none = torch.ones_like(amount), torch.zeros_like(amount)
    return _moved(images, torch.stack([one, none, none, amount, one, none], dim=1))


def translate_x(images: Tensor, share: Tensor) -> Tensor:
    """Shift by a share of the width, to the left where it is above 0.

    Args:
        images: ``(B, C, H, W)`` floating.
        share: ``(B,)``.
    """
    one, none = torch.ones_like(share), torch.zeros_like(share)
    away = share * images.shape[3]
    return _moved(images, torch.stack([one, none, away, none, one, none], dim=1))


def translate_y(images: Tensor, share: Tensor) -> Tensor:
    """Shift by a share of the height, upwards where it is above 0.

    Args:
        images: ``(B, C, H, W)`` floating.
        share: ``(B,)``.
    """
    one, none = torch.ones_like(share), torch.zeros_like(share)
    away = share * images.shape[2]
    return _moved(images, torch.stack([one, none, none, none, one, away], dim=1))


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn about the centre, counter-clockwise where the angle is above 0.

    Args:
        images: ``(B, C, H, W)`` floating.
        degrees: ``(B,)``.
    """
    across, down = images.shape[3] / 2, images.shape[2] / 2
    angle = torch.deg2rad(degrees)
    cos, sin = angle.cos(), angle.sin()
    right = across - across * cos + down * sin
    below = down - across * sin - down * cos
    return _moved(images, torch.stack([cos, -sin, right, sin, cos, below], dim=1))


def cutout(images: Tensor, share: Tensor, *, generator: Generator) -> Tensor:
    """Cover a square with mid grey; its centre is a uniform point of the image.

    Args:
        images: ``(B, C, H, W)`` floating in [0, 1].
        share: ``(B,)`` side of the square, as a share of the width; what lies outside the image
            is lost.
        generator: source of the centres.
    """
    count, _, height, width = images.shape
    point = sampling.uniform((count, 2), like=images, generator=generator)
    half = (share * width / 2)[:, None]
    rows = (_centres(height, images) - point[:, :1] * height).abs() < half
    columns = (_centres(width, images) - point[:, 1:] * width).abs() < half
    return torch.where((rows[:, :, None] & columns[:, None, :])[:, None], GREY, images)


def _moved(images: Tensor, matrix: Tensor) -> Tensor:
    """Show at each place (x, y) the pixel at (a x + b y + c, d x + e y + f).

    Args:
        images: ``(B, C, H, W)``.
        matrix: ``(B, 6)``, a to f, in pixels from the upper left corner.
    """
    count, channels, height, width = images.shape
    a, b, c, d, e, f = (one[:, None, None] for one in matrix.unbind(1))
    x, y = _centres(width, images), _centres(height, images)[:, None]
    column = (a * x + b * y + c).floor().long()
    row = (d * x + e * y + f).floor().long()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    found = images.flatten(2).gather(2, place.view(count, 1, -1).expand(-1, channels, -1))
    return found.view(images.shape) * inside[:, None]


def _centres(size: int, images: Tensor) -> Tensor:
    return torch.arange(size, device=images.device) + 0.5
