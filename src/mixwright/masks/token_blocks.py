"""Unions of random blocks of tokens, drawn on the host: one mask a batch."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

LEAST_ASPECT = 0.3
TRIES = 10


def block_tokens(grid: tuple[int, int], count: int, *, generator: Generator) -> Tensor:
    """Mark about ``count`` tokens of a grid by random blocks, which may overlap; never more.

    Each block has an area uniform between 1 and what is still missing, and an aspect ratio of
    which the logarithm is uniform between those of 0.3 and 1 / 0.3. A block that does not fit, or
    marks nothing new, is drawn again, ten times at most; then what is marked is enough.

    Source: the masks of BEiT, Bao et al. 2022, arXiv:2106.08254, as TokenMix draws them;
    Sense-X/TokenMix: tokenmix.py. As there, a block is smaller than the grid along both axes.
    """
    rows, columns = grid
    marked = torch.zeros(grid, dtype=torch.bool)
    missing = min(count, rows * columns)
    while missing > 0:
        for draw in torch.rand(TRIES, 4, generator=generator).tolist():
            area = 1 + draw[0] * (missing - 1)
            aspect = math.exp((2 * draw[1] - 1) * math.log(1 / LEAST_ASPECT))
            high, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if not (0 < high < rows and 0 < wide < columns):
                continue
            top, left = int(draw[2] * (rows - high + 1)), int(draw[3] * (columns - wide + 1))
            block = marked[top : top + high, left : left + wide]
            new = high * wide - int(block.sum())
            if 0 < new <= missing:
                block.fill_(True)
                missing -= new
                break
        else:
            break
    return marked


def random_tokens(grid: tuple[int, int], count: int, *, generator: Generator) -> Tensor:
    """Mark ``count`` tokens of a grid at random, on the CPU."""
    total = grid[0] * grid[1]
    marked = torch.zeros(total, dtype=torch.bool)
    marked[torch.randperm(total, generator=generator)[:count]] = True
    return marked.view(grid)
