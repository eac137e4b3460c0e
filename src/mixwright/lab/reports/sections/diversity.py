"""How much mixtures of the same images differ: table, marks, and the mixtures themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from mixwright.arguments import counted
from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.reports.figure_text import label
from mixwright.lab.reports.figures import panels, percent_axis, row_labels, whisker
from mixwright.lab.reports.formatting import spread
from mixwright.lab.reports.palette import FAINT, INK
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

_MEASURES = ("mask", "iou", "pixels", "cosine", "vendi", "pair_accuracy")
_GAP = 2  # pixels between pictures
_FEW = 5  # methods that are shown with two mixtures
_CELL = 1.1  # inches, the largest side of a picture
_EPOCHS = {"face": "white", "mark": "D"}


def write(part: Part, page: Page) -> dict[str, Section]:
    """A row a group and kind of state, marks of two of the measures, and the mixtures."""
    groups, first = part.groups, part.groups[0].first
    drawn = first["draws"]
    references = sorted({str(run["reference"]) for group in groups for run in group.summaries})
    asked = "" if first["lam"] is None else f" at an own share of {first['lam']:g}"
    learned = any(run["epochs"] for group in groups for run in group.summaries)
    marks = Drawing(
        "scores",
        "Effective number of different mixtures among those of the same images, and how often "
        "both classes are known. Filled: independent draws"
        + ("; hollow diamonds: epochs of a mixer that learned." if learned else "."),
        lambda width: _marks(groups, page.shades, width),
    )
    mixtures = Drawing(
        "mixtures",
        "The same images, mixed again and again by each method: by draw, or by epoch where the "
        "mixer learned.",
        lambda width: _sheet(groups, page, width),
        vector=False,
        needs=tuple(_array(group, name) for group in groups for name in ("mixed", "shown")),
    )
    section = Section(
        title="Diversity of mixtures",
        protocol=(
            f"{drawn['mixtures']} groups of test images of different classes, each mixed "
            f"{len(drawn['states'])} times by independent draws{asked}; features and guesses of "
            f"{' and '.join(references)}."
            + (
                " Over epochs: the few mixtures that a run keeps, at the shares drawn for them."
                if learned
                else ""
            )
        ),
        reading=(
            "Masks and pixels: mean distance of two states, 0 to 1. IoU: one minus the overlap of "
            "the first image's regions. Vendi: effective number of different mixtures, from 1 to "
            "the number of states. Diversity alone rewards noise, so it is worth only as much as "
            "the classes that are still known; a mixer without chance has none by draw."
            + (
                " Each model judges its own method here: features of different models are no "
                "common measure; name one run as reference to have one."
                if len(groups) > 1 and references == ["its own model"]
                else ""
            )
        ),
        blocks=(_table(part), marks, mixtures),
    )
    return {"diversity": section}


def _table(part: Part) -> Table:
    rows: list[tuple[str, ...]] = []
    keys: list[str] = []
    for group in part.groups:
        for over in ("draws", "epochs"):
            if not all(run[over] for run in group.summaries):
                continue
            states = group.first[over]["states"]
            named = (
                counted(len(states), "draw")
                if over == "draws"
                else f"epochs {states[0]} to {states[-1]}"
            )
            rows.append((group.label, named, *(_cell(group, over, name) for name in _MEASURES)))
            keys.append(group.key)
    return Table(
        head=("Method", "states", "masks", "1 \N{MINUS SIGN} IoU", "pixels", "features", "Vendi",
              "both known, %"),
        rows=tuple(rows),
        caption="Means over mixtures"
        + (", ± half the 95 % t interval over seeds." if part.several_seeds else "."),
        keys=tuple(keys),
    )  # fmt: skip


def _cell(group: Group, over: str, name: str) -> str:
    share = name == "pair_accuracy"
    digits = 1 if share else 2 if name == "vendi" else 3
    return spread(group.intervals.get(f"{over}.{name}"), digits=digits, scale=100 if share else 1)


def _marks(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    """Vendi score and known pairs, a row a method."""
    figure, (left, right) = panels(width, 0.75 + 0.34 * len(groups), 2)
    for place, group in enumerate(groups):
        colour = shades[group.key].light
        for over, look in (("draws", {"face": colour}), ("epochs", _EPOCHS)):
            for axes, name, scale in ((left, "vendi", 1), (right, "pair_accuracy", 100)):
                interval = group.intervals.get(f"{over}.{name}")
                if interval is not None and interval.mean == interval.mean:  # not NaN
                    whisker(axes, interval, -place, colour, scale=scale, **look)
    _finish(left, [group.label for group in groups], "Vendi score")
    _finish(right, [group.label for group in groups], "both classes known, %")
    left.axvline(1, color=FAINT.light, lw=1, zorder=0.5)
    left.set_xlim(left=max(0.95, left.get_xlim()[0]))
    percent_axis(right, "x")
    low, high = right.get_xlim()
    right.set_xlim(low, max(high, low + 10))
    return figure


def _finish(axes: Axes, labels: Sequence[str], title: str) -> None:
    row_labels(axes, labels)
    axes.set_xlabel(title)
    axes.margins(x=0.08)


def _sheet(groups: Sequence[Group], page: Page, width: float) -> Figure:
    """Mixtures of each method in all states that were kept, a strip a method."""
    from matplotlib.figure import Figure

    lines = 2 if len(groups) <= _FEW else 1
    strips = [_strip(group, page, lines) for group in groups]
    widest = max(strip.shape[1] / strip.shape[0] for strip, _ in strips)
    cell = min(width / widest, _CELL * lines)
    figure = Figure(figsize=(width, len(groups) * (cell + 0.38)), layout="constrained")
    for place, (group, (strip, names)) in enumerate(zip(groups, strips, strict=True)):
        axes = figure.add_subplot(len(groups), 1, place + 1)
        axes.imshow(strip.numpy(), interpolation="nearest")
        axes.set_anchor("W")
        step = strip.shape[1] / max(1, len(names))
        axes.set_xticks([step * (n + 0.5) - 0.5 for n in range(len(names))], names, fontsize=7)
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        axes.tick_params(pad=1)
        title = f"{label(group.label)}, {'by epoch' if names else 'by draw'}"
        axes.set_title(title, loc="left", fontsize=8.5, color=INK.light, pad=3)
        axes.plot([-0.5, -0.5], [0, len(strip) - _GAP], color=page.shades[group.key].light, lw=3)
    return figure


def _strip(group: Group, page: Page, lines: int) -> tuple[Tensor, list[str]]:
    """Pictures side by side, ``(H, W, 3)`` in [0, 1]; epochs of the columns, none of draws."""
    mixed, states = (page.arrays[_array(group, name)] for name in ("mixed", "shown"))
    pictures = mixed[:, :lines].float() / 255
    if pictures.shape[2] != 3:
        pictures = pictures[:, :, :1].expand(-1, -1, 3, -1, -1)
    padded = torch.nn.functional.pad(pictures, (0, _GAP, 0, _GAP), value=1.0)
    columns, mixtures, _, height, wide = padded.shape
    strip = padded.permute(1, 3, 0, 4, 2).reshape(mixtures * height, columns * wide, 3)
    return strip, [str(epoch) for epoch in states.tolist()] if group.first["epochs"] else []


def _array(group: Group, name: str) -> str:
    """Name of the array of the states that are shown: epochs of a mixer that learned, or draws."""
    return f"diversity/{group.key}/{'epochs' if group.first['epochs'] else 'draws'}.{name}"
