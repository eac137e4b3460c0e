"""What frozen features are worth on another data set, read by a linear classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.reports.figures import canvas, row_labels, whisker
from mixwright.lab.reports.formatting import NONE, percent, signed, spread
from mixwright.lab.reports.palette import FAINT
from mixwright.lab.reports.sections.pairing import baseline_of
from mixwright.lab.reports.sections.section import Drawing, Group, Section, Shades, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def probe(groups: Sequence[Group], shades: Shades) -> Section:
    """Write the section of the evaluation ``probe``; see ``section.Write``."""
    first = groups[0].summaries[0]
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
    late = [group.label for group in groups if not all(one["converged"] for one in group.summaries)]
    if late:
        reading += f" Not converged, and so a little too low perhaps: {', '.join(late)}."
    return Section(
        title="Linear probe",
        protocol=protocol,
        reading=reading,
        tables=(_table(groups),),
        drawings=(
            Drawing(
                "probe",
                f"Top-1 on {first['data']} of a linear classifier on frozen features, with the "
                "interval over seeds; ticks are seeds, a dashed line is guessing.",
                lambda width: _figure(groups, shades, width),
            ),
        ),
    )


def _table(groups: Sequence[Group]) -> Table:
    rows: list[tuple[str, ...]] = []
    for group in groups:
        base = baseline_of(group, groups)
        against = None if base is None else group.difference(base, _top1)
        strengths = sorted({float(one["strength"]) for one in group.summaries})
        rows.append(
            (
                group.label,
                spread(group.interval(_top1)),
                NONE if against is None else signed(against),
                spread(group.interval(lambda one: one["train_top1"])),
                _powers(strengths),
            )
        )
    return Table(
        head=("Method", "top-1, %", "against baseline", "on its training images, %", "strength"),
        rows=tuple(rows),
        caption="Against baseline: points, paired by seed, to no mixing with the same weights.",
        keys=tuple(group.key for group in groups),
    )


def _top1(found: Mapping[str, Any]) -> float:
    return found["top1"]


def _powers(strengths: Sequence[float]) -> str:
    """One number, or the range of several."""
    if len(strengths) == 1:
        return f"{strengths[0]:g}"
    return f"{min(strengths):g} to {max(strengths):g}"


def _figure(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    figure, axes = canvas(width, 0.75 + 0.36 * len(groups))
    chance = 100 * float(groups[0].summaries[0]["chance"])
    for place, group in enumerate(groups):
        colour = shades[group.key].light
        values = [100 * value for value in group.values(_top1)]
        if len(values) > 1:
            axes.plot(values, [-place] * len(values), "|", color=colour, ms=7, alpha=0.55, mew=1)
        whisker(axes, group.interval(_top1), -place, colour, face=colour)
    low = min(value for group in groups for value in group.values(_top1))
    if 100 * low < 2.5 * chance:  # else it would squeeze what is to be compared
        axes.axvline(chance, color=FAINT.light, lw=1, dashes=(3, 3), zorder=0.5)
    row_labels(axes, [group.label for group in groups])
    axes.set_xlabel("top-1 accuracy of the linear classifier, %")
    axes.margins(x=0.06)
    return figure
