"""Whether methods differ from the baseline in top-1: for new runs, for new images, and by ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixwright.lab.analysis.families import common_seeds, families
from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.ranking import Ranking, ranking
from mixwright.lab.analysis.statistics import (
    Interval,
    bootstrap_interval,
    crossed_interval,
    differences,
    holm,
    not_worse,
    paired_t,
    runs_needed,
    sign_flip_p,
    simultaneous_intervals,
    wilson_interval,
)
from mixwright.lab.analysis.statistics.runs import NotWorse
from mixwright.sampling import Stream, stream

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 0.003
"""A loss of accuracy that does not matter, for the claim that a method is no worse."""


@dataclass(frozen=True, kw_only=True)
class AgainstBaseline:
    """A method against its baseline, over runs and over images.

    Attributes:
        key: of the method's group.
        baseline: key of the baseline's group.
        runs: difference of top-1, paired by seed, with its t interval; no ends for one pair.
        simultaneous: the same with an interval that holds together with those of the whole family.
        p: of the t test over pairs; NaN for one pair, and where all pairs differ by the same.
        p_holm: the same, adjusted for the family.
        not_worse: the one-sided bound; NaN likewise.
        images: mean difference per image with its bootstrap interval; None without arrays.
        crossed: interval over seeds and images at once; None without arrays.
        p_images: of sign flips over images; NaN without arrays.
        p_images_holm: the same, adjusted for the family.
    """

    key: str
    baseline: str
    runs: Interval
    simultaneous: Interval
    p: float
    p_holm: float
    not_worse: NotWorse
    images: Interval | None
    crossed: Interval | None
    p_images: float
    p_images_holm: float


@dataclass(frozen=True, kw_only=True)
class Family:
    """Methods with the same weights, which are one family of questions.

    Attributes:
        weights: of the methods.
        methods: in the order of the groups.
        runs_needed: pairs of runs whose intervals would be as narrow as ``MARGIN``, at the median
            spread of the differences; None where there is no spread to tell it from.
    """

    weights: str
    methods: tuple[AgainstBaseline, ...]
    runs_needed: int | None


@dataclass(frozen=True, kw_only=True)
class Significance:
    """All that is asked about top-1.

    Attributes:
        over_images: accuracy of each group of a single run with Wilson's interval over images,
            by key.
        families: of methods with a baseline.
        ranking: of the first kind of weights of which three groups have three common seeds.
    """

    over_images: dict[str, Interval] = field(default_factory=dict[str, Interval])
    families: tuple[Family, ...] = ()
    ranking: Ranking | None = None


def analyse(groups: Sequence[Group]) -> tuple[Significance, dict[str, Tensor]]:
    """Judge accuracies, from ``correct`` ``(n,)`` where it was kept; no arrays."""
    judged = [judge(family) for family in families(groups)]
    found = Significance(
        over_images={group.key: _over_images(group) for group in groups if len(group.seeds) == 1},
        families=tuple(family for family in judged if family.methods),
        ranking=_ranked(groups),
    )
    return found, {}


def judge(family: Sequence[tuple[Group, Group]]) -> Family:
    """Test one family of (method, baseline); those without common seeds are left out."""
    pairs = [(own, base, common_seeds(own, base)) for own, base in family]
    pairs = [pair for pair in pairs if pair[2]]
    scores = [_paired_scores(*pair) for pair in pairs]
    tests = [paired_t(own, other) for own, other in scores]
    gains = [differences(own, other) for own, other in scores]
    over_images = [_test_images(*pair, place=place) for place, pair in enumerate(pairs)]
    methods = [
        AgainstBaseline(
            key=own.key,
            baseline=base.key,
            runs=test.interval,
            simultaneous=simultaneous,
            p=test.p,
            p_holm=p_holm,
            not_worse=not_worse(gain, margin=MARGIN),
            images=images,
            crossed=crossed,
            p_images=p_images,
            p_images_holm=p_images_holm,
        )
        for (own, base, _), test, simultaneous, gain, (images, crossed, p_images), p_holm,
            p_images_holm
        in zip(
            pairs, tests, simultaneous_intervals(gains) if gains else [], gains, over_images,
            holm([test.p for test in tests]), holm([p for _, _, p in over_images]), strict=True,
        )
    ]  # fmt: skip
    return Family(
        weights=family[0][0].weights, methods=tuple(methods), runs_needed=_runs_needed(methods)
    )


def _ranked(groups: Sequence[Group]) -> Ranking | None:
    """The ranks of the first kind of weights that has enough groups and seeds."""
    kinds: dict[str, list[Group]] = {}
    for group in groups:
        kinds.setdefault(group.weights, []).append(group)
    found = (ranking(kind) for kind in kinds.values())
    return next((ranks for ranks in found if ranks is not None), None)


def stacked(group: Group, places: Sequence[int]) -> Tensor | None:
    """Return where runs are right, ``(R, ..., n)`` float64; None where it was not kept for all."""
    import torch

    kept = [group.arrays[place].get("correct") for place in places if group.arrays]
    found = [correct for correct in kept if correct is not None]
    if not found or len(found) < len(places) or len({correct.shape for correct in found}) > 1:
        return None
    return torch.stack(found).double()


def _top1(group: Group) -> list[float]:
    return [float(summary["top1"]) for summary in group.summaries]


def _over_images(group: Group) -> Interval:
    top1, images = float(group.first["top1"]), int(group.first["images"])
    low, high = wilson_interval(round(top1 * images), images)
    return Interval(top1, low, high, images, math.nan)


def _paired_scores(
    own: Group, base: Group, places: Sequence[tuple[int, int]]
) -> tuple[list[float], list[float]]:
    mine, theirs = _top1(own), _top1(base)
    return [mine[a] for a, _ in places], [theirs[b] for _, b in places]


def _test_images(
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


def _runs_needed(methods: Sequence[AgainstBaseline]) -> int | None:
    tested = [method for method in methods if not math.isnan(method.p_holm)]
    deviations = sorted(method.runs.deviation for method in tested)
    spread = deviations[len(deviations) // 2] if deviations else 0.0
    return runs_needed(MARGIN, deviation=spread, paired=True) if spread > 0 else None
