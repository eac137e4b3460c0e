"""How strongly methods weigh pairs of pixels: maps, profiles, and the check by closed forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.analysis.moments import AllMoments, MethodMoments
from mixwright.lab.reports.figure_text import TITLE, label
from mixwright.lab.reports.figures import WIDE, small_multiples
from mixwright.lab.reports.formatting import NONE, number
from mixwright.lab.reports.palette import FAINT, INK, LINE, RAMP
from mixwright.lab.reports.section import Drawing, Page, Section, Table
from mixwright.lab.reports.sections.lines import group_table
from mixwright.lab.settings import decode
from mixwright.lab.theory.assumption import assumption_note

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MODES = {
    "exact": "exact mode, plans and label weights as in training",
    "paper": "paper mode, own image alone with lam from the tilted law Beta(alpha + 1, alpha)",
}


def write(part: Part, page: Page) -> dict[str, Section]:
    """Write the section of second moments in one mode; its anchor tells the mode."""
    groups, first = part.groups, part.groups[0].first
    mode, (height, width) = str(first["mode"]), first["size"]
    anchor = "moments" if mode == "exact" else f"moments-{mode}"
    found = decode(AllMoments, part.numbers, where=anchor).methods
    masks = sorted({int(draw["masks"]) for group in groups for draw in group.summaries})
    draws = len(groups[0].summaries)
    count = f"{masks[0]:,}" if len(masks) == 1 else f"{masks[0]:,} to {masks[-1]:,}"
    maps, places = (
        {group.key: f"{anchor}/{group.key}/{name}" for group in groups}
        for name in ("a", "diagonal")
    )
    section = Section(
        title="Second moments of masks" + (", as published" if mode == "paper" else ""),
        protocol=(
            f"a(p) = mean over pairs of pixels p apart of E[sum of w (1 - P)(1 - P)], P the mask "
            f"and w the label weight of each source; {_MODES[mode]}; {count} masks of "
            f"{height} x {width} pixels a method{f', {draws} times' if draws > 1 else ''}; near is "
            f"up to {first['near_pixels']:g} pixels apart, far from {first['far_pixels']:g}; "
            "± is one standard error over batches."
        ),
        reading=f"{_reading(mode)}{_assumed(groups)}",
        blocks=(
            _table(groups, found),
            Drawing(
                f"maps-{mode}",
                "The coefficient of two pixels over the offset between them, (0, 0) in the middle, "
                "all on one scale.",
                lambda width: _maps(groups, page, maps, width, offsets=True),
                vector=False,
                needs=tuple(maps.values()),
            ),
            Drawing(
                f"profiles-{mode}",
                "The coefficient over distance, the larger of both offsets, one method a panel, "
                "the others behind it in grey; dots: what it must be, where that can be written "
                "down.",
                lambda width: _profiles(groups, found, page, width),
            ),
            Drawing(
                f"places-{mode}",
                "The coefficient of each pixel with itself, over the image, all on one scale: "
                "where a method acts.",
                lambda width: _maps(groups, page, places, width, offsets=False),
                vector=False,
                needs=tuple(places.values()),
            ),
        ),
    )
    return {anchor: section}


def _reading(mode: str) -> str:
    if mode == "paper":
        return (
            "The published coefficient, for methods whose share has a Beta law. It equals the "
            "exact one only where masks of lam and of 1 - lam have the same law once the images "
            "change places, as those of MixUp do; a pasted box does not, and here leaves "
            "far pairs free."
        )
    return (
        "Each product of input gradients at two pixels, and each second derivative, is weighed by "
        "the coefficient of their offset: a flat map holds gradients of all pairs alike, a peak "
        "holds those of neighbours. Of two images, where labels follow the pixels, all pairs "
        "together have E[lam (1 - lam)], so methods only share out what lam leaves them. Methods "
        "that read pixels have masks that depend on the images, and then more than second moments "
        "matters."
    )


def _assumed(groups: Sequence[Group]) -> str:
    """Say where the assumption of the analysis holds; older records do not tell."""
    told = {g.label: g.first["expected_mask"] for g in groups if "expected_mask" in g.first}
    return f" {assumption_note(told)}" if told else ""


def _table(groups: Sequence[Group], found: Mapping[str, MethodMoments]) -> Table:
    def cells(group: Group) -> tuple[str, ...]:
        own, closed = found[group.key], group.first["closed"]
        return (
            _measured(group, "a0", own.a0_error),
            number(group.intervals["near"].mean, 3),
            number(group.intervals["far"].mean, 3),
            _measured(group, "mean", own.mean_error),
            NONE if closed is None else number(float(closed["mean"]), 4),
            number(own.deviation, 1),
            number(group.intervals["mean_b"].mean, 3),
        )

    head = ("Method", "a(0, 0)", "near", "far", "all pairs", "exact", "off by, SE", "between")
    return group_table(
        head,
        groups,
        cells,
        caption="Exact: all pairs by the closed form; off by: distance of the map from it in "
        "standard errors, root mean square over all pairs (offsets depend on each other, so that "
        "up to about 2 is chance). Between: all pairs of the map B, which weighs the variance "
        "between images; it differs from the other with three sources and with holes.",
    )


def _measured(group: Group, name: str, error: float) -> str:
    mean = number(group.intervals[name].mean, 4)
    return mean if math.isnan(error) else f"{mean} ± {number(error, 4)}"


def _maps(
    groups: Sequence[Group], page: Page, names: Mapping[str, str], width: float, *, offsets: bool
) -> Figure:
    """A small heat map a method on one scale, with one bar for all: over offsets or places."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    rows = -(-len(groups) // (5 if width >= WIDE else 3))
    columns = max(2, -(-len(groups) // rows))  # as even as can be
    side = width / columns
    figure = Figure(figsize=(width, rows * (side + 0.16) + 0.62), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    maps = [page.arrays[names[group.key]] for group in groups]
    top = max(float(values.max()) for values in maps)
    ramp = LinearSegmentedColormap.from_list("ramp", RAMP)
    picture: Any = None
    for axes in grid.flat[len(groups) :]:
        axes.set_visible(False)
    for place, (axes, group, values) in enumerate(zip(grid.flat, groups, maps, strict=False)):
        tall, wide = ((side - 1) / 2 if offsets else side - 0.5 for side in values.shape)
        low = (tall, wide) if offsets else (0.5, 0.5)
        extent = (-low[1], wide, tall, -low[0])
        picture = axes.imshow(
            values.numpy(), cmap=ramp, vmin=0, vmax=top, extent=extent, interpolation="nearest"
        )
        _frame(axes, edges=place == (rows - 1) * columns, signed=offsets, wide=wide, tall=tall)
        axes.set_title(label(group.label, TITLE), fontsize=8.5, color=INK.light, pad=3)
    bar = figure.colorbar(picture, ax=grid, location="bottom", shrink=0.5, aspect=36, pad=0.02)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.ax.tick_params(labelsize=8, color=FAINT.light)
    bar.set_label("coefficient a" + ("" if offsets else " of a pixel with itself"), fontsize=8.5)
    return figure


def _frame(axes: Axes, *, edges: bool, signed: bool, wide: float, tall: float) -> None:
    axes.tick_params(labelsize=7, pad=1)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(LINE.light)
    if not edges:
        axes.set_xticks([])
        axes.set_yticks([])
        return
    far, deep = math.ceil(wide / 2), math.ceil(tall / 2)
    axes.set_xticks([-far, 0, far] if signed else [0, far])
    axes.set_yticks([-deep, 0, deep] if signed else [0, deep])


def _profiles(
    groups: Sequence[Group], found: Mapping[str, MethodMoments], page: Page, width: float
) -> Figure:
    """Lines over distance: a panel a method, all the others behind it."""
    from matplotlib.ticker import MaxNLocator

    figure, grid = small_multiples(width, len(groups), row=1.25)
    lines = [
        [group.intervals[f"profile.{n}"].mean for n in range(len(group.first["profile"]))]
        for group in groups
    ]
    for axes, group, own in zip(grid, groups, lines, strict=True):
        for line in lines:
            axes.plot(line, color=LINE.light, lw=0.9)
        closed, colour = found[group.key].closed_profile, page.shades[group.key].light
        if closed:
            step = max(1, len(closed) // 10)
            axes.plot(
                range(0, len(closed), step), closed[::step], "o", ms=2.6, color=INK.light, zorder=3
            )
        axes.plot(own, color=colour, lw=1.8)
        axes.set_title(label(group.label, TITLE), loc="left", fontsize=8.5, color=colour, pad=2)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(3))
    figure.supxlabel("distance of two pixels, pixels", fontsize=8.5, color=FAINT.light)
    figure.supylabel("coefficient a", fontsize=8.5, color=FAINT.light)
    return figure
