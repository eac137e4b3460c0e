"""Every number of the summaries: its interval over seeds, its difference to the baseline."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mixwright.lab.analysis.families import common_seeds, families
from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.statistics import Contrast, Interval, t_interval
from mixwright.lab.analysis.statistics.block_design import many_to_one


def numbers(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a summary by their path, in order.

    Words, truth values and lists of mappings (the rows of a table, such as the bins of a
    reliability diagram) are left out.

    Example:
        >>> numbers({"top1": 0.5, "bins": {"15": {"ece": 0.1}}, "at": [1, None], "note": "x"})
        {'top1': 0.5, 'bins.15.ece': 0.1, 'at.0': 1.0}
    """
    return {path: float(value) for path, value in _numbers("", summary)}


def _numbers(path: str, value: Any) -> Iterator[tuple[str, int | float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            if not isinstance(inner, Mapping):
                yield from _numbers(f"{path}.{place}", inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def interval(values: Sequence[float]) -> Interval:
    """Return the t interval over runs; NaN throughout where a run has no such number."""
    if all(map(math.isfinite, values)):
        return t_interval(values)
    return Interval(math.nan, math.nan, math.nan, len(values), math.nan)


def with_statistics(groups: Sequence[Group]) -> tuple[Group, ...]:
    """Fill in the intervals of every number, and the differences to the baseline.

    The methods that are compared with one baseline are a family of questions for each number
    (``many_to_one``): one in twenty families claims a difference that is none, however many methods
    there are. Whole numbers are counts (of images) and settings, which have no difference.
    """
    found = {group.key: [numbers(summary) for summary in group.summaries] for group in groups}
    differences: dict[str, dict[str, Contrast]] = {group.key: {} for group in groups}
    for family in families(groups):
        base = family[0][1]  # one for all: they have the same weights
        pairs = {own.key: (own, seeds) for own, _ in family if (seeds := common_seeds(own, base))}
        for path in dict.fromkeys(
            path for own, _ in pairs.values() for path in _measures(own.first)
        ):
            theirs = _by_seed(base, found, path)
            scores = {
                key: {seed: score for seed, score in _by_seed(own, found, path).items()
                      if seed in theirs}
                for key, (own, _) in pairs.items()
            }  # fmt: skip
            known = {
                key: own
                for key, own in scores.items()
                if all(math.isfinite(own[seed]) and math.isfinite(theirs[seed]) for seed in own)
            }
            used = {seed for own in known.values() for seed in own}
            for key, contrast in many_to_one({seed: theirs[seed] for seed in used}, known).items():
                differences[key][path] = contrast
    return tuple(
        replace(
            group,
            intervals={
                path: interval([run.get(path, math.nan) for run in found[group.key]])
                for path in dict.fromkeys(path for run in found[group.key] for path in run)
            },
            differences=differences[group.key],
        )
        for group in groups
    )


def _by_seed(
    group: Group, found: Mapping[str, Sequence[Mapping[str, float]]], path: str
) -> dict[Hashable, float]:
    """One number of every run; a seed that a record names twice counts at its first place."""
    scores = [run.get(path, math.nan) for run in found[group.key]]
    return dict(reversed([*zip(group.seeds, scores, strict=True)]))


def _measures(summary: Mapping[str, Any]) -> list[str]:
    """The numbers that measure: entries of lists have no name, whole numbers count or set."""
    return [
        path
        for path, value in _numbers("", summary)
        if isinstance(value, float) and not path.rpartition(".")[2].isdecimal()
    ]
