"""Square windows of a map: where it is largest and smallest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def extreme_windows(maps: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Find the window of the smallest and that of the largest sum in each map ``(B, h, w)``.

    Of each, the first place and the place after the last for rows and columns, ``(B, 2, 2)``. Of
    equal windows the first in reading order.

    Example:
        >>> least, most = extreme_windows(torch.tensor([[[1.0, 2.0], [0.0, 4.0]]]), 1)
        >>> least.tolist(), most.tolist()
        ([[[1, 2], [0, 1]]], [[[1, 2], [1, 2]]])
    """
    means = F.avg_pool2d(maps[:, None], side, stride=1)[:, 0]
    columns = means.shape[2]
    flat = means.flatten(1)
    cells = flat.argmin(dim=1), flat.argmax(dim=1)
    least, most = (torch.stack([cell // columns, cell % columns], dim=1) for cell in cells)
    return torch.stack([least, least + side], dim=2), torch.stack([most, most + side], dim=2)


def inside_windows(edges: Tensor, grid: tuple[int, int]) -> Tensor:
    """Render windows, as ``extreme_windows`` gives them: ``(B, h, w)`` float32, 1 inside."""
    row, column = (torch.arange(side, device=edges.device) for side in grid)
    rows = (row >= edges[:, 0, :1]) & (row < edges[:, 0, 1:])
    columns = (column >= edges[:, 1, :1]) & (column < edges[:, 1, 1:])
    return (rows[:, :, None] & columns[:, None, :]).float()
