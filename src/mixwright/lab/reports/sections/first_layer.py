"""How mixing presses on the filters of the first layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.analysis.first_layer import FilterRange, FilterRanges
from mixwright.lab.reports.figure_text import TITLE, label
from mixwright.lab.reports.figures import small_multiples
from mixwright.lab.reports.formatting import NONE, number
from mixwright.lab.reports.palette import FAINT, LINE
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.reports.sections.lines import group_table
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(part: Part, page: Page) -> dict[str, Section]:
    """A row and a panel of filters a method."""
    groups, first = part.groups, part.groups[0].first
    found = decode(FilterRanges, part.numbers, where="first-layer").methods
    section = Section(
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
        blocks=(
            _table(groups, found),
            Drawing(
                "filters",
                "Each dot a filter: how much it sees differences within its window (0: sums only, "
                "1: differences only), and the coefficient that it feels.",
                lambda width: _filters(groups, found, page.shades, width),
            ),
        ),
    )
    return {"first-layer": section}


def _table(groups: Sequence[Group], found: Mapping[str, FilterRange]) -> Table:
    def cells(group: Group) -> tuple[str, ...]:
        felt, summary = found[group.key], group.first
        ends = (number(value, 3) for value in (felt.least, felt.median, felt.most))
        plans = NONE
        if summary["r2"] is not None:
            plans = f"{number(summary['r2'], 4)} ± {number(summary['r2_error'], 4)}"
        return *ends, number(summary["r2_moments"], 4), plans

    return group_table(
        ("Method", "least", "median", "most", "R2 by moments", "R2 on plans"),
        groups,
        cells,
        caption="Least, median and most: coefficients that filters feel. R2 by moments and on "
        "plans agree where masks do not depend on the images.",
    )


def _filters(
    groups: Sequence[Group], found: Mapping[str, FilterRange], shades: Shades, width: float
) -> Figure:
    """A panel a method, all on one scale; the line is the median."""
    from matplotlib.ticker import MaxNLocator

    figure, grid = small_multiples(width, len(groups), row=1.35)
    for axes, group in zip(grid, groups, strict=True):
        colour = shades[group.key].light
        axes.axhline(found[group.key].median, color=LINE.light, lw=1)
        axes.plot(
            group.first["roughness"], group.first["coefficient"], "o", ms=4, mfc=colour, mew=0,
            alpha=0.75,
        )  # fmt: skip
        axes.set_title(label(group.label, TITLE), loc="left", fontsize=8.5, color=colour, pad=2)
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(3))
    grid[0].set_ylim(0, 1.12 * max(found[group.key].most for group in groups))
    figure.supxlabel("differences seen", fontsize=8.5, color=FAINT.light)
    figure.supylabel("coefficient felt", fontsize=8.5, color=FAINT.light)
    return figure
