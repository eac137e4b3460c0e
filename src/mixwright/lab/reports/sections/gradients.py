"""Which pairs of pixels models react to: maps over offsets, profiles, norms and curvature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.families import baseline_of
from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.analysis.gradients import InputGradients
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.reports.figure_text import TITLE, label
from mixwright.lab.reports.figures import WIDE, panels
from mixwright.lab.reports.formatting import NONE, number, percent, spread
from mixwright.lab.reports.palette import FAINT, INK
from mixwright.lab.reports.section import Drawing, Page, Section, Table
from mixwright.lab.reports.sections.lines import interval_line, legend
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

_KINDS = (("mean", "mean"), ("highest", "largest"))


def write(part: Part, page: Page) -> dict[str, Section]:
    """A row, two profiles and two maps a group."""
    groups, first = part.groups, part.groups[0].first
    found = decode(InputGradients, part.numbers, where="gradients")
    band = "the 95 % interval over seeds" if part.several_seeds else "95 % over images"
    profiles = Drawing(
        "profiles",
        "The maps below by the length of the offset (its longer coordinate). One: the "
        f"mean product, its band {band}. Other: the largest product, divided by that at offset 0.",
        lambda width: _profiles(groups, found, page, width),
    )
    maps = Drawing(
        "maps",
        "Products of two pixels' gradients by the offset between them, 0 in the middle and "
        f"{max(first['size']) - 1} pixels at the edge; one scale of colours in a row. Above: the "
        "mean; below: the largest; both divided by their value in the middle, which alone is "
        "brighter than the end of the bar.",
        lambda width: _maps(groups, page, width),
        vector=False,
        needs=tuple(_array(group, name) for group in groups for name, _ in _KINDS),
    )
    section = Section(
        title="Input gradients",
        protocol=_protocol(first),
        reading=(
            f"Near: offsets up to {first['near']} pixels; far: from {first['far']}. A lower ratio "
            "says that a model weighs far pairs of pixels more. The largest product is one of "
            "millions and depends on few images; the mean counts all images alike. l1: by how much "
            "the value changes at most, to first order, when every pixel may move by the whole "
            "range; it grows with the scale of the logits, so compare it beside the margin."
        ),
        blocks=(_table(part, found), profiles, maps),
    )
    return {"gradients": section}


_VALUES = {
    "true": "the right class's logit",
    "predicted": "the largest logit",
    "loss": "the cross-entropy",
    "norm": "all logits (joined by the Euclidean norm)",
}
_COLOURS = {"l2": "the Euclidean norm over channels", "linf": "the largest channel"}


def _protocol(first: Mapping[str, Any]) -> str:
    words = (
        f"{first['count']:,} test images (classes in turn) in [0, 1]; gradient of "
        f"{_VALUES[first['of']]} by the pixels, sizes by {_COLOURS[first['colour']]}; products of "
        "all pairs of pixels, "
        "for the mean each image brought to unit mean square."
    )
    if first["size_of_maxima"] != first["size"]:
        height, width = first["size_of_maxima"]
        words += (
            f" For the largest products maps are max-pooled to {height} x {width}, which bounds "
            "the exact ones from above."
        )
    if first["traced"]:
        words += (
            f" Trace of the cross-entropy's second derivative: {first['probes']} random signs on "
            f"each of the first {first['traced']:,} of them, seed {first['seed']}."
        )
    return words


_COLUMNS = {
    "near / far": ("near_far", 3),
    "of largest": ("near_far_highest", 2),
    "of 99 %": ("near_far_q99", 2),
    "l1": ("l1", 1),
    "l2": ("l2", 2),
    "trace": ("trace", 3),
}
"""Head -> path in the summaries, and digits behind the point."""


def _table(part: Part, found: InputGradients) -> Table:
    head = ["Method", *_COLUMNS, "no gradient, %"]
    rows = [
        [
            group.label,
            *(
                spread(group.intervals.get(path), digits=digits, scale=1)
                for path, digits in _COLUMNS.values()
            ),
            percent(group.intervals["no_gradient"].mean),
        ]
        for group in part.groups
    ]
    bases = [baseline_of(group, part.groups) for group in part.groups]
    known = next((base for base in bases if base is not None), None)
    if known is not None:
        head.insert(2, f"divided by {known.label}'s")
        for row, group in zip(rows, part.groups, strict=True):
            row.insert(2, _relative(found.relative.get(group.key)))
    return Table(
        head=tuple(head),
        rows=tuple(map(tuple, rows)),
        caption="Means over images"
        + (", ± half the 95 % t interval over seeds" if part.several_seeds else "")
        + (
            "; divided by the baseline's: ratio of ratios with its 95 % bootstrap interval over "
            "images, seeds averaged first."
            if known is not None
            else "."
        ),
        keys=tuple(group.key for group in part.groups),
    )


def _relative(ratio: Interval | None) -> str:
    if ratio is None:
        return NONE
    return f"{number(ratio.mean, 3)} [{number(ratio.low, 3)}, {number(ratio.high, 3)}]"


def _profile(group: Group, name: str, found: InputGradients) -> Sequence[Interval]:
    """A profile with its interval: over seeds, or of the mean over the images of a single run."""
    if name == "mean" and group.key in found.over_images:
        return found.over_images[group.key]
    path = f"profile_{name}"
    return [group.intervals[f"{path}.{n}"] for n in range(len(group.first[path]))]


def _profiles(groups: Sequence[Group], found: InputGradients, page: Page, width: float) -> Figure:
    wide = width >= WIDE
    figure, both = panels(width, 2.5 if wide else 2.0, 2)
    first = groups[0].first
    for axes, (name, title) in zip(both, _KINDS, strict=True):
        for group in groups:
            line = _profile(group, name, found)
            interval_line(axes, range(len(line)), line, page.shades[group.key].light, scale=1)
        axes.set_title(f"{title} product", loc="left", fontsize=9.5)
        axes.set_xlabel("length of the offset, pixels")
        axes.grid(axis="y")
        axes.set_ylim(0, 1.04)
        if name == "mean":
            for place, words in ((first["near"], "near"), (first["far"], "far")):
                axes.axvline(place, color=FAINT.light, lw=0.8, dashes=(2, 3), zorder=0.9)
                right = words == "near"
                axes.text(place + (-0.3 if right else 0.3), 0.03, words, fontsize=8,
                          color=FAINT.light, ha="right" if right else "left")  # fmt: skip
    legend(figure, groups, page.shades, wide=wide)
    return figure


def _maps(groups: Sequence[Group], page: Page, width: float) -> Figure:
    """Two rows of maps, a column a method, one scale a row."""
    from matplotlib.figure import Figure

    columns = min(len(groups), 5 if width >= WIDE else 3)
    blocks = -(-len(groups) // columns)
    side = (width - 0.75) / columns
    figure = Figure(figsize=(width, 2 * blocks * (side + 0.12) + 0.25), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)  # pyright: ignore
    grid = figure.subplots(2 * blocks, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, (name, title) in enumerate(_KINDS):
        maps = [page.arrays[_array(group, name)] for group in groups]
        low = min(float(values.min()) for values in maps)
        high = max(_highest_beside_middle(values) for values in maps)
        picture = None
        for place, (group, values) in enumerate(zip(groups, maps, strict=True)):
            axes = grid[row * blocks + place // columns][place % columns]
            reach = [(size - 1) / 2 + 0.5 for size in values.shape]
            extent = (-reach[1], reach[1], reach[0], -reach[0])
            picture = axes.imshow(values.numpy(), vmin=low, vmax=high, cmap="magma", extent=extent)
            if row == 0 or blocks > 1:
                axes.set_title(label(group.label, TITLE), loc="left", fontsize=8, pad=3,
                               fontweight="bold", color=page.shades[group.key].light)  # fmt: skip
        if picture is not None:
            line = grid[row * blocks : (row + 1) * blocks].ravel().tolist()
            bar = figure.colorbar(picture, ax=line, shrink=0.85, aspect=18, pad=0.015, extend="max")
            bar.outline.set_visible(False)  # pyright: ignore
            bar.ax.tick_params(labelsize=7.5, length=0)
            bar.set_label(f"{title} product", fontsize=8, color=INK.light)
    return figure


def _array(group: Group, name: str) -> str:
    return f"gradients/{group.key}/{name}"


def _highest_beside_middle(values: Tensor) -> float:
    flat: list[float] = values.flatten().tolist()
    middle = len(flat) // 2
    return max(flat[:middle] + flat[middle + 1 :], default=flat[middle])
