"""Maps over the offset between two pixels: how far it is, how many pairs have it, its profile."""

from __future__ import annotations

import torch
from torch import Tensor


def offset_distance(size: tuple[int, int]) -> Tensor:
    """Return ``max(|dy|, |dx|)`` of every offset in an image of this size, ``(2H - 1, 2W - 1)``."""
    dy, dx = (torch.arange(1 - length, length).abs() for length in size)
    return torch.maximum(dy[:, None], dx[None, :])


def overlap(size: tuple[int, int]) -> Tensor:
    """Return the number of pairs of pixels at every offset, ``(2H - 1, 2W - 1)`` float64."""
    rows, columns = (
        length - torch.arange(1 - length, length, dtype=torch.float64).abs() for length in size
    )
    return torch.outer(rows, columns)


def from_torus(torus: Tensor) -> Tensor:
    """Return ``(..., 2H - 1, 2W - 1)`` of maps ``(..., 2H, 2W)`` whose offsets go round from 0."""
    height, width = (side // 2 for side in torus.shape[-2:])
    middle = torus.roll((height - 1, width - 1), (-2, -1))
    return middle[..., : 2 * height - 1, : 2 * width - 1]


def profile(offsets: Tensor) -> Tensor:
    """Average an offset map over all offsets of one distance, ``max(|dy|, |dx|)``.

    From ``(..., 2H - 1, 2W - 1)`` to ``(..., max(H, W))``, by distance in pixels from 0; float64 on
    the CPU.

    Example:
        >>> profile(torch.tensor([[1.0, 2.0, 3.0]])).tolist()
        [2.0, 2.0]
    """
    height, width = ((side + 1) // 2 for side in offsets.shape[-2:])
    distance = offset_distance((height, width)).flatten()
    counts = distance.bincount().double()
    sums = torch.zeros(*offsets.shape[:-2], len(counts), dtype=torch.float64)
    return sums.index_add_(-1, distance, offsets.double().cpu().flatten(-2)) / counts
