"""Labels of least energy for a puzzle: a primal-dual iteration for the whole batch at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mixwright.masks.puzzle.energy import Puzzle

# Primal steps are short and dual steps long in this ratio (found by trial on real saliency).
_RATIO = 0.3


def puzzle_labels(puzzle: Puzzle, *, iterations: int = 300) -> Tensor:
    """Find labels ``(B, h, w)`` of about the least energy; near ties may fall either way.

    The unary costs and ``d ** 2``, joined by straight lines between whole numbers, are convex, and
    such a sum has a minimum at whole labels. So labels are treated as real numbers, the saddle
    point over labels and one multiplier for each border is approached by the primal-dual hybrid
    gradient method, and the result is rounded. It always takes all its ``iterations``, so that
    nothing waits for a result; 300 leave less than 1e-4 of the energy between the best and random
    labels, on grids of up to 16 x 16 blocks.

    Source: Chambolle and Pock 2011, doi:10.1007/s10851-010-0251-1, Algorithm 1.

    Departs from the authors' code (snu-mllab/PuzzleMix: mixup.py, ``graphcut_multi``), which cuts
    a graph for each sample on the CPU.
    """
    with torch.no_grad():
        return _solve(puzzle, iterations)


def _solve(puzzle: Puzzle, iterations: int) -> Tensor:
    count, _, height, width = puzzle.unary.shape
    cells, steps = height * width, puzzle.steps
    # Batch innermost and the grid in one line: neighbours are then whole shifted stretches of
    # memory. Pairs across the end of a row have weight 0.
    slope = puzzle.unary.float().diff(dim=1).permute(1, 2, 3, 0).reshape(steps, cells, count)
    scale = slope.abs().mean(dim=(0, 1)).clamp_min(1e-30)
    right = F.pad(puzzle.right.float(), (0, 1)).flatten(1)[:, :-1]
    edge = torch.cat([puzzle.down.float().flatten(1), right], dim=1).T / (scale * steps**2)
    sigma, tau = _RATIO / 2, 1 / (4 * _RATIO)  # at most 4 borders a block, 2 blocks a border
    # The proximal point of the unary cost, which is piecewise linear in the label with slopes that
    # rise: a label that moves up stands still at each whole number for as long as the slope grows
    # there, so the point is the sum of one clamped ramp a piece, the k-th beginning at offset k.
    offset = [tau * slope[k] / scale + k for k in range(steps)]

    label = torch.full_like(offset[0], steps / 2)
    ahead, moved, part = label.clone(), torch.empty_like(label), torch.empty_like(label)
    dual = torch.zeros_like(edge, memory_format=torch.contiguous_format)
    shifts = (width, 1)
    borders = list(zip(shifts, dual.split([cells - shift for shift in shifts]), strict=True))
    settle = _settling(edge, steps, sigma)
    # Forces on borders (dual) and labels (primal) move in turn. The forces look at labels that are
    # extrapolated by the last step, ahead = 2 * new - old, which is what makes the pair converge.
    # All is done in place: on the CPU fresh memory would cost more than the arithmetic.
    for _ in range(iterations):
        for shift, force in borders:
            force.add_(ahead[shift:], alpha=sigma).sub_(ahead[:-shift], alpha=sigma)
        settle(dual)
        moved.copy_(label)
        for shift, force in borders:
            moved[shift:].sub_(force, alpha=tau)
            moved[:-shift].add_(force, alpha=tau)
        torch.sub(moved, offset[0], out=ahead).clamp_(0, 1)
        for start in offset[1:]:
            ahead.add_(torch.sub(moved, start, out=part).clamp_(0, 1))
        label, ahead = ahead, label
        ahead.mul_(-1).add_(label, alpha=2)
    return (label + 0.5).long().clamp(0, steps).T.reshape(count, height, width)


def _settling(edge: Tensor, steps: int, sigma: float) -> Callable[[Tensor], None]:
    """Prepare to bring multipliers to their proximal point, in place.

    ``d ** 2`` has slopes 1, 3, 5, ... between whole numbers: a multiplier runs freely up to
    ``edge``, pays ``sigma`` there, runs on for ``2 * edge``, and so on.
    """
    free = edge.contiguous(), (-edge).contiguous()
    stages: list[tuple[Tensor, ...]] = []
    for k in range(1, steps):
        paid, run = ((2 * k - 1) * edge + k * sigma).contiguous(), (2 * edge).contiguous()
        stages.append((paid, -paid, run, -run, torch.empty_like(paid)))

    def settle(dual: Tensor) -> None:
        for paid, minus_paid, run, minus_run, more in stages:
            torch.clamp(dual, minus_paid, paid, out=more)
            torch.sub(dual, more, out=more)
            torch.clamp(more, minus_run, run, out=more)
        torch.clamp(dual, free[1], free[0], out=dual)
        for stage in stages:
            dual.add_(stage[-1])

    return settle
