"""How mixing presses on the filters of the first layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from mixwright.lab.reports.formatting import NONE, number
from mixwright.lab.reports.palette import FAINT, LINE
from mixwright.lab.reports.sections.section import Drawing, Group, Section, Shades, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def first_layer(groups: Sequence[Group], shades: Shades) -> Section:
    """Write the section on the first layer; see ``section.Write``.

    Each summary has ``model``, ``r2_moments`` (R2 by second moments alone), ``r2`` and
    ``r2_error`` (as measured on plans) or None, and ``layer`` in words; arrays have
    ``coefficient`` and ``roughness`` of each filter.
    """
    first = groups[0].summaries[0]
    return Section(
        title="The first layer",
        protocol=(
            f"Filters of the first layer ({first['layer']}) of {first['model']}: the mean square "
            "by which mixing moves a filter's output, weighed by labels, in twice the variance of "
            "that output between images; from second moments and data alone, no mixture is made."
        ),
        reading=(
            "R2 is a quadratic form in the first layer's weights, made of the second moments of "
            "masks times those of the images. MixUp gives all filters its one coefficient. Masks "
            "with borders move filters that see differences between neighbours more than those "
            "that see sums, for borders are differences that images do not have."
        ),
        tables=(_table(groups),),
        drawings=(
            Drawing(
                "filters",
                "Each dot a filter: how much it sees differences within its window (0: sums only, "
                "1: differences only), and the coefficient that it feels.",
                lambda width: _filters(groups, shades, width),
            ),
        ),
    )


def _table(groups: Sequence[Group]) -> Table:
    rows: list[tuple[str, ...]] = []
    for group in groups:
        felt = _felt(group)
        measured = group.summaries[0]["r2"]
        rows.append(
            (
                group.label,
                *(number(float(one), 3) for one in (felt.min(), felt.median(), felt.max())),
                number(group.summaries[0]["r2_moments"], 4),
                NONE
                if measured is None
                else f"{number(float(measured), 4)} ± "
                f"{number(float(group.summaries[0]['r2_error']), 4)}",
            )
        )
    return Table(
        head=("Method", "least", "median", "most", "R2 by moments", "R2 on plans"),
        rows=tuple(rows),
        caption="Least, median and most: coefficients that filters feel. R2 by moments and on "
        "plans agree where masks do not hang on the images.",
        keys=tuple(group.key for group in groups),
    )


def _felt(group: Group) -> Tensor:
    return group.arrays[0]["coefficient"]


def _filters(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    """A panel a method, all on one scale; the line is the median."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    columns = min(len(groups), 4 if width > 5 else 2)
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(width, 1.35 * rows + 0.35), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(groups) :]:
        axes.set_visible(False)
    for axes, group in zip(grid.flat, groups, strict=False):
        colour, felt = shades[group.key].light, _felt(group)
        axes.axhline(float(felt.median()), color=LINE.light, lw=1)
        axes.plot(
            group.arrays[0]["roughness"].tolist(), felt.tolist(), "o", ms=4, mfc=colour, mew=0,
            alpha=0.75,
        )  # fmt: skip
        axes.set_title(group.label, loc="left", fontsize=8.5, color=colour, pad=2)
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(3))
    grid[0, 0].set_ylim(0, 1.12 * max(float(_felt(group).max()) for group in groups))
    figure.supxlabel("differences seen", fontsize=8.5, color=FAINT.light)
    figure.supylabel("coefficient felt", fontsize=8.5, color=FAINT.light)
    return figure
