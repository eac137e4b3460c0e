"""Several questions at once that do not share a spread: p-values that hold for all of them.

The family is declared before looking: the types of one pair of methods, the data sets. Methods
against one baseline, over runs, are the business of ``block_design``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


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
