"""Several methods on several blocks (seeds, data sets, types): which mean ranks differ.

Ranks forget how large a difference is, and so compare blocks that differ in difficulty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixwright.arguments import counted


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of methods over blocks, 1 for the best.

    Attributes:
        mean: one mean rank per method.
        blocks: number of blocks.
        p: Friedman's test of all methods being alike.
        distance: Nemenyi's critical difference: mean ranks closer than that cannot be told apart.
    """

    mean: tuple[float, ...]
    blocks: int
    p: float
    distance: float

    @property
    def alike(self) -> tuple[tuple[int, ...], ...]:
        """Largest groups of methods (by place) whose mean ranks cannot be told apart, best first.

        Only groups of two and more; a method that is apart from all others is in none.
        """
        order = sorted(range(len(self.mean)), key=self.mean.__getitem__)
        groups: list[tuple[int, ...]] = []
        reached = 0
        for start, first in enumerate(order):
            end = start
            while end < len(order) and self.mean[order[end]] - self.mean[first] < self.distance:
                end += 1
            if end - start > 1 and end > reached:  # else inside a group that is there
                groups.append(tuple(order[start:end]))
                reached = end
        return tuple(groups)


def mean_ranks(scores: npt.ArrayLike, *, level: float = 0.95) -> Ranks:
    """Rank methods within each block and average the ranks.

    Args:
        scores: ``(blocks, methods)`` finite, higher is better; at least two blocks and three
            methods. Equal scores share their mean rank.
        level: share of families in which no difference is claimed that is none, in (0, 1).

    Returns:
        Ranks in the order of the columns; p is 1 where all scores of every block are equal.

    Raises:
        ValueError: shape or values are out of range.

    Example:
        >>> found = mean_ranks([[0.9, 0.8, 0.7], [0.8, 0.9, 0.6], [0.9, 0.8, 0.8]])
        >>> [round(rank, 2) for rank in found.mean], round(found.distance, 2)
        ([1.33, 1.83, 2.83], 1.91)

    Source: Demsar 2006, Statistical Comparisons of Classifiers over Multiple Data Sets.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 3 or not np.isfinite(table).all():
        raise ValueError(
            f"mean_ranks: scores have shape {table.shape}; expected (blocks, methods), finite, of "
            "at least two blocks and three methods. Two methods are compared by paired_t."
        )
    from scipy.stats import friedmanchisquare, rankdata

    ranks = rankdata(-table, axis=1)
    blocks, methods = table.shape
    flat = bool((table == table[:, :1]).all())
    p = 1.0 if flat else float(friedmanchisquare(*table.T).pvalue)
    return Ranks(
        mean=tuple(float(rank) for rank in ranks.mean(axis=0)),
        blocks=blocks,
        p=p,
        distance=critical_difference(methods, blocks, level=level),
    )


def critical_difference(methods: int, blocks: int, *, level: float = 0.95) -> float:
    """Return how far apart mean ranks must lie to be told apart, by Nemenyi's test.

    ``q / sqrt(2) * sqrt(k (k + 1) / (6 N))`` with q of the studentised range, for k methods, at
    least 2, and N blocks, at least 1.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> round(critical_difference(4, 14), 2)
        1.25
    """
    if methods < 2 or blocks < 1 or not 0 < level < 1:
        raise ValueError(
            f"critical_difference: {counted(methods, 'method')}, {counted(blocks, 'block')}, level "
            f"{level}; expected at least 2 methods, 1 block and a level in (0, 1)."
        )
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(level, methods, math.inf))
    return q / math.sqrt(2) * math.sqrt(methods * (methods + 1) / (6 * blocks))
