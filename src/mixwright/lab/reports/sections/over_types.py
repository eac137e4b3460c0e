"""Whether an advantage under corruption is the same for all types, and under which it is sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.analysis.over_types import FAMILY_OF, ByType, OverTypes
from mixwright.lab.analysis.recommendation import CLAIM
from mixwright.lab.reports.figure_text import legend
from mixwright.lab.reports.figures import WIDE, canvas, row_labels
from mixwright.lab.reports.formatting import NONE, p_value, points, signed
from mixwright.lab.reports.palette import FAINT
from mixwright.lab.reports.section import Drawing, Section, Shades, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def over_types(part: Part, judged: OverTypes, shades: Shades) -> Section:
    """Write consistency over corruption types, with a figure of every type."""
    groups = {group.key: group for group in part.groups}
    dots = Drawing(
        name="types",
        caption="Difference to no mixing by type, in points; filled where it is sure for "
        "these runs: sign flips over images, each with its mean over severities and "
        "runs, below 0.05 after Holm's correction for all types.",
        make=lambda width: type_dots(judged.methods, groups, shades, width=width),
    )
    return Section(
        title="Over corruption types",
        protocol=f"Accuracy under each of {len(part.groups[0].first['types'])} types, averaged "
        "over severities, images and seeds; difference to no mixing with the same kind of weights. "
        "Unit of analysis: types.",
        reading="Types are a fixed set and those of a family resemble each other: this is about "
        "these types and these runs, not about new ones. Whether methods differ for new runs is "
        "asked of their mean over types, run by run.",
        blocks=(_table(judged.methods, groups), dots),
    )


def type_dots(
    methods: Sequence[ByType], groups: Mapping[str, Group], shades: Shades, *, width: float
) -> Figure:
    """Draw a row a type, a dot a method; families apart."""
    from matplotlib.lines import Line2D

    types = list(methods[0].differences)
    figure, axes = canvas(width, 1.0 + 0.23 * len(types))
    axes.axvline(0, color=FAINT.light, lw=1)
    marks = list[Line2D]()
    step = min(0.16, 0.6 / max(1, len(methods)))
    for place, method in enumerate(methods):
        colour = shades[method.key].light
        shift = step * ((len(methods) - 1) / 2 - place)
        for row, name in enumerate(types):
            if name in method.differences:
                face = colour if method.p_holm[name] < CLAIM else "white"
                axes.plot(100 * method.differences[name], shift - row, "o", ms=4.5, mfc=face,
                          mec=colour, mew=1.1)  # fmt: skip
        marks += axes.plot([], [], "o", ms=4.5, color=colour)
    row_labels(axes, [name.replace("_", " ") for name in types])
    for row, name in enumerate(types[1:], start=1):
        if FAMILY_OF.get(name) != FAMILY_OF.get(types[row - 1]):
            axes.axhline(0.5 - row, color=FAINT.light, lw=0.6, alpha=0.6)
    axes.set_xlabel("difference to no mixing, points")
    axes.margins(x=0.08)
    legend(
        figure,
        marks,
        [groups[method.key].label for method in methods],
        loc="outside upper left",
        ncols=3 if width >= WIDE else 2,
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
        columnspacing=1.2,
    )
    return figure


def _table(methods: Sequence[ByType], groups: Mapping[str, Group]) -> Table:
    rows = tuple(
        (
            groups[method.key].label,
            signed(method.across.interval, digits=2),
            f"{points(method.across.bca.low)} to {points(method.across.bca.high)}",
            f"{method.across.ahead} of {len(method.differences)}",
            p_value(method.p_t_holm),
            p_value(method.p_wilcoxon_holm),
            p_value(method.p_exact_holm),
            f"{method.agreeing} of {len(method.across.families)}"
            if method.across.families
            else NONE,
            str(method.runs),
        )
        for method in methods
    )
    return Table(
        head=("Over types", "difference, points", "bootstrap over types", "ahead",
              "p Holm, t", "ranks", "signs", "families", "R"),
        rows=rows,
        caption="± is half of the 95 % t interval over types; p of the t test, of Wilcoxon's "
        "signed ranks, and of all patterns of signs, each adjusted for the number of methods. "
        "Families: how many of them have the sign of the mean.",
        keys=tuple(method.key for method in methods),
    )  # fmt: skip
