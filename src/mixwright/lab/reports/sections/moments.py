"""How strongly methods weigh pairs of pixels: maps, profiles, and the check by closed forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mixwright.lab.reports.formatting import NONE, number
from mixwright.lab.reports.palette import FAINT, INK, LINE, RAMP
from mixwright.lab.reports.sections.section import Drawing, Group, Section, Shades, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SAID = {
    "exact": "exact mode, plans and label weights as in training",
    "paper": "paper mode, own image alone with lam from the tilted law Beta(alpha + 1, alpha)",
}


def moments(groups: Sequence[Group], shades: Shades) -> Section:
    """Write the section of second moments in one mode; see ``section.Write``.

    Each summary and its arrays are those of ``theory.measure_moments``.
    """
    first = groups[0].summaries[0]
    mode, (height, width) = str(first["mode"]), first["size"]
    masks = sorted({int(one["masks"]) for group in groups for one in group.summaries})
    seeds = len(groups[0].summaries)
    said = f"{masks[0]:,}" if len(masks) == 1 else f"{masks[0]:,} to {masks[-1]:,}"
    return Section(
        title="Second moments of masks" + (", as published" if mode == "paper" else ""),
        protocol=(
            f"a(p) = mean over pairs of pixels p apart of E[sum of w (1 - P)(1 - P)], P the mask "
            f"and w the label weight of each source; {_SAID[mode]}; {said} masks of "
            f"{height} x {width} pixels a method{f', {seeds} times' if seeds > 1 else ''}; near is "
            f"up to {first['near_pixels']:g} pixels apart, far from {first['far_pixels']:g}; "
            "± is one standard error over batches."
        ),
        reading=_reading(mode),
        tables=(_table(groups),),
        drawings=(
            Drawing(
                f"maps-{mode}",
                "The coefficient of two pixels over the offset between them, (0, 0) in the middle, "
                "all on one scale.",
                lambda width: _maps(groups, width, "a"),
                vector=False,
            ),
            Drawing(
                f"profiles-{mode}",
                "The coefficient over distance, the larger of both offsets, one method a panel, "
                "the others behind it in grey; dots: what it must be, where that can be written "
                "down.",
                lambda width: _profiles(groups, shades, width),
            ),
            Drawing(
                f"places-{mode}",
                "The coefficient of each pixel with itself, over the image, all on one scale: "
                "where a method acts.",
                lambda width: _maps(groups, width, "diagonal"),
                vector=False,
            ),
        ),
    )


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
        "that read pixels have masks that hang on the images, and then more than second moments "
        "matters."
    )


def _table(groups: Sequence[Group]) -> Table:
    rows: list[tuple[str, ...]] = []
    for group in groups:
        closed = _closed(group)
        rows.append(
            (
                group.label,
                _measured(group, "a0"),
                number(_mean(group, "near"), 3),
                number(_mean(group, "far"), 3),
                _measured(group, "mean"),
                NONE if closed is None else number(float(closed["mean"]), 4),
                NONE if closed is None else number(_deviation(group), 1),
                _other(group),
            )
        )
    head = ("Method", "a(0, 0)", "near", "far", "all pairs", "exact", "off by, SE", "between")
    return Table(
        head=head,
        rows=tuple(rows),
        caption="Exact: all pairs by the closed form; off by: distance of the map from it in "
        "standard errors, root mean square over all pairs (offsets hang on each other, so that up "
        "to about 2 is chance). Between: all pairs of the map B, which weighs the variance between "
        "images; it differs from the other with three sources and with holes.",
        keys=tuple(group.key for group in groups),
    )


def _other(group: Group) -> str:
    return number(_mean(group, "mean_b"), 3)


def _measured(group: Group, name: str) -> str:
    error = math.sqrt(sum(float(one[f"{name}_error"]) ** 2 for one in group.summaries))
    error /= len(group.summaries)
    mean = number(_mean(group, name), 4)
    return mean if math.isnan(error) else f"{mean} ± {number(error, 4)}"


def _mean(group: Group, name: str) -> float:
    return sum(group.values(lambda one: one[name])) / len(group.summaries)


def _closed(group: Group) -> Mapping[str, Any] | None:
    return group.summaries[0]["closed"]


def _deviation(group: Group) -> float | None:
    found = [one["closed"]["deviation"] for one in group.summaries]
    return None if None in found else max(found)


def _array(group: Group, name: str) -> Tensor:
    return torch.stack([one[name] for one in group.arrays]).mean(dim=0)


def _maps(groups: Sequence[Group], width: float, name: str) -> Figure:
    """A small heat map a method on one scale, with one bar for all."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    rows = -(-len(groups) // (5 if width > 5 else 3))
    columns = max(2, -(-len(groups) // rows))  # as even as can be
    side = width / columns
    figure = Figure(figsize=(width, rows * (side + 0.16) + 0.62), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    maps = [_array(group, name) for group in groups]
    top = max(float(one.max()) for one in maps)
    ramp = LinearSegmentedColormap.from_list("ramp", RAMP)
    picture: Any = None
    for axes in grid.flat[len(groups) :]:
        axes.set_visible(False)
    for place, (axes, group, one) in enumerate(zip(grid.flat, groups, maps, strict=False)):
        tall, wide = ((side - 1) / 2 if name == "a" else side - 0.5 for side in one.shape)
        low = (tall, wide) if name == "a" else (0.5, 0.5)
        extent = (-low[1], wide, tall, -low[0])
        picture = axes.imshow(
            one.numpy(), cmap=ramp, vmin=0, vmax=top, extent=extent, interpolation="nearest"
        )
        _frame(axes, edges=place == (rows - 1) * columns, signed=name == "a", wide=wide, tall=tall)
        axes.set_title(group.label, fontsize=8.5, color=INK.light, pad=3)
    bar = figure.colorbar(picture, ax=grid, location="bottom", shrink=0.5, aspect=36, pad=0.02)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.ax.tick_params(labelsize=8, color=FAINT.light)
    bar.set_label(
        "coefficient a" + ("" if name == "a" else " of a pixel with itself"), fontsize=8.5
    )
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


def _profiles(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    """Lines over distance: a panel a method, all the others behind it."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from mixwright.lab.evaluation.offset_maps import profile

    columns = min(len(groups), 4 if width > 5 else 2)
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(width, 1.25 * rows + 0.35), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    lines = [profile(_array(group, "a")).tolist() for group in groups]
    for axes in grid.flat[len(groups) :]:
        axes.set_visible(False)
    for axes, group, own in zip(grid.flat, groups, lines, strict=False):
        for line in lines:
            axes.plot(line, color=LINE.light, lw=0.9)
        if _closed(group) is not None:
            must = profile(_array(group, "closed")).tolist()
            step = max(1, len(must) // 10)
            axes.plot(
                range(0, len(must), step), must[::step], "o", ms=2.6, color=INK.light, zorder=3
            )
        axes.plot(own, color=shades[group.key].light, lw=1.8)
        axes.set_title(group.label, loc="left", fontsize=8.5, color=shades[group.key].light, pad=2)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(3))
    figure.supxlabel("distance of two pixels, pixels", fontsize=8.5, color=FAINT.light)
    figure.supylabel("coefficient a", fontsize=8.5, color=FAINT.light)
    return figure
