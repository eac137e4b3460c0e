"""Masks of square cells of a given side in pixels; the last ones may be cut by the border."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mixwright.masks.mask_forms import DenseMask


def cell_grid(size: Sequence[int], side: int) -> tuple[int, int]:
    """Give how many cells cover an image, in rows and columns.

    Example:
        >>> cell_grid((224, 224), 56), cell_grid((32, 30), 8)
        ((4, 4), (4, 4))
    """
    height, width = size
    return -(-height // side), -(-width // side)


def cell_planes(keep: Tensor, *, side: int, size: Sequence[int]) -> DenseMask:
    """Give the form of a plan for a mask of cells.

    Args:
        keep: ``(B, 1, rows, columns)``, one value a cell, of ``cell_grid(size, side)``.
        side: of a cell, in pixels.
        size: (H, W) of the images, in pixels.

    Returns:
        The grid itself where cells divide the image, otherwise pixels.
    """
    height, width = size
    if height % side == 0 and width % side == 0:
        return DenseMask(keep)
    row = torch.arange(height, device=keep.device) // side
    column = torch.arange(width, device=keep.device) // side
    return DenseMask(keep.index_select(2, row).index_select(3, column))
