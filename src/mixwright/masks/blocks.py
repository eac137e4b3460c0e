"""Between a mask of pixels and a grid of blocks: repeat a block, or take its mean."""

from collections.abc import Sequence

import torch
from torch import Tensor


def upsample_blocks(grid: Tensor, size: Sequence[int]) -> Tensor:
    """Repeat each block of a grid over its pixels.

    Pixel ``r`` of ``height`` belongs to block ``floor(r * rows / height)``, so any grid fits any
    size; the blocks are equal where the size is a multiple of the grid.

    Args:
        grid: ``(..., rows, columns)`` of any dtype.
        size: height and width in pixels.

    Returns:
        ``(..., height, width)`` of the grid's dtype and device.

    Example:
        >>> upsample_blocks(torch.tensor([[1, 2]]), (2, 3)).tolist()
        [[1, 1, 2], [1, 1, 2]]
    """
    height, width = size
    rows, columns = grid.shape[-2:]
    if height % rows == 0 and width % columns == 0:
        tall, wide = height // rows, width // columns
        blocks = grid[..., :, None, :, None]
        return blocks.expand(*blocks.shape[:-3], tall, columns, wide).reshape(
            *grid.shape[:-2], height, width
        )
    row = torch.arange(height, device=grid.device) * rows // height
    column = torch.arange(width, device=grid.device) * columns // width
    return grid.index_select(-2, row).index_select(-1, column)


def area_mean(mask: Tensor, size: Sequence[int]) -> Tensor:
    """Bring a mask to another size by the mean over each new pixel's area.

    A pixel that a border cuts counts for the part inside, so the mean of the whole mask is kept
    for every pair of sizes (``adaptive_avg_pool2d`` keeps it only for divisors). Works for smaller
    and for larger sizes.

    Args:
        mask: ``(..., H, W)`` floating or bool.
        size: new height and width.

    Returns:
        ``(..., height, width)`` float32 on the same device.

    Example:
        >>> area_mean(torch.tensor([[1.0, 0.0, 0.0]]), (1, 2))
        tensor([[0.6667, 0.0000]])
    """
    height, width = mask.shape[-2:]
    value = mask.float()
    if size[0] != height:
        value = _mean_matrix(height, size[0], like=value) @ value
    if size[1] != width:
        value = value @ _mean_matrix(width, size[1], like=value).T
    return value


def _mean_matrix(old: int, new: int, *, like: Tensor) -> Tensor:
    """``(new, old)``: row i holds the share of each old pixel in the mean of new pixel i."""
    # In units of 1 / (old * new) of the axis all borders are whole numbers, so shares are exact.
    begin = torch.arange(new, device=like.device)[:, None] * old
    first = torch.arange(old, device=like.device) * new
    shared = torch.minimum(begin + old, first + new) - torch.maximum(begin, first)
    return shared.clamp_min(0).to(like.dtype) / old
