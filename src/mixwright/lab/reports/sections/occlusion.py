"""What is left of the accuracy when patches are hidden: table, curves, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.reports.figures import WIDE, canvas, percent_axis
from mixwright.lab.reports.formatting import number, percent
from mixwright.lab.reports.palette import FAINT
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.reports.sections.lines import (
    group_table,
    interval_line,
    legend,
    spreads,
    with_differences,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = (0.1, 0.3, 0.5, 0.7)  # ratios of the table, where they were measured
_GAP = 1  # pixels between pictures


def write(part: Part, page: Page) -> dict[str, Section]:
    """A row and a curve a group, and two images as the models see them."""
    groups, first = part.groups, part.groups[0].first
    rows, columns = first["grid"]
    curves = Drawing(
        "occlusion",
        "Accuracy as patches are hidden"
        + ("; dashed, what a guess without seeing anything gets." if _floors(groups) else "."),
        lambda width: _curves(groups, page.shades, width),
    )
    array = f"occlusion/{groups[0].key}/shown"
    images = Drawing(
        "images",
        "Two test images at each ratio, as the models see them.",
        lambda width: _strips(page.arrays[array], first["ratios"], width),
        vector=False,
        needs=(array,),
    )
    own = (
        "all images of a hundred share their patches, drawn anew for each ratio"
        if first["per_batch"]
        else "each image has its own, the same for all models, and what is hidden stays hidden"
    )
    orders = first["orders"]
    section = Section(
        title="Occlusion",
        protocol=(
            f"{first['count']:,} test images (classes in turn), cut into {rows} x {columns} "
            f"patches of {first['patch']} x {first['patch']} pixels; a share of them hidden behind "
            f"{_FILLS[first['fill']]}; {own}; {orders} order{'s' if orders > 1 else ''} of hiding, "
            f"seed {first['seed']}."
        ),
        reading=(
            "Area: mean accuracy over ratios from 0 to 90 %. Half: the ratio at which the accuracy "
            "has fallen to half of that on whole images; a model that is better to begin with "
            "needs a higher curve to keep it. Curves of other patch sizes cannot be compared."
        ),
        blocks=(_table(part), curves, images),
    )
    return {"occlusion": section}


_FILLS = {"mean": "the mean colour", "black": "black", "noise": "noise"}


def _table(part: Part) -> Table:
    groups, first = part.groups, part.groups[0].first
    ratios = first["ratios"]
    columns = [n for n, ratio in enumerate(ratios) if any(abs(ratio - r) < 1e-9 for r in _COLUMNS)]
    head = ["Method", "whole", *(f"{percent(ratios[n], 0)} % hidden" for n in columns), "area",
            "half at, % hidden", "floor"]  # fmt: skip
    paths = [*(f"accuracy.{n}" for n in (0, *columns)), "auc", "half"]
    deviation = first["deviation"]
    table = group_table(
        head,
        groups,
        lambda group: (*spreads(group, paths), percent(group.first["floor"])),
        caption="Accuracy in percent"
        + (", ± half the 95 % t interval over seeds" if part.several_seeds else "")
        + (
            f". From one order of hiding to another it varies by {number(100 * max(deviation), 1)} "
            f"points at most (deviation, {groups[0].label})."
            if deviation
            else "."
        ),
    )
    return with_differences(table, groups, "auc", name="area")


def _floors(groups: Sequence[Group]) -> list[tuple[Group, float]]:
    return [(group, group.first["floor"]) for group in groups if group.first["floor"] is not None]


def _curves(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    wide = width >= WIDE
    figure, axes = canvas(width, 3.1 if wide else 2.9)
    floors = _floors(groups)
    even = {round(floor, 6) for _, floor in floors}
    for group, floor in floors:
        colour = FAINT.light if len(even) == 1 else shades[group.key].light
        axes.axhline(100 * floor, color=colour, lw=1, dashes=(4, 3), zorder=0.9)
    for group in groups:
        ratios = [100 * ratio for ratio in group.first["ratios"]]
        intervals = [group.intervals[f"accuracy.{n}"] for n in range(len(ratios))]
        interval_line(axes, ratios, intervals, shades[group.key].light)
    axes.grid(axis="y")
    percent_axis(axes, "y")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, 100)
    axes.set_xlabel("hidden patches, %")
    axes.set_ylabel("accuracy, %")
    legend(figure, groups, shades, wide=wide)
    return figure


def _strips(views: torch.Tensor, ratios: Sequence[float], width: float) -> Figure:
    """Images at each ratio, ``(images, ratios, C, H, W)``, a row an image."""
    from matplotlib.figure import Figure

    most = 11 if width >= WIDE else 6
    places = torch.linspace(0, len(ratios) - 1, min(most, len(ratios))).round().long()
    pictures = views[:, places].float() / 255
    if pictures.shape[2] != 3:
        pictures = pictures[:, :, :1].expand(-1, -1, 3, -1, -1)
    padded = torch.nn.functional.pad(pictures, (0, _GAP, 0, _GAP), value=1.0)
    images, columns, _, height, wide = padded.shape
    strip = padded.permute(0, 3, 1, 4, 2).reshape(images * height, columns * wide, 3)
    figure = Figure(
        figsize=(width, width * len(strip) / strip.shape[1] + 0.22), layout="constrained"
    )
    axes = figure.add_subplot()
    axes.imshow(strip.numpy(), interpolation="nearest")
    middles = [wide * (n + 0.5) - 0.5 for n in range(columns)]
    axes.set_xticks(middles, [f"{percent(ratios[n], 0)} %" for n in places.tolist()], fontsize=7.5)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(pad=1)
    return figure
