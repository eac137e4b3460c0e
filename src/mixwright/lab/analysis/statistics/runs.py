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


@dataclass(frozen=True)
class NotWorse:
    """Whether a method is shown to be no worse than another by more than a margin.

    Attributes:
        bound: lower end of the one-sided interval of the difference.
        margin: what was allowed, above 0, in the unit of the differences.
        p: one-sided p-value of being worse by the margin or more; NaN for a single pair, and where
            no spread was measured.
    """

    bound: float
    margin: float
    p: float

    @property
    def shown(self) -> bool:
        """Whether the bound lies above minus the margin."""
        return self.bound > -self.margin


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


def not_worse(
    differences: Sequence[float], *, margin: float = 0.003, level: float = 0.95
) -> NotWorse:
    """Judge the claim "no worse", which a large p-value of a difference does not support.

    A single pair, and pairs that all differ by the same, have a bound of NaN and show nothing.

    Args:
        differences: paired by seed, own minus other, higher is better, finite.
        margin: a loss that does not matter, above 0; 0.003 is 0.3 points of accuracy.
        level: of the one-sided interval, in (0.5, 1).

    Raises:
        ValueError: an argument is out of range, or ``t_interval`` refuses the differences.

    Example:
        >>> not_worse([0.001, -0.001, 0.0, 0.001, 0.0]).shown
        True
    """
    if not margin > 0:
        raise ValueError(f"not_worse: margin is {margin}; expected a loss above 0, say 0.003.")
    if not 0.5 < level < 1:
        raise ValueError(f"not_worse: level is {level}; expected a share in (0.5, 1), say 0.95.")
    both = difference_interval(differences, 2 * level - 1)
    if both.count == 1 or both.no_spread:
        return NotWorse(bound=math.nan, margin=margin, p=math.nan)
    shifted = both.mean + margin
    error = both.deviation / math.sqrt(both.count)
    from scipy.stats import t as student

    p = float(student.sf(shifted / error, both.count - 1))
    return NotWorse(bound=both.low, margin=margin, p=p)


def runs_needed(
    half_width: float, *, deviation: float, paired: bool = False, level: float = 0.95
) -> int:
    """Return the runs per method, at least 2, after which an interval is as narrow as wanted.

    Args:
        half_width: half the length of the interval of the difference, above 0.
        deviation: standard deviation in the same unit: of single runs, or of the differences of
            pairs where ``paired``; at least 0.
        paired: whether runs come in pairs.
        level: of the interval, in (0, 1).

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> runs_needed(0.3, deviation=0.25)
        7
    """
    if not (half_width > 0 and deviation >= 0 and 0 < level < 1):
        raise ValueError(
            f"runs_needed: half_width is {half_width}, deviation {deviation} and level {level}; "
            "expected a width above 0, a deviation of at least 0 and a level in (0, 1)."
        )
    from scipy.stats import t as student

    groups = 1 if paired else 2

    def narrow(runs: int) -> bool:
        t = float(student.ppf((1 + level) / 2, groups * (runs - 1)))
        return t * deviation * math.sqrt(groups / runs) <= half_width

    high = 2
    while not narrow(high):
        high *= 2
    low = max(2, high // 2)
    while low < high:  # the width falls with every run
        middle = (low + high) // 2
        low, high = (low, middle) if narrow(middle) else (middle + 1, high)
    return high


def _p_of(interval: Interval) -> float:
    """Two-sided p-value of a mean of zero; NaN where there is no spread to measure it by."""
    if interval.count == 1 or interval.no_spread:
        return math.nan
    from scipy.stats import t as student

    error = interval.deviation / math.sqrt(interval.count)
    return 2 * float(student.sf(abs(interval.mean) / error, interval.count - 1))
