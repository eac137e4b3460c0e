"""Methods against their baseline: all numbers of a family of questions, for runs and for images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.statistics import (
    Interval,
    bootstrap_interval,
    crossed_interval,
    holm,
    not_worse,
    paired_t,
    sign_flip_p,
    simultaneous_intervals,
)
from mixwright.lab.reports.sections.pairing import common
from mixwright.lab.reports.sections.section import Group
from mixwright.sampling import Stream, stream

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 0.003
"""A loss of accuracy that does not matter, for the claim that a method is no worse."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A method against its baseline, over runs and over images.

    Args:
        group: of the method.
        runs: difference of top-1, paired by seed, with its t interval; no ends for one pair.
        wide: the same with an interval that holds together with those of the whole family.
        p: of the t test over pairs; NaN for one pair.
        p_holm: the same, adjusted for the family.
        bound: lower end of the one-sided interval; NaN for one pair.
        images: mean difference per image with its bootstrap interval; None without arrays.
        crossed: interval over seeds and images at once; None without arrays.
        p_images: of sign flips over images, adjusted for the family; NaN without arrays.
    """

    group: Group
    runs: Interval
    wide: Interval
    p: float
    p_holm: float
    bound: float
    images: Interval | None
    crossed: Interval | None
    p_images: float


def top1(found: Mapping[str, Any]) -> float:
    """Top-1 in a summary of the part ``Accuracy``."""
    return float(found["top1"])


def judge(family: Sequence[tuple[Group, Group]]) -> list[Pair]:
    """All numbers of one family of methods.

    Args:
        family: methods with their baselines; those without common seeds are left out.

    Returns:
        one pair a method.
    """
    rows = [(own, base, common(own, base)) for own, base in family]
    rows = [row for row in rows if row[2]]
    scores = [_scores(*row) for row in rows]
    tests = [paired_t(own, other) for own, other in scores]
    gains = [[a - b for a, b in zip(own, other, strict=True)] for own, other in scores]
    over_images = [_images(*row, place=place) for place, row in enumerate(rows)]
    adjusted = zip(
        holm([test.p for test in tests]), holm([one[2] for one in over_images]), strict=True
    )
    return [
        Pair(
            group=row[0],
            runs=test.interval,
            wide=wide,
            p=test.p,
            p_holm=p_holm,
            bound=not_worse(gain, margin=MARGIN).bound,
            images=images[0],
            crossed=images[1],
            p_images=p_images,
        )
        for row, test, wide, gain, images, (p_holm, p_images) in zip(
            rows, tests, simultaneous_intervals(gains) if gains else [], gains, over_images,
            adjusted, strict=True,
        )
    ]  # fmt: skip


def _scores(
    own: Group, base: Group, places: Sequence[tuple[int, int]]
) -> tuple[list[float], list[float]]:
    mine, theirs = own.values(top1), base.values(top1)
    return [mine[a] for a, _ in places], [theirs[b] for _, b in places]


def _images(
    own: Group, base: Group, places: Sequence[tuple[int, int]], *, place: int
) -> tuple[Interval | None, Interval | None, float]:
    """Over images: mean difference per image, both ways drawn, and the p-value of sign flips."""
    mine = stacked(own, [a for a, _ in places])
    theirs = stacked(base, [b for _, b in places])
    if mine is None or theirs is None or mine.shape != theirs.shape or mine.shape[1] < 2:
        return None, None, math.nan
    per_image = (mine - theirs).mean(dim=0).numpy()
    words = (0, Stream.IMAGE_TESTS, place)
    return (
        bootstrap_interval(per_image, generator=stream(*words, 0)),
        crossed_interval(mine.numpy(), theirs.numpy(), generator=stream(*words, 1)),
        sign_flip_p(per_image, generator=stream(*words, 2)),
    )


def stacked(group: Group, places: Sequence[int]) -> Tensor | None:
    """Where runs are right, as numbers.

    Args:
        group: with ``correct`` among its arrays, the last axis over images.
        places: of the runs.

    Returns:
        ``(R, ..., n)`` float64 of {0, 1}; None where it was not kept for all of them.
    """
    import torch

    kept = [group.arrays[place].get("correct") for place in places if group.arrays]
    found = [one for one in kept if one is not None]
    if not found or len(found) < len(places) or len({one.shape for one in found}) > 1:
        return None
    return torch.stack(found).double()
