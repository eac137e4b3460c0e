"""Who gains where objects are small and where they are large, and whether the gains differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixwright.lab.analysis.families import common_seeds
from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.measures import interval
from mixwright.lab.analysis.statistics import Interval

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TaskGain:
    """What a method gains on another in one task; top-1, fractions, paired by seed.

    Attributes:
        small: where objects are small.
        large: where they are large.
        interaction: ``small`` less ``large``, taken seed by seed.
    """

    small: Interval
    large: Interval
    interaction: Interval


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What a method gains on another.

    Attributes:
        key: of the method's group.
        base: key of the other's.
        tasks: by name of the task; none where they have no seeds in common.
    """

    key: str
    base: str
    tasks: dict[str, TaskGain]


@dataclass(frozen=True, kw_only=True)
class Scenarios:
    """All gains.

    Attributes:
        base: key of the group that ``gains`` are on: the baseline, else the second of the pair.
        gains: of all other methods on it.
        differences: of all other methods to the second of the pair, the first of the pair in
            front.
        paired: whether both of the pair were trained, so that ``differences`` begins with theirs.
    """

    base: str
    gains: tuple[Gain, ...]
    differences: tuple[Gain, ...]
    paired: bool


def analyse(groups: Sequence[Group]) -> tuple[Scenarios, dict[str, Tensor]]:
    """Compare the methods of a scenario, see ``theory.scenarios.run``; no arrays."""
    first, second = groups[0].first["pair"]
    by_key = {group.key: group for group in groups}
    base = min(groups, key=lambda group: (not group.baseline, group.key != second))
    against = by_key.get(second, base)
    found = Scenarios(
        base=base.key,
        gains=tuple(gain(group, base) for group in groups if group is not base),
        differences=tuple(
            gain(group, against)
            for group in sorted(groups, key=lambda group: group.key != first)
            if group is not against
        ),
        paired={first, second} <= set(by_key),
    )
    return found, {}


def gain(own: Group, other: Group) -> Gain:
    """Return what a method gains on another in every task, over the seeds that both have."""
    pairs = common_seeds(own, other)

    def differences(score: Callable[[Group, int], float]) -> Interval:
        return interval([score(own, mine) - score(other, theirs) for mine, theirs in pairs])

    tasks = dict[str, TaskGain]()
    for task in own.first["tasks"] if pairs else ():
        small, large = (_top1(task, size) for size in ("small", "large"))
        tasks[task] = TaskGain(
            small=differences(small),
            large=differences(large),
            interaction=differences(
                lambda group, place, small=small, large=large: (
                    small(group, place) - large(group, place)
                )
            ),
        )
    return Gain(key=own.key, base=other.key, tasks=tasks)


def _top1(task: str, size: str) -> Callable[[Group, int], float]:
    def score(group: Group, place: int) -> float:
        value = group.summaries[place]["tasks"][task][size]["top1"]
        return math.nan if value is None else value

    return score
