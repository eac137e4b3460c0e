"""Curves with intervals, the legend below them, and differences to the baseline in a column."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.reports.formatting import NONE, signed
from mixwright.lab.reports.sections.pairing import baseline_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixwright.lab.reports.sections.section import Group, Shades


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

    Args:
        axes: to draw in.
        places: along the axis.
        intervals: one a place.
        colour: of line and band.
        scale: 100 for fractions shown in percent, 1 for plain numbers.
        **look: of the line, as matplotlib names it.
    """
    low, high = ([scale * getattr(one, end) for one in intervals] for end in ("low", "high"))
    if not any(math.isnan(end) for end in (*low, *high)):
        axes.fill_between(places, low, high, color=colour, alpha=0.15, lw=0)
    line: dict[str, Any] = {"lw": 1.7} | look
    axes.plot(places, [scale * one.mean for one in intervals], color=colour, **line)


def with_differences(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    groups: Sequence[Group],
    read: Callable[[Mapping[str, Any]], float],
    *,
    name: str,
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Add to a table a last column: how far a fraction is from that of the baseline, by seed.

    Args:
        head: of the table.
        rows: of the table, one a group.
        groups: in the order of the rows.
        read: the fraction in a summary.
        name: of the fraction.

    Returns:
        head and rows; as they were where no group has a baseline.
    """
    bases = [baseline_of(group, groups) for group in groups]
    known = next((base for base in bases if base is not None), None)
    if known is None:
        return tuple(head), tuple(map(tuple, rows))
    last = [
        NONE if base is None else signed(group.difference(base, read))
        for group, base in zip(groups, bases, strict=True)
    ]
    more = tuple((*row, cell) for row, cell in zip(rows, last, strict=True))
    return (*head, f"{name} to {known.label}"), more


def legend(figure: Figure, groups: Sequence[Group], shades: Shades, *, wide: bool) -> None:
    """Name the colours below a figure.

    Args:
        figure: with constrained layout.
        groups: in order.
        shades: their colours.
        wide: whether there is room for four names in a row, or for three.
    """
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], color=shades[one.key].light, lw=2.2) for one in groups]
    figure.legend(
        marks,
        [one.label for one in groups],
        loc="outside lower center",
        ncols=min(len(groups), 4) if wide else (len(groups) if len(groups) < 4 else 2),
        frameon=False,
        fontsize=8.5,
        handlelength=1.2,
        columnspacing=1.4,
    )
