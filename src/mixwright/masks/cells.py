"""Masks of square cells of a given side in pixels; the last ones may be cut by the border."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mixwright.masks.mask_forms import DenseMask


def cell_grid(size: Sequence[int], side: int) -> tuple[int, int]:
    """Return how many cells cover an image, in rows and columns.

    Example:
        >>> cell_grid((224, 224), 56), cell_grid((32, 30), 8)
        ((4, 4), (4, 4))
    """
    height, width = size
    return -(-height // side), -(-width // side)


def cell_planes(keep: Tensor, *, side: int, size: Sequence[int]) -> DenseMask:
    """Return the form of a plan for a mask of cells ``(B, 1, rows, columns)``.

    That is the grid itself where cells of ``side`` pixels divide the image, otherwise pixels.
    """
    height, width = size
    if height % side == 0 and width % side == 0:
        return DenseMask(keep)
    row = torch.arange(height, device=keep.device) // side
    column = torch.arange(width, device=keep.device) // side
    return DenseMask(keep.index_select(2, row).index_select(3, column))
