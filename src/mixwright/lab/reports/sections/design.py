"""Designed masks: what was wanted of their second moments, and what they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.design import MAPS
from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.reports.figure_text import TITLE, label
from mixwright.lab.reports.figures import WIDE, small_multiples
from mixwright.lab.reports.formatting import number, percent
from mixwright.lab.reports.palette import FAINT, INK, LINE, RAMP
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.reports.sections.lines import group_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor


def write(part: Part, page: Page) -> dict[str, Section]:
    """A row, a row of maps and a profile a design."""
    groups, first = part.groups, part.groups[0].first
    height, width = first["size"]
    section = Section(
        title="Masks by design",
        protocol=(
            "a(p) as in the section on second moments, exact mode; the nearest stationary field "
            "by closed form, made up for exact counts by measuring; checked on "
            f"{int(first['masks']):,} masks of {height} x {width} pixels that the design has not "
            "seen. Off by: root mean square difference over all pairs, in parts of the budget "
            "E[lam (1 - lam)]."
        ),
        reading=(
            "A design can share out the budget, not change it: the mean over all pairs is that of "
            "lam's law, a pixel has at most twice the budget with itself, and what is above or "
            "below the budget has to be positive semidefinite. What is left beyond the noise is "
            "what no field of this kind can have, such as the straight edges of boxes."
        ),
        blocks=(
            _table(groups),
            Drawing(
                "maps",
                "The coefficient of two pixels over the offset between them, wanted and achieved, "
                "on one scale a row; beside them masks with shares from 0.3 to 0.7.",
                lambda width: _maps(groups, page, width),
                vector=False,
                needs=tuple(_array(group, name) for group in groups for name in MAPS),
            ),
            Drawing(
                "profiles",
                "The coefficient over distance, the larger of both offsets: wanted as dots, "
                "achieved as a line, the budget dashed.",
                lambda width: _profiles(groups, page.shades, width),
            ),
        ),
    )
    return {"design": section}


def _array(group: Group, name: str) -> str:
    return f"design/{group.key}/{name}"


def _table(groups: Sequence[Group]) -> Table:
    def cells(group: Group) -> tuple[str, ...]:
        found = group.first
        return (
            *(number(found[name], 2) for name in ("alpha", "depth", "softness")),
            *(number(found[name], 3) for name in ("wanted_diagonal", "achieved_diagonal")),
            *(percent(found[name]) for name in ("distance", "noise")),
        )

    head = ("Design", "alpha", "depth", "softness", "a(0, 0) wanted", "achieved",
            "off by, %", "noise, %")  # fmt: skip
    return group_table(
        head,
        groups,
        cells,
        caption="Depth: how far masks go from even shares (0, MixUp) to 0 and 1; softness: half "
        "the width of their borders as a share of all pixels; noise: what a perfect design would "
        "be off by, from the number of masks.",
    )


def _maps(groups: Sequence[Group], page: Page, width: float) -> Figure:
    """Wanted, achieved and a few masks, a row a design."""
    from matplotlib.figure import Figure

    count = 3 if width >= WIDE else 2
    side = width / (2 + count)
    figure = Figure(figsize=(width, (side + 0.17) * len(groups) + 0.1), layout="constrained")
    grid = figure.subplots(len(groups), 2 + count, squeeze=False)
    for axes, group in zip(grid, groups, strict=True):
        wanted, achieved, masks = (page.arrays[_array(group, name)] for name in MAPS)
        top = max(float(values.max()) for values in (wanted, achieved))
        for axis, values in zip(axes, (wanted, achieved), strict=False):
            _map(axis, values, top)
        axes[0].set_title(
            label(group.label, TITLE), loc="left", fontsize=8.5, color=INK.light, pad=3
        )
        picks = [round(n * (len(masks) - 1) / (count - 1)) for n in range(count)]
        for axis, pick in zip(axes[2:], picks, strict=True):
            axis.imshow(masks[pick].numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            _bare(axis)
    for axis, name in zip(grid[-1], ("wanted", "achieved", "masks"), strict=False):
        axis.set_xlabel(name, fontsize=8.5)
    return figure


def _map(axes: Any, values: Tensor, top: float) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    ramp = LinearSegmentedColormap.from_list("ramp", RAMP)
    axes.imshow(values.numpy(), cmap=ramp, vmin=0, vmax=top, interpolation="nearest")
    _bare(axes)


def _bare(axes: Any) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(LINE.light)


def _profiles(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure, grid = small_multiples(width, len(groups), row=1.3)
    names = ("profile_wanted", "profile_achieved")
    top = max(max(group.first[name]) for group in groups for name in names)
    for axes, group in zip(grid, groups, strict=True):
        found, colour = group.first, shades[group.key].light
        wanted = found["profile_wanted"]
        step = max(1, len(wanted) // 12)
        axes.axhline(found["budget"], color=FAINT.light, lw=0.8, dashes=(3, 3))
        axes.plot(found["profile_achieved"], color=colour, lw=1.8)
        axes.plot(range(0, len(wanted), step), wanted[::step], "o", ms=2.8, color=INK.light)
        axes.set_title(label(group.label, TITLE), loc="left", fontsize=8.5, color=colour, pad=2)
        axes.set_ylim(0, 1.08 * top)
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(3))
    figure.supxlabel("distance of two pixels, pixels", fontsize=8.5, color=FAINT.light)
    figure.supylabel("coefficient a", fontsize=8.5, color=FAINT.light)
    return figure
