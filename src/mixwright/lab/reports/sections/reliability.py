"""Reliability diagrams: confidence against accuracy, one panel a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mixwright.lab.analysis.calibration import Bin
from mixwright.lab.analysis.findings import Group
from mixwright.lab.reports.figure_text import TITLE, label
from mixwright.lab.reports.figures import WIDE
from mixwright.lab.reports.formatting import percent
from mixwright.lab.reports.palette import FAINT, INK, LINE
from mixwright.lab.reports.section import Shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def reliability_diagrams(
    groups: Sequence[Group],
    pooled: Mapping[str, Sequence[Bin]],
    shades: Shades,
    *,
    width: float,
) -> Figure:
    """Draw small multiples, three in a row on wide pages and two on narrow ones."""
    from matplotlib.figure import Figure

    columns = min(3 if width >= WIDE else 2, len(groups))
    rows = -(-len(groups) // columns)
    height = rows * min(1.25 * width / columns, 3.2) + 0.3
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=(5, 1) * rows)
    for place, group in enumerate(groups):
        row, column = divmod(place, columns)
        main, strip = (figure.add_subplot(grid[2 * row + part, column]) for part in (0, 1))
        last = place + columns >= len(groups)
        _panel(main, strip, group, pooled.get(group.key, ()), shades[group.key].light,
               left=column == 0, bottom=last)  # fmt: skip
    figure.supylabel("accuracy, %", fontsize=9, color=FAINT.light)
    figure.supxlabel("confidence, %", fontsize=9, color=FAINT.light)
    return figure


def _panel(
    main: Axes,
    strip: Axes,
    group: Group,
    bins: Sequence[Bin],
    colour: str,
    *,
    left: bool,
    bottom: bool,
) -> None:
    total = sum(row.count for row in bins)
    main.plot([0, 100], [0, 100], color=FAINT.light, lw=0.9, dashes=(3, 3))
    for row in bins:
        x, wide = 100 * row.low, 100 * (row.high - row.low)
        sure, right = 100 * row.confidence, 100 * row.accuracy
        floor, ceiling = sorted((sure, right))
        main.bar(x, right, wide, align="edge", color=colour, alpha=0.75, ec="white", lw=0.6)
        main.bar(x, ceiling - floor, wide, bottom=floor, align="edge", color=colour, alpha=0.22,
                 lw=0)  # fmt: skip
        main.plot([x, x + wide], [sure] * 2, color=INK.light, lw=1.1)
        strip.bar(x, row.count / total, wide, align="edge", color=colour, alpha=0.75, ec="white",
                  lw=0.6)  # fmt: skip
    main.set_title(label(group.label, TITLE), loc="left", fontsize=9.5, color=INK.light)
    mean = group.intervals[f"bins.{group.first['headline_bins']}.ece"].mean
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
