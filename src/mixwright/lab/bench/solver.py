"""PuzzleMix's solver by itself: what it takes on each grid of blocks."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from mixwright.lab.bench.record import SolverRow
from mixwright.lab.bench.timing import Timer, Timing, in_turn
from mixwright.masks.puzzle.energy import Puzzle, block_puzzle
from mixwright.masks.puzzle.solver import puzzle_labels
from mixwright.sampling import stream, uniform

GRIDS = (2, 4, 8, 16)


def measure_solver(
    images: Tensor, *, step: float, timer: Timer, warm_up: int, rounds: int
) -> tuple[SolverRow, ...]:
    """Time the solver on puzzles of a batch with a random saliency.

    Its work depends on the numbers of images, blocks and labels alone. ``step`` is the mean of the
    seconds of a training step with PuzzleMix. One row a grid that divides H and W.
    """
    puzzles = {
        grid: _puzzle(images, grid)
        for grid in GRIDS
        if images.shape[2] % grid == 0 and images.shape[3] % grid == 0
    }
    calls = [partial(puzzle_labels, puzzle) for puzzle in puzzles.values()]
    turns = in_turn(calls, timer=timer, warm_up=warm_up, rounds=rounds)
    times = map(Timing.of, turns)
    return tuple(
        SolverRow(grid=grid, time=time, share=time.mean / step)
        for grid, time in zip(puzzles, times, strict=True)
    )


def _puzzle(images: Tensor, grid: int) -> Puzzle:
    saliency = uniform((len(images), grid, grid), device=images.device, generator=stream(0))
    saliency = saliency / saliency.sum(dim=(1, 2), keepdim=True)
    partner = torch.arange(len(images), device=images.device).roll(1)
    lam = torch.full((len(images),), 0.5, device=images.device)
    return block_puzzle(
        images, saliency, partner, lam, n_labels=3, beta=1.2, gamma=0.5, eta=0.2, neigh_size=4
    )
