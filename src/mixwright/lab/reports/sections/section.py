"""A section of a report: what was measured in one sentence, its table, its figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.statistics import Interval, t_interval
from mixwright.lab.reports.palette import Shade

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

Read = Callable[[Mapping[str, Any]], float | None]
"""From a summary to one of its numbers; None where it has none."""

Shades = Mapping[str, Shade]
"""Colour of each group, by its key."""


@dataclass(frozen=True, eq=False)
class Group:
    """What one evaluation found for one method (or model), over its seeds.

    Args:
        key: unique among the groups of a report; key of ``Shades``.
        label: how people call it.
        seeds: of its runs; (None,) for a single model that has none.
        summaries: one ``Measurement.summary`` a seed, as read back from JSON.
        arrays: one ``Measurement.arrays`` a seed.
        baseline: whether others are compared with it.
    """

    key: str
    label: str
    seeds: tuple[int | None, ...]
    summaries: tuple[Mapping[str, Any], ...]
    arrays: tuple[Mapping[str, Tensor], ...] = ()
    baseline: bool = False

    def values(self, read: Read) -> list[float]:
        """One number a seed; NaN where there is none."""
        found = [read(summary) for summary in self.summaries]
        return [math.nan if one is None else float(one) for one in found]

    def interval(self, read: Read) -> Interval:
        """Mean over seeds with its t interval; the ends are NaN for one seed."""
        return _interval(self.values(read))

    def difference(self, other: Group, read: Read) -> Interval | None:
        """Of a number to that of another group, paired by seed; None without common seeds."""
        theirs = dict(zip(other.seeds, other.values(read), strict=True))
        pairs = [
            own - theirs[seed]
            for seed, own in zip(self.seeds, self.values(read), strict=True)
            if seed in theirs
        ]
        return _interval(pairs) if pairs else None


def _interval(values: Sequence[float]) -> Interval:
    """The t interval; NaN throughout where a run has no such number."""
    if all(map(math.isfinite, values)):
        return t_interval(values)
    return Interval(math.nan, math.nan, math.nan, len(values), math.nan)


@dataclass(frozen=True)
class Table:
    """Rows of text, ready to be shown.

    Args:
        head: heads of the columns.
        rows: one cell a column; the first names the row.
        caption: a sentence below it.
        keys: for each row the key of its group, for the coloured dot; None for none.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    keys: tuple[str | None, ...] = ()


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure that is drawn at the width that is asked for.

    Args:
        name: of its file, letters, digits and dashes.
        caption: what is seen, in a sentence or two.
        make: from a width in inches (6.6 for wide pages, 3.7 for narrow ones) to the figure.
        vector: False for figures made of pixels (maps, heat maps), which go into the page as PNG.
    """

    name: str
    caption: str
    make: Callable[[float], Figure]
    vector: bool = True


@dataclass(frozen=True, eq=False)
class Section:
    """One evaluation in the report.

    Args:
        title: its heading.
        protocol: what was done, in one sentence with all its numbers.
        reading: what can and what cannot be told from it, in a sentence or two; may be empty.
        tables: in order.
        drawings: in order.
    """

    title: str
    protocol: str
    reading: str = ""
    tables: tuple[Table, ...] = ()
    drawings: tuple[Drawing, ...] = field(default=())


Write = Callable[[Sequence[Group], Shades], Section]
"""Makes the section of one evaluation from all groups that have it."""
