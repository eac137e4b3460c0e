"""Every number of the summaries: its interval over seeds, its difference to the baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mixwright.lab.analysis.families import common_seeds, families
from mixwright.lab.analysis.findings import Difference, Group
from mixwright.lab.analysis.statistics import Interval, t_interval
from mixwright.lab.analysis.statistics.multiplicity import holm
from mixwright.lab.analysis.statistics.runs import paired_t


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

    The methods that are compared with one baseline are a family of questions for each number:
    Holm's method lets one in twenty families claim a difference that is none, however many methods
    there are. Whole numbers are counts (of images) and settings, which have no difference.
    """
    found = {group.key: [numbers(summary) for summary in group.summaries] for group in groups}
    differences: dict[str, dict[str, Difference]] = {group.key: {} for group in groups}
    for family in families(groups):
        pairs = {own.key: common_seeds(own, base) for own, base in family}
        family = [(own, base) for own, base in family if pairs[own.key]]
        for path in dict.fromkeys(path for own, _ in family for path in _measures(own.first)):
            tests = {}
            for own, base in family:
                mine = [found[own.key][a].get(path, math.nan) for a, _ in pairs[own.key]]
                theirs = [found[base.key][b].get(path, math.nan) for _, b in pairs[own.key]]
                if all(map(math.isfinite, (*mine, *theirs))):
                    tests[own.key] = paired_t(mine, theirs)
            adjusted = holm([test.p for test in tests.values()])
            for (key, test), p_holm in zip(tests.items(), adjusted, strict=True):
                differences[key][path] = Difference(interval=test.interval, p=test.p, p_holm=p_holm)
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


def _measures(summary: Mapping[str, Any]) -> list[str]:
    """The numbers that measure: entries of lists have no name, whole numbers count or set."""
    return [
        path
        for path, value in _numbers("", summary)
        if isinstance(value, float) and not path.rpartition(".")[2].isdecimal()
    ]
