"""Reliability diagrams: confidence against accuracy, one panel a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.reports.formatting import percent
from mixwright.lab.reports.palette import FAINT, INK, LINE
from mixwright.lab.reports.sections.section import Group, Shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bin = tuple[float, float, int, float, float]
"""Lower and upper edge, images, mean confidence, accuracy; fractions."""


def reliability_diagrams(groups: Sequence[Group], shades: Shades, *, width: float) -> Figure:
    """Small multiples, three in a row on wide pages and two on narrow ones.

    Args:
        groups: with findings of the part ``Calibration``.
        shades: colour of each group.
        width: in inches.

    Returns:
        the figure.
    """
    from matplotlib.figure import Figure

    columns = min(3 if width > 5 else 2, len(groups))
    rows = -(-len(groups) // columns)
    height = rows * min(1.25 * width / columns, 3.2) + 0.3
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=(5, 1) * rows)
    for place, group in enumerate(groups):
        row, column = divmod(place, columns)
        main, strip = (figure.add_subplot(grid[2 * row + part, column]) for part in (0, 1))
        last = place + columns >= len(groups)
        _panel(main, strip, group, shades[group.key].light, left=column == 0, bottom=last)
    figure.supylabel("accuracy, %", fontsize=9, color=FAINT.light)
    figure.supxlabel("confidence, %", fontsize=9, color=FAINT.light)
    return figure


def pooled(group: Group) -> list[Bin]:
    """The bins of all runs of a group together, those without images left out.

    Args:
        group: with findings of the part ``Calibration``.

    Returns:
        bins in rising order.
    """
    head = str(group.summaries[0]["headline_bins"])
    tables: list[list[dict[str, Any]]] = [one["bins"][head]["table"] for one in group.summaries]
    found: list[Bin] = []
    for rows in zip(*tables, strict=True):
        filled = [row for row in rows if row["count"]]
        count = sum(row["count"] for row in filled)
        if count:
            sure, right = (
                sum(row["count"] * row[name] for row in filled) / count
                for name in ("confidence", "accuracy")
            )
            found.append((rows[0]["low"], rows[0]["high"], count, sure, right))
    return found


def _panel(main: Axes, strip: Axes, group: Group, colour: str, *, left: bool, bottom: bool) -> None:
    bins = pooled(group)
    total = sum(one[2] for one in bins)
    main.plot([0, 100], [0, 100], color=FAINT.light, lw=0.9, dashes=(3, 3))
    for low, high, _, sure, right in bins:
        x, wide = 100 * low, 100 * (high - low)
        floor, ceiling = sorted((100 * sure, 100 * right))
        main.bar(x, 100 * right, wide, align="edge", color=colour, alpha=0.75, ec="white", lw=0.6)
        main.bar(x, ceiling - floor, wide, bottom=floor, align="edge", color=colour, alpha=0.22,
                 lw=0)  # fmt: skip
        main.plot([x, x + wide], [100 * sure] * 2, color=INK.light, lw=1.1)
    for low, high, count, _, _ in bins:
        strip.bar(100 * low, count / total, 100 * (high - low), align="edge", color=colour,
                  alpha=0.75, ec="white", lw=0.6)  # fmt: skip
    main.set_title(group.label, loc="left", fontsize=9.5, color=INK.light)
    head = str(group.summaries[0]["headline_bins"])
    mean = group.interval(lambda found: found["bins"][head]["ece"]).mean
    main.text(5, 93, f"ECE {percent(mean)} %", fontsize=8.5, va="top")
    for axes in (main, strip):
        axes.set_xlim(0, 100)
        axes.set_xticks([0, 50, 100])
    main.set_ylim(0, 100)
    main.set_yticks([0, 50, 100])
    main.grid(color=LINE.light)
    main.tick_params(labelbottom=False, labelleft=left)
    strip.set_yticks([])
    strip.tick_params(labelbottom=bottom)
