"""Several questions at once: p-values and intervals that hold for all of them together.

The family is declared before looking: the types of one pair of methods, the methods against one
baseline, the data sets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mixwright.lab.analysis.statistics.interval import Interval, difference_interval


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust the p-values of a family so that one in twenty families errs, not one in twenty tests.

    Holm's step-down: the smallest of m is multiplied by m, the next by m - 1, and so on, and none
    falls below the one before it, or above 1. It assumes nothing about how the tests depend on each
    other.

    Args:
        ps: unadjusted, in [0, 1]; NaN for a test that could not be made, which stays NaN and does
            not count.

    Raises:
        ValueError: a value is outside of [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03, 0.005])
        [0.03, 0.06, 0.06, 0.02]

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    odd = [p for p in ps if not (math.isnan(p) or 0 <= p <= 1)]
    if odd:
        raise ValueError(f"holm: {odd[0]} is no p-value; expected numbers in [0, 1], or NaN.")
    adjusted = [math.nan] * len(ps)
    order = sorted((place for place, p in enumerate(ps) if not math.isnan(p)), key=ps.__getitem__)
    floor = 0.0
    for rank, place in enumerate(order):
        floor = max(floor, min(1.0, (len(order) - rank) * ps[place]))
        adjusted[place] = floor
    return adjusted


def simultaneous_intervals(
    family: Sequence[Sequence[float]], level: float = 0.95
) -> list[Interval]:
    """Return t intervals that all hold at once, by Bonferroni's inequality.

    One of values that are all equal has no ends: no spread was measured.

    Args:
        family: for each question its values, such as differences paired by seed.
        level: share of families in which every interval holds its true mean, in (0, 1).

    Raises:
        ValueError: ``t_interval`` refuses the values or the level.

    Example:
        >>> from mixwright.lab.analysis.statistics.interval import t_interval
        >>> first, _ = simultaneous_intervals([[1.0, 2.0, 3.0], [1.0, 1.0, 4.0]])
        >>> round(first.half_width, 4) == round(t_interval([1.0, 2.0, 3.0], 0.975).half_width, 4)
        True
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"simultaneous_intervals: level is {level}; expected a share in (0, 1).")
    return [difference_interval(values, 1 - (1 - level) / len(family)) for values in family]
