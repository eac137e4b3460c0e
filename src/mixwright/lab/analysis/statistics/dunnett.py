"""The largest of several t values that share a baseline: Dunnett's distribution, and its power."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

POWER = 0.8
"""Chance of finding a difference that is called large enough to be found."""

MOST_SEEDS = 1000
"""A difference that would need more seeds is one that nobody will ever show."""

_TAIL = 1e-12  # of the chi distribution that is left out at either end
_NODES_CHI, _NODES_SHARED = 80, 64  # agree with twice as many to 1e-7


def largest_t_p(t: float, *, count: int, freedom: int, correlation: float = 0.5) -> float:
    """Return the chance that the largest of several absolute t values exceeds ``t``.

    Args:
        t: what was seen, at least 0.
        count: how many t values there are, at least 1.
        freedom: degrees of freedom of the spread that all of them share, at least 1.
        correlation: of any two differences, in [0, 1); 0.5 where all have as many runs.

    Example:
        >>> round(largest_t_p(2.57, count=2, freedom=10), 3)  # Dunnett's table: 2.57 at 5 %
        0.05

    Source: Dunnett 1955, Journal of the American Statistical Association 50, 1096-1121.
    """
    from scipy.stats import t as student

    if count == 1:
        return 2 * float(student.sf(t, freedom))
    from scipy.special import ndtr

    # Given the spread (u) and what is shared with the baseline (z), the t values are independent:
    # two nested integrals, in place of one over as many dimensions as there are methods.
    u, u_weight = _chi_nodes(freedom)
    z, z_weight = _normal_nodes()
    edge = t * u[:, None]
    shift, scale = math.sqrt(correlation) * z, math.sqrt(1 - correlation)
    outside = ndtr((-edge - shift) / scale) + ndtr((-edge + shift) / scale)
    with np.errstate(divide="ignore"):  # log of nothing inside: all of it is outside
        some = -np.expm1(count * np.log1p(-np.minimum(outside, 1.0)))
    return min(1.0, float(u_weight @ (some @ z_weight)))


@functools.lru_cache(maxsize=1024)
def largest_t_quantile(
    level: float, *, count: int, freedom: int, correlation: float = 0.5
) -> float:
    """Return the half width of simultaneous intervals in standard errors.

    Example:
        >>> round(largest_t_quantile(0.95, count=3, freedom=20), 2)  # Dunnett's table
        2.54
    """
    from scipy.optimize import brentq
    from scipy.stats import t as student

    # Between the quantile of one question and that of as many independent ones, by Bonferroni.
    low = float(student.isf((1 - level) / 2, freedom))
    high = float(student.isf((1 - level) / 2 / count, freedom))
    if count == 1:
        return low

    def excess(t: float) -> float:
        p = largest_t_p(t, count=count, freedom=freedom, correlation=correlation)
        return math.log(p / (1 - level))

    root: Any = brentq(excess, 0.999 * low, 1.001 * high, xtol=1e-7 * high)
    return float(root)


@functools.lru_cache(maxsize=1024)
def detectable_t(quantile: float, freedom: int) -> float:
    """Return the true difference, in standard errors, that exceeds ``quantile`` with ``POWER``."""
    from scipy.optimize import brentq
    from scipy.stats import nct, norm

    def short(true: float) -> float:
        return float(nct.sf(quantile, freedom, true)) - POWER

    high = 2 * quantile + 4 * float(norm.isf(1 - POWER)) + 1
    root: Any = brentq(short, 0.0, high, xtol=1e-4)
    return float(root)


def seeds_to_show(
    difference: float,
    *,
    deviation: float,
    methods: int,
    pooled: bool = True,
    level: float = 0.95,
) -> int | None:
    """Return how many seeds of each method would show a true difference with ``POWER``.

    Args:
        difference: true one, in the unit of the scores; its sign does not matter.
        deviation: standard deviation of a single run, at least 0.
        methods: compared with the baseline, at least 1, each with as many seeds.
        pooled: whether their spread is one; else a method is judged by its own pairs alone, with
            Bonferroni's correction.
        level: of the simultaneous intervals.

    Returns:
        at least 2; None for more than ``MOST_SEEDS``.

    Example:
        >>> seeds_to_show(2.0, deviation=1.0, methods=6)
        7
    """

    def enough(seeds: int) -> bool:
        freedom = (methods if pooled else 1) * (seeds - 1)
        quantile = (
            largest_t_quantile(level, count=methods, freedom=freedom)
            if pooled
            else largest_t_quantile(1 - (1 - level) / methods, count=1, freedom=freedom)
        )
        error = deviation * math.sqrt(2 / seeds)
        return detectable_t(quantile, freedom) * error <= abs(difference)

    low, high = 2, 2
    while not enough(high):
        if high >= MOST_SEEDS:
            return None
        low, high = high + 1, min(2 * high, MOST_SEEDS)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


@functools.cache
def _normal_nodes() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES_SHARED)
    nodes = 8 * nodes
    return nodes, 8 * weights * np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)


@functools.lru_cache(maxsize=256)
def _chi_nodes(freedom: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Nodes and weights for the spread in units of its true size, spaced by its logarithm.

    A large t value is decided where the spread came out small by chance, over many orders of
    magnitude for one degree of freedom.
    """
    from scipy.stats import chi2

    ends = np.log([chi2.ppf(_TAIL, freedom), chi2.isf(_TAIL, freedom)])
    nodes, weights = np.polynomial.legendre.leggauss(_NODES_CHI)
    half, middle = (ends[1] - ends[0]) / 2, ends.mean()
    square = np.exp(middle + half * nodes)  # of chi, itself distributed as chi squared
    return np.sqrt(square / freedom), half * weights * square * chi2.pdf(square, freedom)
