"""Do two methods differ, for new runs? One score per run is the unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mixwright.lab.analysis.statistics.interval import (
    NO_SPREAD,
    Interval,
    difference_interval,
    differences,
    t_interval,
)


@dataclass(frozen=True)
class Difference:
    """A difference of two groups of runs, how sure it is, and by which test.

    Attributes:
        interval: of the difference; its deviation is that of the difference of two single runs.
        p: two-sided p-value of no difference, unadjusted; NaN where there is none.
        test: ``paired t`` or ``Welch t``.
        note: why several runs have no p-value; else empty.
    """

    interval: Interval
    p: float
    test: str
    note: str = ""


def paired_t(own: Sequence[float], other: Sequence[float], level: float = 0.95) -> Difference:
    """Compare runs that come in pairs: same seed, so same first weights, order and split.

    Args:
        own: one score per run, finite.
        other: scores of the other method, in the same order of seeds.
        level: share of such intervals that hold the true difference, in (0, 1).

    Returns:
        The mean of ``own - other``, with R - 1 degrees of freedom. One pair has neither interval
        nor p-value; nor have pairs that all differ by the same, 0 included, since no spread was
        measured.

    Raises:
        ValueError: the lengths differ, or ``t_interval`` refuses the values.

    Example:
        >>> found = paired_t([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5)
        >>> found.interval.mean, round(found.p, 7)
        (3.0, 0.0132356)
    """
    if len(own) != len(other):
        raise ValueError(
            f"paired_t: {len(own)} scores against {len(other)}; expected pairs, one of each for "
            "every seed. Leave out seeds that only one method has, or use welch_t."
        )
    interval = difference_interval(differences(own, other), level)
    note = NO_SPREAD if interval.no_spread else ""
    return Difference(interval=interval, p=_p_of(interval), test="paired t", note=note)


def welch_t(own: Sequence[float], other: Sequence[float], level: float = 0.95) -> Difference:
    """Compare runs that are not paired, with variances of their own, after Welch and Satterthwaite.

    Where the runs of each group are all equal, no spread was measured: there is no p-value.

    Args:
        own: one score per run, finite, at least two.
        other: scores of the other method, at least two.
        level: share of such intervals that hold the true difference, in (0, 1).

    Raises:
        ValueError: a group has fewer than two runs, or ``t_interval`` refuses its values.

    Example:
        >>> round(welch_t([1.0, 2.0, 3.0], [1.5, 3.0, 6.0]).p, 4)
        0.3817
    """
    if min(len(own), len(other)) < 2:
        raise ValueError(
            f"welch_t: {len(own)} and {len(other)} runs; expected at least two of each. One run "
            "says nothing of how far runs differ."
        )
    mine, theirs = t_interval(own, level), t_interval(other, level)
    mean = mine.mean - theirs.mean
    parts = [group.deviation**2 / group.count for group in (mine, theirs)]
    error = math.sqrt(sum(parts))
    count = len(own) + len(other)
    deviation = math.hypot(mine.deviation, theirs.deviation)
    if error == 0:
        interval = Interval(mean, math.nan, math.nan, count, 0.0)
        return Difference(interval, math.nan, "Welch t", NO_SPREAD)
    from scipy.stats import t as student

    freedom = sum(parts) ** 2 / sum(
        part**2 / (group.count - 1) for part, group in zip(parts, (mine, theirs), strict=True)
    )
    half = float(student.ppf((1 + level) / 2, freedom)) * error
    p = 2 * float(student.sf(abs(mean) / error, freedom))
    return Difference(Interval(mean, mean - half, mean + half, count, deviation), p, "Welch t")


def _p_of(interval: Interval) -> float:
    """Two-sided p-value of a mean of zero; NaN where there is no spread to measure it by."""
    if interval.count == 1 or interval.no_spread:
        return math.nan
    from scipy.stats import t as student

    error = interval.deviation / math.sqrt(interval.count)
    return 2 * float(student.sf(abs(interval.mean) / error, interval.count - 1))
