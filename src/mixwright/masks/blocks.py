"""Between a mask of pixels and a grid of blocks: repeat a block, or take its mean.

For any number of spatial dimensions: ``size`` says how many of the last axes are meant.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def upsample_blocks(grid: Tensor, size: Sequence[int]) -> Tensor:
    """Repeat each block of a grid ``(..., *blocks)`` over its pixels.

    Pixel ``r`` of ``height`` belongs to block ``floor(r * rows / height)``, so any grid fits any
    size; the blocks are equal where the size is a multiple of the grid.

    Example:
        >>> upsample_blocks(torch.tensor([[1, 2]]), (2, 3)).tolist()
        [[1, 1, 2], [1, 1, 2]]
    """
    dims = len(size)
    lead, blocks = tuple(grid.shape[:-dims]), tuple(grid.shape[-dims:])
    if all(new % old == 0 for new, old in zip(size, blocks, strict=True)):
        apart = [part for old in blocks for part in (old, 1)]
        whole = [part for new, old in zip(size, blocks, strict=True) for part in (old, new // old)]
        return grid.reshape(*lead, *apart).expand(*lead, *whole).reshape(*lead, *size)
    for axis, (new, old) in enumerate(zip(size, blocks, strict=True)):
        block = torch.arange(new, device=grid.device) * old // new
        grid = grid.index_select(axis - dims, block)
    return grid


def area_mean(mask: Tensor, size: Sequence[int]) -> Tensor:
    """Bring a mask ``(..., *old)`` to another size by the mean over each new pixel's area, float32.

    A pixel that a border cuts counts for the part inside, so the mean of the whole mask is kept
    for every pair of sizes, larger ones too (``adaptive_avg_pool2d`` keeps it only for divisors).

    Example:
        >>> area_mean(torch.tensor([[1.0, 0.0, 0.0]]), (1, 2))
        tensor([[0.6667, 0.0000]])
    """
    dims = len(size)
    value = mask.float()
    for axis, new in enumerate(size, start=-dims):
        old = value.shape[axis]
        if new != old:
            means = _mean_matrix(old, new, like=value)
            value = (value.movedim(axis, -1) @ means.T).movedim(-1, axis)
    return value.contiguous()


def _mean_matrix(old: int, new: int, *, like: Tensor) -> Tensor:
    """``(new, old)``: row i holds the share of each old pixel in the mean of new pixel i."""
    # In units of 1 / (old * new) of the axis all borders are whole numbers, so shares are exact.
    begin = torch.arange(new, device=like.device)[:, None] * old
    first = torch.arange(old, device=like.device) * new
    shared = torch.minimum(begin + old, first + new) - torch.maximum(begin, first)
    return shared.clamp_min(0).to(like.dtype) / old
