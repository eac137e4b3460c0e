"""Is an advantage the same for all corruption types? One value per type is the unit.

Types are a fixed set, not a sample, and those of a family resemble each other: every number here
describes this set, and with one run per method it speaks of two checkpoints alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Generator

from mixwright.lab.analysis.statistics.images import bootstrap_interval
from mixwright.lab.analysis.statistics.interval import ROUNDING, Interval
from mixwright.lab.analysis.statistics.runs import paired_t

MOST_TYPES = 22
"""Types up to which all patterns of signs are gone through: 4 million."""


@dataclass(frozen=True)
class AcrossTypes:
    """How a difference of two methods holds over corruption types.

    Attributes:
        interval: mean difference over types with its t interval.
        bca: the same with a bootstrap over types.
        p_t: paired t test over types.
        p_wilcoxon: signed-rank test; exact where no two differences are of one size.
        p_exact: over all patterns of signs.
        ahead: types whose difference is above 0.
        behind: types whose difference is below 0.
        families: mean difference of each family, where families were given.
    """

    interval: Interval
    bca: Interval
    p_t: float
    p_wilcoxon: float
    p_exact: float
    ahead: int
    behind: int
    families: dict[str, float] = field(default_factory=dict[str, float])


def across_types(
    differences: Mapping[str, float],
    *,
    generator: Generator,
    families: Mapping[str, str] | None = None,
    level: float = 0.95,
) -> AcrossTypes:
    """Judge whether one method is ahead consistently over corruption types.

    Args:
        differences: by type, own minus other, averaged over severities, images and runs; finite,
            at least two and at most ``MOST_TYPES``.
        generator: source of the bootstrap's randomness.
        families: the family of each type, for a look at whether all of them agree.
        level: of the intervals, in (0, 1).

    Raises:
        ValueError: too few or too many types, values that are not finite, or a type without a
            family.

    Example:
        >>> import torch
        >>> rng = torch.Generator().manual_seed(0)
        >>> found = across_types({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}, generator=rng)
        >>> round(found.p_t, 7), found.p_wilcoxon, found.p_exact
        (0.0132356, 0.0625, 0.0625)
    """
    from scipy.stats import wilcoxon

    values = np.array(list(differences.values()), dtype=np.float64)
    p_exact = exact_sign_flip_p(values)
    lost = [name for name in differences if families is not None and name not in families]
    if lost or len(values) < 2:
        raise ValueError(
            f"across_types: {len(values)} types, of which {lost} have no family; expected at least "
            "two types, and a family for each where families are given."
        )
    compared = paired_t(values.tolist(), [0.0] * len(values), level)
    ranked: Any = wilcoxon(values) if values.any() else None  # scipy refuses zeros alone
    groups: dict[str, list[float]] = {}
    for name, value in differences.items():
        if families is not None:
            groups.setdefault(families[name], []).append(float(value))
    return AcrossTypes(
        interval=compared.interval,
        bca=bootstrap_interval(values, generator=generator, level=level),
        p_t=compared.p,
        p_wilcoxon=1.0 if ranked is None else float(ranked.pvalue),
        p_exact=p_exact,
        ahead=int((values > 0).sum()),
        behind=int((values < 0).sum()),
        families={name: sum(group) / len(group) for name, group in groups.items()},
    )


def exact_sign_flip_p(values: npt.ArrayLike) -> float:
    """Test whether differences are centred on zero, over all patterns of their signs.

    The two-sided p-value is the share of the ``2**c`` patterns whose sum is at least as far from
    zero as what was seen.

    Args:
        values: ``(c,)`` finite, at least one and at most ``MOST_TYPES``.

    Raises:
        ValueError: shape or values are out of range.

    Example:
        >>> exact_sign_flip_p([1.0, 2.0, 3.0, 4.0, 5.0])
        0.0625
    """
    taken = np.asarray(values, dtype=np.float64)
    if taken.ndim != 1 or not 1 <= len(taken) <= MOST_TYPES or not np.isfinite(taken).all():
        raise ValueError(
            f"exact_sign_flip_p: values have shape {taken.shape}; expected 1 to {MOST_TYPES} "
            "finite differences. For more, sign_flip_p draws patterns at random."
        )
    # Each value doubles the sums, so that the last ones are those of all patterns: at most 4
    # million, faster than a loop over patterns and exact where random flips are not.
    sums = np.zeros(1)
    for value in taken:
        sums = np.concatenate([sums + value, sums - value])
    least = abs(taken.sum()) - ROUNDING * np.abs(taken).sum()
    return float((np.abs(sums) >= least).mean())
