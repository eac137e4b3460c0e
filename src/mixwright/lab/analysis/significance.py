"""Whether checkpoints differ from the baseline's in top-1 on new images; ranks of methods."""

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
    holm,
    sign_flip_p,
    wilson_interval,
)
from mixwright.sampling import Stream, stream

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AgainstBaseline:
    """The runs of a method against those of its baseline, over images.

    Over runs, which is what tells methods apart, it is the difference of ``top1`` in the group.

    Attributes:
        key: of the method's group.
        baseline: key of the baseline's group.
        images: mean difference per image with its bootstrap interval; None without arrays.
        crossed: interval over seeds and images at once; None without arrays.
        p_images: of sign flips over images; NaN without arrays.
        p_images_holm: the same, adjusted for the family.
    """

    key: str
    baseline: str
    images: Interval | None
    crossed: Interval | None
    p_images: float
    p_images_holm: float


@dataclass(frozen=True, kw_only=True)
class Family:
    """Methods with the same weights, in the order of the groups: one family of questions."""

    weights: str
    methods: tuple[AgainstBaseline, ...]


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
    over_images = [_test_images(*pair, place=place) for place, pair in enumerate(pairs)]
    adjusted = holm([p for _, _, p in over_images])
    return Family(
        weights=family[0][0].weights,
        methods=tuple(
            AgainstBaseline(
                key=own.key,
                baseline=base.key,
                images=images,
                crossed=crossed,
                p_images=p,
                p_images_holm=p_holm,
            )
            for (own, base, _), (images, crossed, p), p_holm in zip(
                pairs, over_images, adjusted, strict=True
            )
        ),
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


def _over_images(group: Group) -> Interval:
    top1, images = float(group.first["top1"]), int(group.first["images"])
    low, high = wilson_interval(round(top1 * images), images)
    return Interval(top1, low, high, images, math.nan)


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
