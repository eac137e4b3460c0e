"""Boxes: how large, and where.

Numbers in, edges out, for any number D of spatial dimensions. ``sides`` are ``(B, D)`` int64 in
pixels, at most ``size``, the spatial sizes of the images; ``position`` is ``(B, D)`` floating,
uniform in [0, 1): random numbers are arguments. Edges are ``(B, D, 2)`` int64, for each dimension
the first row and the row after the last.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mixwright.constants import lengths, once


def box_sides(area: Tensor, size: Sequence[int]) -> Tensor:
    """Return sides of boxes similar to the image, ``(B, D)``: ``floor(size * area ** (1 / D))``."""
    dims = len(size)
    scale = area.sqrt() if dims == 2 else area ** (1 / dims)
    return (scale[:, None] * _lengths(size, area)).long()


def clipped_box(sides: Tensor, position: Tensor, size: Sequence[int]) -> Tensor:
    """Put boxes around a uniform centre pixel and clip them at the border.

    The half side is rounded down, so that odd sides lose a row (clovaai/CutMix-PyTorch).
    """
    half = sides >> 1
    return _around_pixel(half, half, position, size)


def centred_box(sides: Tensor, position: Tensor, size: Sequence[int]) -> Tensor:
    """Put boxes around a uniform centre pixel and clip them at the border, odd sides whole.

    As in timm 1.0.31; ``clipped_box`` is that of CutMix's authors.
    """
    return _around_pixel(sides >> 1, (sides + 1) >> 1, position, size)


def _around_pixel(before: Tensor, after: Tensor, position: Tensor, size: Sequence[int]) -> Tensor:
    """Reach from a uniform pixel so far to both sides, ``(B, D)`` int64, within the image."""
    pixels = _lengths(size, position)
    centre = torch.minimum((position * pixels).long(), _lasts(tuple(size), position.device))
    if before is after:  # both ends in one operation
        edges = torch.addcmul(centre[..., None], before[..., None], _directions(position.device))
    else:
        edges = torch.stack([centre - before, centre + after], dim=2)
    return torch.minimum(edges.clamp_min_(0), pixels[:, None])


def fitted_box(sides: Tensor, position: Tensor, size: Sequence[int]) -> Tensor:
    """Put boxes wholly inside the image, each position equally likely."""
    room = _lengths(size, position) - sides
    start = torch.minimum((position * (room + 1)).long(), room)
    return torch.stack([start, start + sides], dim=2)


def uniform_box(sides: Tensor, position: Tensor, size: Sequence[int]) -> Tensor:
    """Put boxes so that every pixel is covered equally often; many are clipped.

    The first row is drawn from a range that begins one side before the image.
    """
    pixels = _lengths(size, position)
    starts = pixels + sides - 1  # those that touch the image
    start = torch.minimum((position * starts).long(), starts - 1) - sides + 1
    edges = torch.stack([start, start + sides], dim=2).clamp_min(0).minimum(pixels[:, None])
    return torch.where((sides > 0)[..., None], edges, 0)


def _lengths(size: Sequence[int], beside: Tensor) -> Tensor:
    return lengths(tuple(size), beside.device)


@once
def _lasts(size: tuple[int, ...], device: torch.device) -> Tensor:
    """Give the number of the last pixel of each axis."""
    return lengths(size, device) - 1


@once
def _directions(device: torch.device) -> Tensor:
    """Give -1 and 1: back and on."""
    return torch.arange(-1, 2, 2, device=device)
