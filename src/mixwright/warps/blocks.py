"""Blocks of a source moved to other places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mixwright.warps.rows import OneByOne, Window


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Blocks:
    """Show in each block of a grid one of the source's blocks; exact for every dtype.

    Attributes:
        perm: ``(B, T)`` int64; block k of the output shows block ``perm[:, k]`` of the source.
            Blocks are counted row by row. A source block may be shown twice, or not at all.
        grid: rows and columns of the grid, T in all; they divide the images' sides.
    """

    perm: Tensor
    grid: tuple[int, int]

    def apply(self, images: Tensor, *, reuse: bool = False) -> Tensor:
        """Warp ``(B, C, H, W)`` images; the input is never written."""
        del reuse
        return _moved(images, self.perm, self.grid)

    def one_by_one(self) -> OneByOne:
        """Prepare to warp single images, by the number of the output."""

        def show(image: Tensor, number: int, window: Window | None) -> Tensor:
            done = _moved(image[None], self.perm[number : number + 1], self.grid)[0]
            return done if window is None else done[window]

        return show

    def at(self, size: Sequence[int]) -> Blocks:
        """Give the same warp for feature maps of another size."""
        del size  # a grid of blocks fits every size that it divides
        return self


def _moved(images: Tensor, perm: Tensor, grid: tuple[int, int]) -> Tensor:
    if images.ndim != 4 or images.shape[2] % grid[0] or images.shape[3] % grid[1]:
        raise ValueError(
            f"warp: images have shape {tuple(images.shape)}; expected (B, C, H, W) with sides that "
            f"the grid of {grid[0]} x {grid[1]} blocks divides."
        )
    count, channels, height, width = images.shape
    (rows, columns), tall, wide = grid, height // grid[0], width // grid[1]
    # The row and column of the pixel that each pixel shows.
    block_row = (perm // columns * tall).view(count, rows, 1, columns, 1)
    block_column = (perm % columns * wide).view(count, rows, 1, columns, 1)
    inner_row = torch.arange(tall, device=images.device).view(1, 1, -1, 1, 1)
    inner_column = torch.arange(wide, device=images.device).view(1, 1, 1, 1, -1)
    pixel = (block_row + inner_row) * width + (block_column + inner_column)
    flat = pixel.reshape(count, 1, height * width).expand(-1, channels, -1)
    return images.reshape(count, channels, height * width).gather(2, flat).view(images.shape)
