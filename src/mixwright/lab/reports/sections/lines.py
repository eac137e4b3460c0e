"""What sections share: curves with intervals, marks, legends, differences to the baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from mixwright.lab.analysis.families import baseline_of
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.reports import figure_text
from mixwright.lab.reports.figures import whisker
from mixwright.lab.reports.formatting import signed, spread
from mixwright.lab.reports.palette import INK
from mixwright.lab.reports.section import Table

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixwright.lab.analysis.findings import Group
    from mixwright.lab.reports.section import Shades


def interval_line(
    axes: Axes,
    places: Sequence[float],
    intervals: Sequence[Interval],
    colour: str,
    *,
    scale: float = 100,
    **look: Any,
) -> None:
    """Draw means joined by a line, and their intervals as a band where they have ends.

    ``scale`` is 100 for fractions shown in percent, 1 for plain numbers; ``look`` is of the line,
    as matplotlib names it.
    """
    low, high = (
        [scale * getattr(interval, end) for interval in intervals] for end in ("low", "high")
    )
    if not any(math.isnan(end) for end in (*low, *high)):
        axes.fill_between(places, low, high, color=colour, alpha=0.15, lw=0)
    line: dict[str, Any] = {"lw": 1.7} | look
    axes.plot(places, [scale * interval.mean for interval in intervals], color=colour, **line)


def spreads(group: Group, paths: Iterable[str]) -> tuple[str, ...]:
    """Return fractions of a group in percent with their intervals; a dash where it has none."""
    return tuple(spread(group.intervals.get(path)) for path in paths)


def group_table(
    head: Iterable[str],
    groups: Sequence[Group],
    cells: Callable[[Group], Iterable[str]],
    *,
    caption: str = "",
) -> Table:
    """Return a table with a row a group: its label, then its cells."""
    return Table(
        head=tuple(head),
        rows=tuple((group.label, *cells(group)) for group in groups),
        caption=caption,
        keys=tuple(group.key for group in groups),
    )


def spread_table(columns: Mapping[str, str], groups: Sequence[Group], *, caption: str) -> Table:
    """Return a table of fractions in percent; columns are path in the summaries by head."""
    return group_table(
        ("Method", *columns),
        groups,
        lambda group: spreads(group, columns.values()),
        caption=caption,
    )


def with_differences(table: Table, groups: Sequence[Group], path: str, *, name: str) -> Table:
    """Add a last column, how far a fraction is from that of the baseline, where there is one."""
    bases = [base for group in groups if (base := baseline_of(group, groups)) is not None]
    if not bases:
        return table
    found = [group.differences.get(path) for group in groups]
    return replace(
        table,
        head=(*table.head, f"{name} to {bases[0].label}"),
        rows=tuple(
            (*row, signed(difference and difference.interval))
            for row, difference in zip(table.rows, found, strict=True)
        ),
    )


def group_whisker(axes: Axes, group: Group, interval: Interval, y: float, colour: str) -> None:
    """Draw an interval in a row: hollow for trained weights, with a diamond for an own teacher."""
    face = "white" if group.weights == "raw" else colour
    mark = "D" if group.weights == "teacher" else "o"
    whisker(axes, interval, y, colour, face=face, mark=mark)


class Row(NamedTuple):
    """A group's interval in a row of a figure, and its seeds' values where they are shown."""

    group: Group
    interval: Interval
    y: float
    colour: str
    values: Sequence[float] = ()


def group_whiskers(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw many rows as ``group_whisker`` draws one, with ticks at the values of seeds.

    In percent. All of a kind at once: an artist of its own for each takes three times as long.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    seeds = [(100 * value, row) for row in rows for value in row.values]
    if seeds:
        places = [x for x, _ in seeds], [row.y for _, row in seeds]
        axes.scatter(
            *places, s=25, c=[to_rgba(row.colour, 0.55) for _, row in seeds],
            marker="|", linewidths=1, zorder=2,
        )  # fmt: skip
    ended = [row for row in rows if row.interval.low == row.interval.low]  # not NaN
    ends = [[(100 * row.interval.low, row.y), (100 * row.interval.high, row.y)] for row in ended]
    lines = LineCollection(
        ends, colors=[row.colour for row in ended], lw=1.4, capstyle="round", zorder=2
    )
    axes.add_collection(lines)
    for mark, size in (("o", 6), ("D", 5)):
        marked = [row for row in rows if (row.group.weights == "teacher") == (mark == "D")]
        axes.scatter(
            [100 * row.interval.mean for row in marked], [row.y for row in marked], s=size**2,
            c=["white" if row.group.weights == "raw" else row.colour for row in marked],
            edgecolors=[row.colour for row in marked], marker=mark, linewidths=1.4, zorder=2,
        )  # fmt: skip


def point_marks(colours: Sequence[str]) -> list[str]:
    """Return a mark for each colour: discs, and others where a colour comes again.

    Example:
        >>> point_marks(["blue", "red", "blue"])
        ['o', 'o', 's']
    """
    marks = "os^v"
    return [marks[colours[:place].count(one) % 4] for place, one in enumerate(colours)]


def legend(figure: Figure, groups: Sequence[Group], shades: Shades, *, wide: bool) -> None:
    """Name the colours below a figure; in a wide one there is room for four names in a row."""
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], color=shades[group.key].light, lw=2.2) for group in groups]
    figure_text.legend(
        figure,
        marks,
        [group.label for group in groups],
        loc="outside lower center",
        ncols=min(len(groups), 4) if wide else (len(groups) if len(groups) < 4 else 2),
        frameon=False,
        fontsize=8.5,
        handlelength=1.2,
        columnspacing=1.4,
    )


def legend_beside(
    figure: Figure, marks: Sequence[Artist], names: Sequence[str], *, wide: bool
) -> None:
    """Name marks beside a wide figure, a name a line, or below a narrow one."""
    figure_text.legend(
        figure,
        marks,
        names,
        loc="outside right upper" if wide else "outside lower left",
        ncols=1 if wide else 2,
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
        labelspacing=0.55,
        labelcolor=INK.light,
    )
