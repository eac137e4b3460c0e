"""Whether an advantage under corruption is the same for all types, and under which it is sure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mixwright.lab.analysis.families import common_seeds, families
from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.significance import stacked
from mixwright.lab.analysis.statistics import holm, sign_flip_p
from mixwright.lab.analysis.statistics.types import MOST_TYPES, AcrossTypes, across_types
from mixwright.lab.evaluation.corruption.constants import FAMILIES
from mixwright.sampling import Stream, stream

if TYPE_CHECKING:
    from torch import Tensor

FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}
"""Family of each type."""


@dataclass(frozen=True, kw_only=True)
class ByType:
    """A method against its baseline, type by type.

    Attributes:
        key: of the method's group.
        runs: pairs of runs that were averaged.
        differences: of accuracy by type, over severities, images and runs; fractions.
        p_holm: by type, of sign flips over images, adjusted for all types; NaN without arrays.
        across: over types.
        agreeing: families whose mean difference has the sign of the mean over types.
        p_t_holm: of ``across``, adjusted for the number of methods, as the next two.
        p_wilcoxon_holm: likewise.
        p_exact_holm: likewise.
    """

    key: str
    runs: int
    differences: dict[str, float]
    p_holm: dict[str, float]
    across: AcrossTypes
    agreeing: int
    p_t_holm: float = math.nan
    p_wilcoxon_holm: float = math.nan
    p_exact_holm: float = math.nan


@dataclass(frozen=True, kw_only=True)
class OverTypes:
    """All methods that have a baseline, in the order of the groups."""

    methods: tuple[ByType, ...]


def analyse(groups: Sequence[Group]) -> tuple[OverTypes | None, dict[str, Tensor]]:
    """Judge accuracies under corruption, from ``correct`` (types, severities, n) where it was kept.

    None where no method has a baseline, or too few types; no arrays.
    """
    pairs = [pair for family in families(groups) for pair in family]
    found = [by_type(*pair, place=place) for place, pair in enumerate(pairs)]
    methods = [method for method in found if method is not None]
    if not methods:
        return None, {}
    adjusted = zip(
        holm([method.across.p_t for method in methods]),
        holm([method.across.p_wilcoxon for method in methods]),
        holm([method.across.p_exact for method in methods]),
        strict=True,
    )
    whole = [
        replace(method, p_t_holm=p_t, p_wilcoxon_holm=p_wilcoxon, p_exact_holm=p_exact)
        for method, (p_t, p_wilcoxon, p_exact) in zip(methods, adjusted, strict=True)
    ]
    return OverTypes(methods=tuple(whole)), {}


def by_type(own: Group, base: Group, *, place: int = 0) -> ByType | None:
    """Compare one method with its baseline, without adjusting for the other methods.

    ``place``, of the method among all that have a baseline, is for its draws. None where they have
    no seeds or fewer than two types in common.
    """
    seeds = common_seeds(own, base)
    mine, theirs = ([run["by_type"] for run in group.summaries] for group in (own, base))
    types = [name for name in own.first["types"] if name in base.first["types"]]
    if not seeds or not 2 <= len(types) <= MOST_TYPES:
        return None
    differences = {
        name: math.fsum(mine[a][name] - theirs[b][name] for a, b in seeds) / len(seeds)
        for name in types
    }
    across = across_types(
        differences, generator=stream(0, Stream.ACROSS_TYPES, place), families=FAMILY_OF
    )
    return ByType(
        key=own.key,
        runs=len(seeds),
        differences=differences,
        p_holm=_per_type(own, base, seeds, types, place=place),
        across=across,
        agreeing=sum(mean * across.interval.mean > 0 for mean in across.families.values()),
    )


def _per_type(
    own: Group,
    base: Group,
    seeds: Sequence[tuple[int, int]],
    types: Sequence[str],
    *,
    place: int,
) -> dict[str, float]:
    """Adjusted p-value of each type, clustered by image."""
    mine, theirs = stacked(own, [a for a, _ in seeds]), stacked(base, [b for _, b in seeds])
    if mine is None or theirs is None or mine.shape[2:] != theirs.shape[2:]:
        return dict.fromkeys(types, math.nan)
    ps: list[float] = []
    for number, name in enumerate(types):
        gains = mine[:, own.first["types"].index(name)] - theirs[:, base.first["types"].index(name)]
        per_image = gains.mean(dim=(0, 1)).numpy()
        ps.append(sign_flip_p(per_image, generator=stream(0, Stream.PER_TYPE, place, number)))
    return dict(zip(types, holm(ps), strict=True))
