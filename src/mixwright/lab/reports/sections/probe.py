"""What frozen features are worth on another data set, read by a linear classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.reports.figures import canvas, row_labels, whisker
from mixwright.lab.reports.formatting import percent, signed, spread
from mixwright.lab.reports.palette import FAINT
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.reports.sections.lines import group_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(part: Part, page: Page) -> dict[str, Section]:
    """A row and a mark a group."""
    groups, first = part.groups, part.groups[0].first
    chosen = (
        f"its strength chosen among {_powers(first['strengths'])} on a fifth of them"
        if first["strengths"]
        else f"of strength {first['strength']:g}"
    )
    protocol = (
        f"The network is frozen; what enters its last layer ({first['width']:,} numbers an image, "
        f"standardised) is given to an L2-regularised multinomial logistic regression, {chosen}. "
        f"It learns from {first['train_images']:,} images of {first['data']} and is judged on "
        f"{first['images']:,} others in {first['classes']} classes."
    )
    reading = (
        "Nothing in the classifier is drawn at random, so seeds differ by their features alone. "
        f"Guessing gives {percent(first['chance'])} %, always naming the most frequent class "
        f"{percent(first['largest_class'])} %."
    )
    late = [group.label for group in groups if not all(run["converged"] for run in group.summaries)]
    if late:
        reading += f" Not converged, and so a little too low perhaps: {', '.join(late)}."
    section = Section(
        title="Linear probe",
        protocol=protocol,
        reading=reading,
        blocks=(
            _table(groups),
            Drawing(
                "probe",
                f"Top-1 on {first['data']} of a linear classifier on frozen features, with the "
                "interval over seeds; ticks are seeds, a dashed line is guessing.",
                lambda width: _figure(groups, page.shades, width),
            ),
        ),
    )
    return {"probe": section}


def _table(groups: Sequence[Group]) -> Table:
    def cells(group: Group) -> tuple[str, ...]:
        against = group.differences.get("top1")
        return (
            spread(group.intervals["top1"]),
            signed(against and against.interval),
            spread(group.intervals["train_top1"]),
            _powers(sorted({float(run["strength"]) for run in group.summaries})),
        )

    return group_table(
        ("Method", "top-1, %", "against baseline", "on its training images, %", "strength"),
        groups,
        cells,
        caption="Against baseline: points, paired by seed, to no mixing with the same weights.",
    )


def _powers(strengths: Sequence[float]) -> str:
    """One number, or the range of several."""
    if len(strengths) == 1:
        return f"{strengths[0]:g}"
    return f"{min(strengths):g} to {max(strengths):g}"


def _figure(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    figure, axes = canvas(width, 0.75 + 0.36 * len(groups))
    chance = 100 * float(groups[0].first["chance"])
    for place, group in enumerate(groups):
        colour = shades[group.key].light
        values = [100 * run["top1"] for run in group.summaries]
        if len(values) > 1:
            axes.plot(values, [-place] * len(values), "|", color=colour, ms=7, alpha=0.55, mew=1)
        whisker(axes, group.intervals["top1"], -place, colour, face=colour)
    low = min(run["top1"] for group in groups for run in group.summaries)
    if 100 * low < 2.5 * chance:  # else it would squeeze what is to be compared
        axes.axvline(chance, color=FAINT.light, lw=1, dashes=(3, 3), zorder=0.5)
    row_labels(axes, [group.label for group in groups])
    axes.set_xlabel("top-1 accuracy of the linear classifier, %")
    axes.margins(x=0.06)
    return figure
