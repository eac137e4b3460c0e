"""The one interval: of a mean over independent runs, by Student's t."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

ROUNDING = 1e-12
"""Relative to the numbers that values were computed from: what differs by less is equal."""

NO_SPREAD = "no spread was measured"
"""Why several values have neither interval nor p-value: all of them are equal."""


@dataclass(frozen=True)
class Interval:
    """A mean over runs and where it would lie for other seeds.

    Attributes:
        mean: mean of the values.
        low: lower end of the interval; NaN for one value, and for differences that are all equal.
        high: upper end of the interval; likewise.
        count: number of values.
        deviation: sample standard deviation (divisor n - 1); NaN for one value, and 0 for several
            that are equal up to rounding.
    """

    mean: float
    low: float
    high: float
    count: int
    deviation: float

    @property
    def no_spread(self) -> bool:
        """Whether it has no ends because all differences are equal.

        Runs that agree to the last image say how coarse the score is, not how sure it is.
        """
        return self.count > 1 and self.deviation == 0 and math.isnan(self.low)

    @property
    def half_width(self) -> float:
        """Half the length of the interval, what stands behind the plus-minus sign."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A number of a method less that of its baseline, over the seeds that both have.

    Attributes:
        interval: mean difference with its simultaneous interval; no ends for one seed, and where
            no spread was measured. Its deviation is that of the difference of two single runs.
        own: mean of the method over those seeds.
        baseline: mean of the baseline over those seeds.
        p: two-sided, adjusted for all methods of the family; NaN where there are no ends.
        above: seeds in which the method's number is the higher one.
        below: seeds in which it is the lower one.
        detectable: smallest true difference that these seeds would have shown with a chance of
            ``dunnett.POWER``; NaN where there are no ends.
        freedom: degrees of freedom of the spread; 0 where there is none.
        pooled: whether the spread is that of all methods, not of this one alone.
    """

    interval: Interval
    own: float
    baseline: float
    p: float
    above: int
    below: int
    detectable: float = math.nan
    freedom: int = 0
    pooled: bool = False


@functools.lru_cache(maxsize=256)
def t_quantile(level: float, freedom: int) -> float:
    """Return the half width of a two-sided t interval in standard errors.

    Kept: a record has thousands of intervals over few different counts, and SciPy's quantile takes
    a tenth of a millisecond.
    """
    from scipy.stats import t as student

    return float(student.ppf((1 + level) / 2, freedom))


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean of runs with its t interval, in the unit of the values.

    With few seeds a t interval covers what it says (95.1 % at five), while a percentile bootstrap
    covers less (83.6 %): it is the interval of every table. One run has no interval: its ends and
    its deviation are NaN.

    Args:
        values: one score per independent run, finite, at least one.
        level: share of such intervals that hold the true mean, in (0, 1).

    Raises:
        ValueError: no values, one that is not finite, or ``level`` out of range.

    Example:
        >>> interval = t_interval([1.0, 2.0, 3.0, 4.0, 5.0])
        >>> interval.mean, round(interval.low, 4), round(interval.high, 4)
        (3.0, 1.0368, 4.9632)
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"t_interval: level is {level}; expected a share in (0, 1), say 0.95.")
    odd = [value for value in values if not math.isfinite(value)]
    if len(values) == 0 or odd:
        raise ValueError(
            f"t_interval: {len(values)} values of which {len(odd)} are not finite; expected at "
            "least one, all finite. Leave out runs that failed, and say so."
        )
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Interval(mean=mean, low=math.nan, high=math.nan, count=1, deviation=math.nan)
    if equal(values):
        return Interval(mean=mean, low=mean, high=mean, count=count, deviation=0.0)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = t_quantile(level, count - 1) * deviation / math.sqrt(count)
    return Interval(mean=mean, low=mean - half, high=mean + half, count=count, deviation=deviation)


def difference_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """``t_interval`` of differences, without ends where all are equal.

    An interval of no length would claim a difference, which is what the interval is asked about.
    """
    found = t_interval(values, level)
    still = found.count > 1 and found.deviation == 0
    return replace(found, low=math.nan, high=math.nan) if still else found


def equal(values: Sequence[float], size: float = 0.0) -> bool:
    """Return whether values differ by rounding alone; ``size`` is that of what they come from.

    Example:
        >>> equal([0.1 + 0.2, 0.3]), equal([0.9 - 0.8, 0.8 - 0.7], size=0.9)
        (True, True)
    """
    size = max(size, *map(abs, values))
    return max(values) - min(values) <= ROUNDING * size


def differences(own: Sequence[float], other: Sequence[float]) -> list[float]:
    """Return ``own - other``, pair by pair; those that rounding alone tells apart are made equal.

    Example:
        >>> differences([0.9, 0.8, 0.7], [0.8, 0.7, 0.6]) == [0.9 - 0.8] * 3
        True
    """
    found = [a - b for a, b in zip(own, other, strict=True)]
    size = max(map(abs, (*own, *other)), default=0.0)
    return [found[0]] * len(found) if found and equal(found, size) else found
