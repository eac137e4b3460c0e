"""Whether masks and labels are what was asked for, and how far mixtures lie from real images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

DEGENERATE = 0.02
"""A source with a smaller share of the pixels than this is hardly there."""

Cdf = Callable[[Any], Any]
"""Cumulative distribution function of an array of numbers."""


def area_error(areas: Tensor, asked: Tensor) -> float:
    """Return the mean absolute difference of the shares of pixels ``(B,)`` from those asked for.

    Example:
        >>> area_error(torch.tensor([0.5, 0.25]), torch.tensor([0.5, 0.75]))
        0.25
    """
    _check_like("area_error", areas, asked, dims=1)
    return float((areas.double() - asked.double()).abs().mean())


def label_error(areas: Tensor, weights: Tensor) -> float:
    """Return how much of a label speaks of another image than the pixels show, in [0, 1].

    The mean total variation of shares ``(B, N)`` of the pixels and of the label.

    Example:
        >>> label_error(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]]))
        0.5
    """
    _check_like("label_error", areas, weights, dims=2)
    return float((areas.double() - weights.double()).abs().sum(dim=1).mean() / 2)


def degenerate_share(areas: Tensor, *, least: float = DEGENERATE) -> float:
    """Return the share of mixtures in which one source has more than ``1 - least`` of the pixels.

    ``areas`` are ``(B, N)``, the share of pixels of each source; ``least`` is in [0, 0.5).

    Example:
        >>> degenerate_share(torch.tensor([[0.99, 0.01], [0.5, 0.5]]))
        0.5
    """
    if areas.ndim != 2 or not 0 <= least < 0.5:
        raise ValueError(
            f"degenerate_share: areas are {tuple(areas.shape)} and least is {least}; expected "
            "(B, N) and a share in [0, 0.5)."
        )
    return float((areas.amax(dim=1) > 1 - least).double().mean())


def ks_distance(values: Tensor, law: Cdf | Tensor) -> float:
    """Return the largest gap, in [0, 1], of two distributions (Kolmogorov and Smirnov).

    The law that the draws ``(n,)`` should follow is a cumulative distribution function, or ``(m,)``
    other draws of it.

    Example:
        >>> ks_distance(torch.tensor([0.25, 0.75]), lambda x: x)
        0.25
        >>> ks_distance(torch.tensor([0.0, 1.0]), torch.tensor([1.0]))
        0.5
    """
    if values.ndim != 1 or len(values) == 0 or (isinstance(law, Tensor) and len(law) == 0):
        raise ValueError(
            f"ks_distance: values are {tuple(values.shape)}; expected (n,) with n at least 1, and "
            "as much of the other sample."
        )
    drawn = values.double().sort().values.cpu()
    if isinstance(law, Tensor):
        others = law.double().sort().values.cpu()
        places = torch.cat([drawn, others])
        own = torch.searchsorted(drawn, places, right=True) / len(drawn)
        theirs = torch.searchsorted(others, places, right=True) / len(others)
        return float((own.double() - theirs.double()).abs().max())
    expected = torch.as_tensor(law(drawn.numpy()), dtype=torch.float64)
    after = torch.searchsorted(drawn, drawn, right=True).double() / len(drawn)
    before = torch.searchsorted(drawn, drawn).double() / len(drawn)
    return float(torch.maximum(after - expected, expected - before).max())


def ks_noise(count: int) -> float:
    """Return the distance that ``count`` draws of the law itself exceed in about 1 of 20 cases."""
    return 1.36 / math.sqrt(count)


def nearest_distance(points: Tensor, reals: Tensor, *, without: Tensor | None = None) -> Tensor:
    """Return ``(B,)`` float64, how far each of ``points (B, D)`` is from the nearest real one.

    ``without`` ``(B, M)`` int64 are rows of ``reals (R, D)`` that do not count for a point, such as
    the images it was mixed from; -1 for none. Infinite where no real point is left.

    Example:
        >>> reals = torch.tensor([[0.0], [3.0]])
        >>> nearest_distance(torch.tensor([[1.0]]), reals).tolist()
        [1.0]
        >>> nearest_distance(reals, reals, without=torch.tensor([[0], [1]])).tolist()
        [3.0, 3.0]
    """
    if points.ndim != 2 or reals.ndim != 2 or points.shape[1] != reals.shape[1]:
        raise ValueError(
            f"nearest_distance: points are {tuple(points.shape)} and reals {tuple(reals.shape)}; "
            "expected (B, D) and (R, D)."
        )
    # Not by inner products, whose rounding hides that a point is a real one.
    apart = torch.cdist(
        points.double(), reals.double(), compute_mode="donot_use_mm_for_euclid_dist"
    )
    if without is not None:
        # One more column, for -1 to name, so that every row can be scattered alike.
        wider = torch.cat([apart, apart.new_zeros(len(apart), 1)], dim=1)
        apart = wider.scatter(1, without % wider.shape[1], math.inf)[:, :-1]
    return apart.amin(dim=1)


def _check_like(name: str, own: Tensor, other: Tensor, *, dims: int) -> None:
    if own.shape != other.shape or own.ndim != dims:
        raise ValueError(
            f"{name}: got {tuple(own.shape)} and {tuple(other.shape)}; expected the same shape, "
            f"with {dims} {'axis' if dims == 1 else 'axes'}."
        )
