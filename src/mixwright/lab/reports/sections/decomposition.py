"""What mixing adds to the loss of a model: label weights, R1, R2, R3 and the remainder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mixwright.lab.analysis.decomposition import TERMS, Expansion, Expansions
from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.reports.figure_text import TITLE, label
from mixwright.lab.reports.figures import WIDE, canvas, row_labels, small_multiples
from mixwright.lab.reports.formatting import number
from mixwright.lab.reports.palette import FAINT, INK, LINE, SOURCES
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.reports.sections.lines import group_table
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOOK = {
    "r1": ("R1, first order", SOURCES[0]),
    "r2": ("R2, gradient products", SOURCES[1]),
    "r3": ("R3, Hessian", SOURCES[2]),
    "remainder": ("remainder", SOURCES[4]),
    "labels": ("label weights", SOURCES[3]),
}

_VISIBLE = 0.005  # a smaller part of the longest bar cannot be seen


def write(part: Part, page: Page) -> dict[str, Section]:
    """A row, a bar and a path a method."""
    groups, first = part.groups, part.groups[0].first
    found = decode(Expansions, part.numbers, where="decomposition").methods
    bends = any(abs(float(draw["r3"])) > 0 for group in groups for draw in group.summaries)
    reading = (
        "The analysis says which way mixing pushes: R2 is never negative and holds the input "
        "gradients small, each pair of pixels as strongly as the map of second moments has it. It "
        "does not say that little else happens: the remainder vanishes as lam goes to 1, and "
        "training mixes at any lam."
    )
    if not bends:
        reading += (
            " R3 is exactly 0, since the model is piecewise linear in its input (its activations "
            "are ReLU); its kinks are in the remainder."
        )
    section = Section(
        title="Loss, expanded around the unmixed images",
        protocol=(
            f"Cross-entropy of {first['model']}; mixed - plain = label weights + R1 + R2 + R3 + "
            f"remainder, expanded to second order around every source image on the way to the "
            f"mixture that was drawn; {first['images']:,} sources in {first['batches']} batches a "
            "method, the same plans for all terms; ± is one standard error over batches."
        ),
        reading=reading,
        blocks=(
            _table(groups, found),
            Drawing(
                "terms",
                "What mixing adds to the loss, in nats; parts to the left of 0 lower it. The tick "
                "is the sum.",
                lambda width: _bars(groups, found, width),
            ),
            Drawing(
                "path",
                "The loss on the way from the unmixed images (0) to the mixtures (1), and the "
                "parabola of the expansion (dashed): where the two part, second order ends.",
                lambda width: _paths(groups, page.shades, width),
            ),
        ),
    )
    return {"decomposition": section}


def _table(groups: Sequence[Group], found: Mapping[str, Expansion]) -> Table:
    def cells(group: Group) -> tuple[str, ...]:
        own = found[group.key]
        terms = (_cell(_mean(group, name), own.errors[name]) for name in ("mixed", *TERMS))
        return number(_mean(group, "plain"), 3), *terms, number(100 * own.explained, 0)

    return group_table(
        ("Method", "plain", "mixed", "labels", "R1", "R2", "R3", "remainder", "explained, %"),
        groups,
        cells,
        caption="Nats. Labels: what the drawn label weights change of the plain loss; its "
        "expectation is 0 where weights do not look at images. Explained: everything but the "
        "remainder, of mixed - plain.",
    )


def _mean(group: Group, name: str) -> float:
    return group.intervals[name].mean


def _cell(mean: float, error: float) -> str:
    text = number(mean, 3)
    return text if math.isnan(error) or error == 0 else f"{text} ± {number(error, 3)}"


def _bars(groups: Sequence[Group], found: Mapping[str, Expansion], width: float) -> Figure:
    """A bar a method, its parts one behind the other, negative ones to the left."""
    from matplotlib.patches import Patch

    figure, axes = canvas(width, 0.95 + 0.3 * len(groups))
    axes.axvline(0, color=FAINT.light, lw=0.8)
    least = _VISIBLE * max(abs(found[group.key].added) for group in groups)
    used = [name for name in _LOOK if any(abs(_mean(group, name)) > least for group in groups)]
    for place, group in enumerate(groups):
        left = right = 0.0
        for name in used:
            value = _mean(group, name)
            start = right if value >= 0 else left
            axes.barh(-place, value, left=start, height=0.62, color=_LOOK[name][1], lw=0)
            right, left = right + max(value, 0), left + min(value, 0)
        total = found[group.key].added
        axes.plot([total, total], [-place - 0.4, -place + 0.4], color=INK.light, lw=1.6)
    row_labels(axes, [group.label for group in groups])
    axes.set_xlabel("added to the loss, nats")
    handles = [Patch(color=_LOOK[name][1], label=_LOOK[name][0]) for name in used]
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=len(used) if width >= WIDE else 2,
        frameon=False,
        fontsize=8,
        handlelength=0.9,
        handleheight=0.9,
        columnspacing=1.2,
    )
    return figure


def _paths(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    """A panel a method: the loss between the images and the mixtures, and its parabola."""
    from matplotlib.ticker import MaxNLocator

    figure, grid = small_multiples(width, len(groups), row=1.25)
    for axes, group in zip(grid, groups, strict=True):
        colour = shades[group.key].light
        shares, losses = _path(group)
        slope, bend = _mean(group, "r1"), _mean(group, "r2") + _mean(group, "r3")
        way = [step / 20 for step in range(21)]
        axes.axhline(losses[0], color=LINE.light, lw=0.8)
        axes.plot(
            way, [losses[0] + slope * t + bend * t * t for t in way], color=FAINT.light, lw=1.2,
            dashes=(3, 2),
        )  # fmt: skip
        axes.plot(shares, losses, color=colour, lw=1.8, marker="o", ms=2.6)
        axes.set_title(label(group.label, TITLE), loc="left", fontsize=8.5, color=colour, pad=2)
        axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        axes.grid(axis="y")
        axes.yaxis.set_major_locator(MaxNLocator(3))
    tops = [max(_path(group)[1]) for group in groups]
    grid[0].set_ylim(0, 1.08 * max(tops))
    figure.supxlabel("share of the way from image to mixture", fontsize=8.5, color=FAINT.light)
    figure.supylabel("loss, nats", fontsize=8.5, color=FAINT.light)
    return figure


def _path(group: Group) -> tuple[list[float], list[float]]:
    """Shares of the way, and the loss there."""
    places = range(len(group.first["path"]))
    shares, losses = (
        [group.intervals[f"path.{place}.{column}"].mean for place in places] for column in (0, 1)
    )
    return shares, losses
