"""Mean ranks of methods over seeds, by top-1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import Group

if TYPE_CHECKING:
    from torch import Tensor

_FEWEST = 3  # methods, and seeds: of fewer there is nothing to rank


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Mean ranks of the methods with one kind of weights over the seeds that all have.

    Attributes:
        weights: the kind.
        keys: of the groups.
        mean: the mean rank of each, 1 for the best.
        alike: places of groups whose mean ranks cannot be told apart, largest sets only.
        seeds: those that every method has.
        p: Friedman's test of all being alike.
        distance: Nemenyi's critical difference, at 5 %.
    """

    weights: str
    keys: tuple[str, ...]
    mean: tuple[float, ...]
    alike: tuple[tuple[int, ...], ...]
    seeds: tuple[int, ...]
    p: float
    distance: float


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """What the analysis of a comparison's scores adds.

    Attributes:
        ranking: None for fewer than three methods or three seeds that all have.
    """

    ranking: Ranking | None


def analyse(groups: Sequence[Group]) -> tuple[Ranked, dict[str, Tensor]]:
    """Rank the methods by top-1 of the trained weights."""
    return Ranked(ranking=ranking([group for group in groups if group.weights == "raw"])), {}


def ranking(groups: Sequence[Group]) -> Ranking | None:
    """Rank groups by top-1 within each seed; None for fewer than three groups or common seeds."""
    scores = [
        {seed: float(one["top1"]) for seed, one in zip(group.seeds, group.summaries, strict=True)}
        for group in groups
    ]
    common = set(scores[0]).intersection(*scores) if scores else set[int | None]()
    seeds = sorted(seed for seed in common if seed is not None)
    if len(groups) < _FEWEST or len(seeds) < _FEWEST:
        return None
    from mixwright.lab.analysis.statistics.ranks import mean_ranks

    ranks = mean_ranks([[by_seed[seed] for by_seed in scores] for seed in seeds])
    return Ranking(
        weights=groups[0].weights,
        keys=tuple(group.key for group in groups),
        mean=ranks.mean,
        alike=ranks.alike,
        seeds=tuple(seeds),
        p=ranks.p,
        distance=ranks.distance,
    )
