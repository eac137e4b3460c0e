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
    """Return how far the shares of pixels are from those that were asked for.

    Args:
        areas: ``(B,)`` floating, the mean of each mask.
        asked: ``(B,)`` floating, the share it should have.

    Returns:
        The mean absolute difference, in [0, 1]; 0 for methods that are exact.

    Raises:
        ValueError: the shapes are not one and the same ``(B,)``.

    Example:
        >>> area_error(torch.tensor([0.5, 0.25]), torch.tensor([0.5, 0.75]))
        0.25
    """
    _check_like("area_error", areas, asked, dims=1)
    return float((areas.double() - asked.double()).abs().mean())


def label_error(areas: Tensor, weights: Tensor) -> float:
    """Return how much of a label speaks of another image than the pixels show.

    Args:
        areas: ``(B, N)`` floating, the share of pixels of each source.
        weights: ``(B, N)`` floating, its share of the label.

    Returns:
        The mean total variation, ``sum_n |area_n - weight_n| / 2``, in [0, 1].

    Raises:
        ValueError: the shapes are not one and the same ``(B, N)``.

    Example:
        >>> label_error(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]]))
        0.5
    """
    _check_like("label_error", areas, weights, dims=2)
    return float((areas.double() - weights.double()).abs().sum(dim=1).mean() / 2)


def degenerate_share(areas: Tensor, *, least: float = DEGENERATE) -> float:
    """Return the share of mixtures that are hardly mixed.

    Args:
        areas: ``(B, N)`` floating, the share of pixels of each source.
        least: a mixture is degenerate where one source has more than ``1 - least``; for two
            sources: where the own share is below ``least`` or above ``1 - least``. In [0, 0.5).

    Returns:
        A share in [0, 1].

    Raises:
        ValueError: ``areas`` is not ``(B, N)``, or ``least`` is out of range.

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
    """Return the largest gap between two cumulative distributions (Kolmogorov and Smirnov).

    Args:
        values: ``(n,)`` finite, what was drawn, n at least 1.
        law: the distribution it should follow, as a function from an array of numbers to their
            cumulative probabilities; or ``(m,)`` other draws of it.

    Returns:
        A distance in [0, 1]. For n independent draws of the law itself it is below
        ``1.36 / sqrt(n)`` in 95 of 100 cases (``ks_noise``).

    Raises:
        ValueError: there are no values.

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
    """Give the distance that ``count`` draws of the law itself exceed in 1 of 20 cases, roughly."""
    return 1.36 / math.sqrt(count)


def nearest_distance(points: Tensor, reals: Tensor, *, without: Tensor | None = None) -> Tensor:
    """Return how far each point is from the nearest real one.

    Args:
        points: ``(B, D)`` floating, features of mixtures.
        reals: ``(R, D)`` floating, features of real images.
        without: ``(B, M)`` int64, rows of ``reals`` that do not count for a point, such as the
            images it was mixed from; -1 for none. Real points are given their own row.

    Returns:
        ``(B,)`` float64, Euclidean; infinite where no real point is left.

    Raises:
        ValueError: the shapes do not belong together.

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
        one_more = torch.cat([apart, apart.new_zeros(len(apart), 1)], dim=1)  # -1 names this one
        apart = one_more.scatter(1, without % one_more.shape[1], math.inf)[:, :-1]
    return apart.amin(dim=1)


def _check_like(name: str, one: Tensor, other: Tensor, *, dims: int) -> None:
    if one.shape != other.shape or one.ndim != dims:
        raise ValueError(
            f"{name}: got {tuple(one.shape)} and {tuple(other.shape)}; expected the same shape, "
            f"with {dims} {'axis' if dims == 1 else 'axes'}."
        )
