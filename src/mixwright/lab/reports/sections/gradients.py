"""Which pairs of pixels models react to: maps over offsets, profiles, norms and curvature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from mixwright.lab.analysis.relative_gradients import relative_near_far
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.reports.formatting import NONE, number, percent, spread
from mixwright.lab.reports.palette import FAINT, INK
from mixwright.lab.reports.sections.lines import interval_line, legend
from mixwright.lab.reports.sections.pairing import baseline_of, common, several_seeds
from mixwright.lab.reports.sections.panels import panels
from mixwright.lab.reports.sections.section import Drawing, Group, Read, Section, Shades, Table
from mixwright.sampling import stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDE = 5.0  # inches
_KINDS = (("mean", "mean"), ("highest", "largest"))


def gradients(groups: Sequence[Group], shades: Shades) -> Section:
    """Write the section of the evaluation ``gradients``; see ``section.Write``."""
    first = groups[0].summaries[0]
    drawings = [
        Drawing(
            "profiles",
            "The maps below by the length of the offset (its longer coordinate). One: the "
            f"mean product, its band {_band_is(groups)}. Other: the largest product, divided by "
            "that at offset 0.",
            lambda width: _profiles(groups, shades, width),
        )
    ]
    drawn = [group for group in groups if group.arrays]
    if drawn:
        drawings.append(
            Drawing(
                "maps",
                "Products of two pixels' gradients by the offset between them, 0 in the middle "
                f"and {max(first['size']) - 1} pixels at the edge; one scale of colours in a row. "
                "Above: the mean; below: the largest; both divided by their value in the middle, "
                "which alone is brighter than the end of the bar.",
                lambda width: _maps(drawn, shades, width),
                vector=False,
            )
        )
    return Section(
        title="Input gradients",
        protocol=_protocol(first),
        reading=(
            f"Near: offsets up to {first['near']} pixels; far: from {first['far']}. A lower ratio "
            "says that a model weighs far pairs of pixels more. The largest product is one of "
            "millions and hangs on few images; the mean counts all images alike. l1: by how much "
            "the value changes at most, to first order, when every pixel may move by the whole "
            "range; it grows with the scale of the logits, so compare it beside the margin."
        ),
        tables=(_table(groups),),
        drawings=tuple(drawings),
    )


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


def _table(groups: Sequence[Group]) -> Table:
    columns: dict[str, tuple[Read, int]] = {
        "near / far": (lambda found: found["near_far"], 3),
        "of largest": (lambda found: found["near_far_highest"], 2),
        "of 99 %": (lambda found: found["near_far_q99"], 2),
        "l1": (lambda found: found["l1"], 1),
        "l2": (lambda found: found["l2"], 2),
        "trace": (lambda found: found["trace"], 3),
    }
    head = ["Method", *columns, "no gradient, %"]
    rows = [
        [
            group.label,
            *(
                spread(group.interval(read), digits=digits, scale=1)
                for read, digits in columns.values()
            ),
            percent(group.interval(lambda found: found["no_gradient"]).mean),
        ]
        for group in groups
    ]
    bases = [baseline_of(group, groups) for group in groups]
    known = next((base for base in bases if base is not None), None)
    if known is not None:
        head.insert(2, f"divided by {known.label}'s")
        for row, group, base in zip(rows, groups, bases, strict=True):
            row.insert(2, NONE if base is None else _relative(group, base))
    return Table(
        head=tuple(head),
        rows=tuple(map(tuple, rows)),
        caption="Means over images"
        + (", ± half the 95 % t interval over seeds" if several_seeds(groups) else "")
        + (
            "; divided by the baseline's: ratio of ratios with its 95 % bootstrap interval over "
            "images, seeds averaged first."
            if known is not None
            else "."
        ),
        keys=tuple(group.key for group in groups),
    )


def _relative(group: Group, base: Group) -> str:
    """The near-far ratio in that of the baseline, for new images."""
    places = common(group, base)
    if not places or not group.arrays or not base.arrays:
        return NONE
    pairs = [[*_sums(group, n), *_sums(base, m)] for n, m in places]
    columns = [torch.stack(column).mean(dim=0) for column in zip(*pairs, strict=True)]
    if len({len(column) for column in columns}) != 1 or len(columns[0]) < 2:
        return NONE
    found = relative_near_far(
        (columns[0], columns[1]), (columns[2], columns[3]), generator=stream(0)
    )
    return f"{number(found.mean, 3)} [{number(found.low, 3)}, {number(found.high, 3)}]"


def _sums(group: Group, place: int) -> tuple[torch.Tensor, torch.Tensor]:
    arrays = group.arrays[place]
    return arrays["near"].double(), arrays["far"].double()


def _band_is(groups: Sequence[Group]) -> str:
    return "the 95 % interval over seeds" if several_seeds(groups) else "95 % over images"


def _profile(group: Group, name: str) -> list[Interval]:
    """A profile with its interval: over seeds, or of the mean over the images of a single run."""
    key = f"profile_{name}"
    lengths = len(group.summaries[0][key])
    found = [group.interval(lambda one, n=n: one[key][n]) for n in range(lengths)]
    if len(group.seeds) > 1 or name != "mean" or not group.arrays:
        return found
    own = group.arrays[0]["profiles"][group.arrays[0]["used"].bool()].double()
    if len(own) < 2:
        return found
    error = 1.96 * own.std(dim=0) / math.sqrt(len(own))
    return [
        Interval(one.mean, one.mean - half, one.mean + half, len(own), math.nan)
        for one, half in zip(found, error.tolist(), strict=True)
    ]


def _profiles(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    wide = width >= _WIDE
    figure, both = panels(width, 2.5 if wide else 2.0, 2)
    first = groups[0].summaries[0]
    for axes, (name, title) in zip(both, _KINDS, strict=True):
        for group in groups:
            found = _profile(group, name)
            interval_line(axes, range(len(found)), found, shades[group.key].light, scale=1)
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
    legend(figure, groups, shades, wide=wide)
    return figure


def _maps(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    """Two rows of maps, a column a method, one scale a row."""
    from matplotlib.figure import Figure

    columns = min(len(groups), 5 if width >= _WIDE else 3)
    blocks = -(-len(groups) // columns)
    side = (width - 0.75) / columns
    figure = Figure(figsize=(width, 2 * blocks * (side + 0.12) + 0.25), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)  # pyright: ignore
    grid = figure.subplots(2 * blocks, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, (name, title) in enumerate(_KINDS):
        shown = [_scaled(group, name) for group in groups]
        low = min(float(one.min()) for one in shown)
        high = max(float(_without_middle(one).max()) for one in shown)
        picture = None
        for place, (group, values) in enumerate(zip(groups, shown, strict=True)):
            axes = grid[row * blocks + place // columns][place % columns]
            reach = [(size - 1) / 2 + 0.5 for size in values.shape]
            extent = (-reach[1], reach[1], reach[0], -reach[0])
            picture = axes.imshow(values.numpy(), vmin=low, vmax=high, cmap="magma", extent=extent)
            if row == 0 or blocks > 1:
                axes.set_title(group.label, loc="left", fontsize=8, pad=3, fontweight="bold",
                               color=shades[group.key].light)  # fmt: skip
        if picture is not None:
            line = grid[row * blocks : (row + 1) * blocks].ravel().tolist()
            bar = figure.colorbar(picture, ax=line, shrink=0.85, aspect=18, pad=0.015, extend="max")
            bar.outline.set_visible(False)  # pyright: ignore
            bar.ax.tick_params(labelsize=7.5, length=0)
            bar.set_label(f"{title} product", fontsize=8, color=INK.light)
    return figure


def _scaled(group: Group, name: str) -> torch.Tensor:
    """A map, averaged over seeds, with 1 in the middle."""
    maps = torch.stack([arrays[name].double() for arrays in group.arrays])
    middle = maps[:, maps.shape[1] // 2, maps.shape[2] // 2, None, None]
    return (maps / middle.clamp_min(1e-300)).mean(dim=0)


def _without_middle(values: torch.Tensor) -> torch.Tensor:
    flat = values.flatten()
    middle = len(flat) // 2
    return torch.cat([flat[:middle], flat[middle + 1 :]]) if len(flat) > 1 else flat
