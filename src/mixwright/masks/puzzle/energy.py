"""The energy of a puzzle: which of two images each block of a grid should show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Puzzle:
    """An energy over labels of the blocks of a grid; label 0 shows the sample, L - 1 its partner.

    ``E(l) = sum_s unary[l_s, s] + sum_st edge_st * ((l_s - l_t) / (L - 1)) ** 2`` over pairs of
    neighbours.

    Attributes:
        unary: ``(B, L, h, w)`` floating, cost of each label at each block. Convex in the label.
        down: ``(B, h - 1, w)`` weight of the pair of a block and the one below, at least 0.
        right: ``(B, h, w - 1)`` weight of the pair of a block and the one to its right, likewise.
    """

    unary: Tensor
    down: Tensor
    right: Tensor

    @property
    def steps(self) -> int:
        """L - 1, the highest label."""
        return self.unary.shape[1] - 1

    def energy(self, label: Tensor) -> Tensor:
        """Return the energy of a labelling ``(B, h, w)`` int64 of {0, ..., L - 1}, ``(B,)``."""
        unary = self.unary.gather(1, label[:, None])[:, 0]
        share = label.to(self.unary.dtype) / self.steps
        down = self.down * share.diff(dim=1).square()
        right = self.right * share.diff(dim=2).square()
        return sum((part.sum(dim=(1, 2)) for part in (down, right)), unary.sum(dim=(1, 2)))


def block_puzzle(
    images: Tensor,
    saliency: Tensor,
    partner: Tensor,
    lam: Tensor,
    *,
    n_labels: int,
    beta: float,
    gamma: float,
    eta: float,
    neigh_size: int,
) -> Puzzle:
    """Weigh lost saliency against broken borders and a share that was asked for.

    Showing one image hides the other's saliency. Neighbours that show different images cost
    ``beta / (16 h)``, and more the more their pixels differ across the border; a prior of weight
    ``eta / (h w)`` per block draws the labels to ``Binomial(L - 1, lam)``.

    Args:
        images: ``(B, C, H, W)`` floating, in units in which pixels are in [0, 1]; h and w divide
            H and W.
        saliency: ``(B, h, w)`` share of each sample's saliency in each block; sums to 1.
        partner: ``(B,)`` int64, row of the other image.
        lam: ``(B,)`` share of the sample itself that the prior asks for, in [0, 1].
        n_labels: L, at least 2.
        beta: weight of the borders, ``gamma`` that of the pixels in it, ``eta`` of the prior.
        neigh_size: side of the squares over which pixels are averaged before they are compared,
            in pixels; the next divisor of a block's side below is taken.

    Source: Kim et al. 2020, arXiv:2009.06962, section 3; snu-mllab/PuzzleMix: mixup.py
    (``mixup_graph``), whose graph cut solves this form: the pixels' part of each border is split
    between its two blocks, and what is left is a weight on their disagreement.

    Departs from the authors' code in what keeps the prior finite, 1e-8 as the least probability:
    each logarithm of lam and of 1 - lam has a bound, so that the prior stays convex.
    """
    count, height, width = saliency.shape
    smooth = beta / (16 * height)
    # Cost of label 0 (the sample is shown, the partner's saliency is lost) and of label L - 1.
    own_cost, other_cost = saliency[partner].clone(), saliency.clone()
    pooled = _pooled(images, (height, width), neigh_size).to(saliency.dtype)
    weights: list[Tensor] = []
    for axis, blocks in ((1, height), (2, width)):
        before, after = _border(pooled, axis, blocks)
        scale = smooth * gamma
        # Differences across each border where its two blocks show both the sample (own), both the
        # partner (other), the sample and then the partner (there), or the reverse (back).
        own = scale * _contrast(before, after, axis, saliency)
        other = own[partner]
        there = scale * _contrast(before, after[partner], axis, saliency)
        back = scale * _contrast(before[partner], after, axis, saliency)
        own_cost.narrow(axis, 0, blocks - 1).add_((there + own) / 2)
        own_cost.narrow(axis, 1, blocks - 1).add_((back + own) / 2)
        other_cost.narrow(axis, 0, blocks - 1).add_((back + other) / 2)
        other_cost.narrow(axis, 1, blocks - 1).add_((there + other) / 2)
        weights.append(((there + back - own - other) / 2 + smooth).clamp_min(0))
    level = torch.linspace(0, 1, n_labels, dtype=saliency.dtype, device=saliency.device)
    level = level.view(1, n_labels, 1, 1)
    prior = share_prior(lam.to(saliency.dtype), n_labels).view(count, n_labels, 1, 1)
    unary = (1 - level) * own_cost[:, None] + level * other_cost[:, None]
    return Puzzle(unary + eta / (height * width) * prior, *weights)


def share_prior(lam: Tensor, n_labels: int) -> Tensor:
    """Return ``-log Binomial(L - 1, lam)`` at the count ``L - 1 - l`` of each label l, ``(B, L)``.

    It is convex along L and at most about 18.4, the logarithm of 1e8.

    Example:
        >>> share_prior(torch.tensor([0.5]), 3).exp().tolist()
        [[4.0, 2.0, 4.0]]
    """
    steps = n_labels - 1
    bound = math.log(1e-8) / steps
    own, other = lam.log().clamp_min(bound), torch.log1p(-lam).clamp_min(bound)
    costs = [
        -(math.log(math.comb(steps, label)) + (steps - label) * own + label * other)
        for label in range(n_labels)
    ]
    return torch.stack(costs, dim=1)


def _pooled(images: Tensor, grid: tuple[int, int], neigh_size: int) -> Tensor:
    """Average over squares that divide the blocks."""
    sides = [length // blocks for length, blocks in zip(images.shape[2:], grid, strict=True)]
    square = [max(m for m in range(1, neigh_size + 1) if side % m == 0) for side in sides]
    return F.avg_pool2d(images, square)


def _border(pooled: Tensor, axis: int, blocks: int) -> tuple[Tensor, Tensor]:
    """Give the cells before and after each border across rows (axis 1) or columns (axis 2)."""
    dim = axis + 1  # after the channels
    lines = pooled.unflatten(dim, (blocks, -1))
    before = lines.select(dim + 1, lines.shape[dim + 1] - 1).narrow(dim, 0, blocks - 1)
    return before, lines.select(dim + 1, 0).narrow(dim, 1, blocks - 1)


def _contrast(before: Tensor, after: Tensor, axis: int, like: Tensor) -> Tensor:
    """Give the mean difference of the cells along each border of two blocks."""
    change = (before - after).abs().mean(dim=1)
    along = 3 - axis  # a border between rows runs over the columns
    return change.unflatten(along, (like.shape[along], -1)).mean(dim=along + 1)
