"""Masks and labels against what was asked for, and how far mixtures lie from real images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.reports.figure_text import TITLE, label
from mixwright.lab.reports.figures import panels, row_labels, small_multiples, whisker
from mixwright.lab.reports.formatting import NONE, number, spread
from mixwright.lab.reports.palette import FAINT, INK
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.reports.sections.lines import group_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STAGES = {
    "before": "before augmentation",
    "smoothed": "all smoothed",
    "rotated": "all rotated",
    "sheared": "all sheared",
    "after": "as trained with",
}
_EXACT = 1e-6  # what rounding leaves of a sum of label weights


def write(part: Part, page: Page) -> dict[str, Section]:
    """A row a group, stages of augmented masks, histograms of shares, distances to real images."""
    groups, first = part.groups, part.groups[0].first
    staged = [group for group in groups if group.first["stages"]]
    near = [group for group in groups if group.first["distance"]]
    tables = [_table(groups)]
    tables += [_stages(staged)] if staged else []
    drawings = [
        Drawing(
            "shares",
            "Own share of the pixels in each mixture (bars), and what it would be if all were as "
            "asked for (line).",
            lambda width: _histograms(groups, page.shades, width),
        )
    ]
    protocol = (
        f"{first['count']:,} mixtures of test images for each model, a draw for each sample; a "
        f"mixture is hardly mixed where one source has more than "
        f"{100 * (1 - first['degenerate_below']):g} % of the pixels."
    )
    reading = (
        "Area: mean distance of the own share of pixels from the one that was asked for; some "
        "methods clip, round or merge, and measure the label afterwards. Label: share of the label "
        "that speaks of another source than the pixels show. KS: largest gap between the "
        "distribution of own shares and their law (where it has a formula, else the shares asked "
        f"for); below {first['ks_noise']:.3f} it cannot be told from chance."
    )
    if near:
        about = near[0].first["distance"]
        drawings.append(
            Drawing(
                "distance",
                "Distance of mixtures to the nearest real image, divided by that of real images to "
                "each other: filled, any real image; hollow, any but those that were mixed. Beyond "
                "1 mixtures lie farther out than real images do.",
                lambda width: _distances(near, page.shades, width),
            )
        )
        references = sorted({str(group.first["distance"]["reference"]) for group in near})
        protocol += (
            f" Distances: {about['count']:,} mixtures to {about['reals']:,} test images, in what "
            f"enters the last layer of {' and '.join(references)}."
        )
    section = Section(
        title="Masks, labels and distance to data",
        protocol=protocol,
        reading=reading,
        blocks=(*tables, *drawings),
    )
    return {"fidelity": section}


def _table(groups: Sequence[Group]) -> Table:
    columns: dict[str, Callable[[Group], str]] = {
        "law": lambda group: group.first["law"] or NONE,
        "area, %": lambda group: _cell(group, "area", scale=100, digits=1),
        "label, %": lambda group: _cell(group, "label", scale=100, digits=1),
        "labels sum to": _label_sum,
        "hardly mixed, %": lambda group: _cell(group, "degenerate", scale=100, digits=1),
        "KS": lambda group: _cell(group, "ks_realised"),
        "nearest": lambda group: _cell(group, "distance.nearest", digits=2),
        "nearest other": lambda group: _cell(group, "distance.nearest_other", digits=2),
    }
    return group_table(
        ("Method", *columns),
        groups,
        lambda group: (make(group) for make in columns.values()),
        caption="Nearest: mean distance to the nearest real image, divided by that of real images "
        "to each other; other: images that were mixed do not count, so that an image that is not "
        "mixed at all has 1.",
    )


def _stages(groups: Sequence[Group]) -> Table:
    rows: list[tuple[str, ...]] = []
    keys: list[str] = []
    for group in groups:
        for stage, words in _STAGES.items():
            cells = [
                _cell(group, f"stages.{stage}.{name}", scale=100, digits=1)
                for name in ("moved", "area", "degenerate")
            ]
            rows.append((group.label, words, *cells, _cell(group, f"stages.{stage}.ks_realised")))
            keys.append(group.key)
    return Table(
        head=("Method", "masks", "moved, %", "area, %", "hardly mixed, %", "KS"),
        rows=tuple(rows),
        caption="What augmentation of masks does to the same layers; moved: mean change of the own "
        "share. Labels are measured afterwards, so they follow.",
        keys=tuple(keys),
    )


def _cell(group: Group, path: str, *, scale: float = 1, digits: int = 3) -> str:
    return spread(group.intervals.get(path), scale=scale, digits=digits)


def _label_sum(group: Group) -> str:
    worst = max(float(run["label_sum"]) for run in group.summaries)
    return "1" if worst < _EXACT else f"1 ± {number(worst, 2)}"


def _histograms(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    """A small histogram a method, over one axis of shares."""
    from matplotlib.ticker import MaxNLocator

    figure, grid = small_multiples(width, len(groups), row=1.15, sharey=False)
    for axes, group in zip(grid, groups, strict=True):
        found = group.first
        bars = [100 * share for share in found["histogram"]]
        edges = [n / len(bars) for n in range(len(bars) + 1)]
        axes.stairs(bars, edges, fill=True, color=shades[group.key].light, alpha=0.55, lw=0)
        if found["expected"] is not None:
            wanted = [100 * share for share in found["expected"]]
            axes.stairs(wanted, edges, baseline=None, color=INK.light, lw=1.1)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        axes.set_ylim(0, max(1.05 * max(bars), 1))
        axes.set_title(label(group.label, TITLE), loc="left", fontsize=8.5, color=INK.light, pad=3)
    figure.supxlabel("own share of the pixels", fontsize=9, color=FAINT.light)
    figure.supylabel("mixtures, %", fontsize=9, color=FAINT.light)
    return figure


def _distances(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    figure, (axes,) = panels(width, 0.75 + 0.34 * len(groups), 1)
    axes.axvline(1, color=FAINT.light, lw=1, zorder=0.5)
    for place, group in enumerate(groups):
        colour = shades[group.key].light
        for name, shift, face in (("nearest", 0.12, colour), ("nearest_other", -0.12, "white")):
            interval = group.intervals.get(f"distance.{name}")
            if interval is not None and interval.mean == interval.mean:  # not NaN
                whisker(axes, interval, -place + shift, colour, face=face, scale=1)
    row_labels(axes, [group.label for group in groups])
    axes.set_xlabel("relative distance to the nearest image")
    axes.margins(x=0.06)
    return figure
