"""Accuracy under corruption: by family and type, over severities, and what the images look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixwright.lab.analysis.families import baseline_of
from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.analysis.over_types import FAMILY_OF, OverTypes
from mixwright.lab.evaluation.corruption.constants import (
    BENCHMARK_TYPES,
    FAMILIES,
    SEVERITIES,
    TYPES,
)
from mixwright.lab.reports.figure_text import TITLE, label
from mixwright.lab.reports.figures import WIDE, canvas
from mixwright.lab.reports.formatting import joined, spread
from mixwright.lab.reports.palette import FAINT, INK, PAPER
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.reports.sections.lines import interval_line, spread_table, with_differences
from mixwright.lab.reports.sections.over_types import over_types
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from torch import Tensor

_SPAN = 10.0  # least range of accuracies on an axis, in points
_WORSE, _BETTER = "#e08a4f", "#5b9fd0"
_GAP = 2  # pixels between pictures
_FULL_COLOUR = 2.0  # points: smaller differences are pale in every table
_COLUMN = 1.3  # inches, at most


def write(part: Part, page: Page) -> dict[str, Section]:
    """Accuracy by family, type and severity; over types, where a method has a baseline."""
    found = {"corruption": _corruption(part, page)}
    if part.numbers:
        judged = decode(OverTypes, part.numbers, where="corruption")
        found["types"] = over_types(part, judged, page.shades)
    return found


def _corruption(part: Part, page: Page) -> Section:
    groups, first = part.groups, part.groups[0].first
    drawings = [
        Drawing(
            name="severities",
            caption="Accuracy over severities, mean of all types, on the left on clean images"
            + (_bands(groups, "; bands: ") or "") + ".",
            make=lambda width: _lines(groups, page.shades, width),
        ),
        Drawing(
            name="types",
            caption=_matrix_caption(groups),
            make=lambda width: _matrix(groups, width),
            vector=False,
        ),
    ]  # fmt: skip
    if first["regenerated"]:
        sample, sheet = (f"corruption/{groups[0].key}/{name}" for name in ("sample", "sheet"))
        drawings.append(
            Drawing(
                name="sheet",
                caption="The first test image under all 19 corruptions, measured or not, "
                "severities 1 to 5 from left to right; Frost* is a stand-in without its pictures "
                "of ice. Some types are not further from the image at a higher severity.",
                make=lambda width: corruption_sheet(
                    page.arrays[sample], page.arrays[sheet], width=width
                ),
                vector=False,
                needs=(sample, sheet),
            )
        )
    return Section(
        title="Corruption",
        protocol=_protocol(first),
        reading=_reading(first, len(groups[0].seeds)),
        blocks=(_by_method(groups), _by_type(groups), *drawings),
    )


def corruption_sheet(sample: Tensor, sheet: Tensor, *, width: float) -> Figure:
    """Draw an image ``(3, H, W)`` uint8, then ``(19, 5, 3, H, W)``, a strip a type of ``TYPES``."""
    from matplotlib.figure import Figure

    blocks = 3 if width >= WIDE else 2
    rows = -(-(len(TYPES) + 1) // blocks)
    picture = width / blocks / (len(SEVERITIES) + 0.35)
    figure = Figure(figsize=(width, rows * (picture + 0.2)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.015)  # pyright: ignore
    grid = figure.subplots(rows, blocks, squeeze=False).T.flat
    strips = [("Clean", sample[None])]
    strips += [
        (_title(name, mark=name == "frost"), pictures)
        for name, pictures in zip(TYPES, sheet, strict=True)
    ]
    for axes in grid[len(strips) :]:
        axes.set_visible(False)
    for axes, (title, pictures) in zip(grid, strips, strict=False):
        axes.imshow(_strip(pictures), interpolation="nearest")
        axes.set_title(title, loc="left", fontsize=7.5, color=INK.light, pad=2)
        axes.set_axis_off()
    return figure


def _strip(pictures: Tensor) -> npt.NDArray[np.uint8]:
    """Up to five pictures side by side, ``(H, W', 4)``, white between them, clear behind them."""
    count, _, height, width = pictures.shape
    step = width + _GAP
    strip = np.zeros((height, step * len(SEVERITIES) - _GAP, 4), dtype=np.uint8)
    strip[:, : count * step - _GAP] = 255
    for place, picture in enumerate(pictures.permute(0, 2, 3, 1).numpy()):
        strip[:, place * step : place * step + width, :3] = picture
    return strip


def _protocol(found: Mapping[str, Any]) -> str:
    types, severities = len(found["types"]), found["severities"]
    what = f"{types} corruption{'s' if types > 1 else ''} at "
    what += (
        f"severities {', '.join(map(str, severities))}"
        if len(severities) > 1
        else f"severity {severities[0]}"
    )
    if not found["regenerated"]:
        return f"{found['images']:,} test images under {what}, read from the official files."
    sizes = {"cifar": "CIFAR-10-C", "tiny": "Tiny-ImageNet-C", "imagenet": "ImageNet-C"}
    return (
        f"{found['images']:,} test images under {what}, regenerated (not the official files) with "
        f"the constants of {sizes[found['constants']]}, seed {found['seed']}, a stream of random "
        f"numbers for each type, severity and {found['block']:,} images; the same for all models."
    )


def _reading(found: Mapping[str, Any], seeds: int) -> str:
    words = (
        "mCE is the mean error over types and severities, normalised by nothing. Means over the "
        "15 benchmark types and over all 19 are not comparable; the extra family is what the 15 "
        "leave out."
    )
    if found["frost"] == "noise":
        words += (
            " Frost* is a stand-in of noise for the pictures of ice: leave it out of comparisons "
            "with published numbers."
        )
    if found.get("unchanged"):  # older records do not say
        same = [
            f"{name.replace('_', ' ')} at severity {joined([*map(str, severities)])}"
            for name, severities in found["unchanged"].items()
        ]
        words += f" Nothing changes in images of this size by {joined(same)}."
    if "imagenet" in found:
        errors = found["imagenet"]
        words += (
            f" In AlexNet's errors, mCE is {100 * errors['mce']:.1f} and relative mCE "
            f"{100 * errors['relative_mce']:.1f} (first model)."
        )
    return words + (" ± is half the 95 % t interval over seeds." if seeds > 1 else "")


def _by_method(groups: Sequence[Group]) -> Table:
    first = groups[0].first
    count = len(first["types"])
    columns = {"clean": "clean", f"mean of {count}": "mean"}
    if first["mean_benchmark"] is not None and count > len(BENCHMARK_TYPES):
        columns["of 15"] = "mean_benchmark"
    columns |= {family: f"families.{family}" for family in first["families"]}
    columns |= {"mCE": "mce", "drop": "relative_drop"}
    table = spread_table(
        columns,
        groups,
        caption="Percent: accuracy; mCE, the mean error; drop: clean accuracy minus the mean, in "
        "points"
        + ("; last column: difference of the means, paired by seed, to no mixing with "
           "the same weights (an own teacher to the EMA)." if _methods(groups) else "."),
    )  # fmt: skip
    return with_differences(table, groups, "mean", name="mean")


def _by_type(groups: Sequence[Group]) -> Table:
    rows = tuple(
        (
            _title(name, mark=_marked(groups)),
            FAMILY_OF[name],
            *(spread(group.intervals[f"by_type.{name}"]) for group in groups),
        )
        for name in _types(groups)
    )
    return Table(
        head=("Type", "family", *(group.label for group in groups)),
        rows=rows,
        caption="Accuracy in percent, mean over severities.",
    )


def _lines(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    """Mean accuracy by severity, each line named at its end."""
    figure, axes = canvas(width, 0.42 * width + 0.6)
    severities = groups[0].first["severities"]
    places = [0, *severities]
    ends: list[tuple[float, str, str]] = []
    for group in sorted(groups, key=lambda group: group.baseline):  # the baseline on top
        colour = shades[group.key].light
        paths = ["clean", *(f"by_severity.{place}" for place in range(len(severities)))]
        intervals = [group.intervals[path] for path in paths]
        interval_line(axes, places, intervals, colour, marker="o", ms=4, mfc="white", mew=1.3)
        ends.append((100 * intervals[-1].mean, group.label, colour))
    axes.set_xticks(places, ["clean", *map(str, severities)])
    axes.set_xlabel("severity")
    axes.set_ylabel("accuracy, %")
    axes.grid(axis="y")
    axes.set_facecolor("none")
    _clip(axes)
    _name_ends(axes, places[-1], ends)
    return figure


def _clip(axes: Axes) -> None:
    """No room beyond what an accuracy can be."""
    low, high = axes.get_ylim()
    wanting = max(0.0, _SPAN - (high - low)) / 2  # noise of few images must not look like a fall
    axes.set_ylim(max(low - wanting, 0), min(high + wanting, 101))


def _name_ends(axes: Axes, x: float, ends: Sequence[tuple[float, str, str]]) -> None:
    """Labels behind the last points, moved apart where they would lie on each other."""
    low, high = axes.get_ylim()
    step = (high - low) * 0.155 / axes.figure.get_figheight()  # pyright: ignore
    order = sorted(ends)
    heights = [value for value, _, _ in order]
    for _ in range(100):
        for k in range(len(heights) - 1):
            close = step - (heights[k + 1] - heights[k])
            if close > 0:
                heights[k], heights[k + 1] = heights[k] - close / 2, heights[k + 1] + close / 2
    shift = max(0.0, low - heights[0]) if heights else 0.0
    for height, (_, name, colour) in zip(heights, order, strict=True):
        axes.annotate(
            label(name, TITLE), (x, height + shift), (9, 0), textcoords="offset points",
            va="center", fontsize=8.5, color=colour, annotation_clip=False,
        )  # fmt: skip


def _matrix(groups: Sequence[Group], width: float) -> Figure:
    """A row a type, a column a method (or a severity where there is one model), as numbers."""
    columns, values, apart = _cells(groups)
    names = _types(groups)
    gaps = _family_gaps(names)
    rows = [place + gap for place, gap in enumerate(gaps)]
    longest = max(map(len, columns))
    many = len(columns) * (0.1 + 0.075 * longest) > width - 1.6
    # Heads that stand aslant need room above, which few rows would not leave them.
    figure, axes = canvas(width, 0.55 + 0.2 * (rows[-1] + 1) + (0.05 * longest if many else 0))
    limit = max(_FULL_COLOUR, *(abs(value) for row in values for value in row))
    colours = _colours(apart)
    for y, row in zip(rows, values, strict=True):
        for x, value in enumerate(row):
            share = 0.5 + value / limit / 2 if apart else value / 100
            axes.fill_between([x - 0.485, x + 0.485], y - 0.46, y + 0.46, color=colours(share),
                              lw=0)  # fmt: skip
            text = f"{value:+.1f}".replace("-", "\N{MINUS SIGN}") if apart else f"{value:.0f}"
            text = "0.0" if text in ("+0.0", "\N{MINUS SIGN}0.0") else text
            axes.text(x, y, text, ha="center", va="center", fontsize=7, color=INK.light)
    axes.set_xlim(-0.5, max(len(columns), (width - 1.6) / _COLUMN) - 0.5)
    axes.set_ylim(rows[-1] + 0.5, -0.5)
    axes.set_yticks(
        rows, [_title(name, mark=_marked(groups)) for name in names], fontsize=8, color=INK.light
    )
    axes.xaxis.tick_top()
    axes.set_xticks(
        range(len(columns)), columns, fontsize=8, color=INK.light,
        rotation=40 if many else 0, ha="left" if many else "center",
    )  # fmt: skip
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_facecolor("none")
    _name_families(axes, names, rows, len(columns))
    return figure


def _cells(groups: Sequence[Group]) -> tuple[list[str], list[list[float]], bool]:
    """Heads of the columns, values in percent by type, and whether these are differences."""
    names = _types(groups)
    if len(groups) == 1:
        found, severities = groups[0].intervals, groups[0].first["severities"]
        places = range(len(severities))
        rows = [[100 * found[f"accuracy.{name}.{at}"].mean for at in places] for name in names]
        return [str(severity) for severity in severities], rows, False
    methods = _methods(groups)
    if methods:
        rows = [[_difference(group, f"by_type.{name}") for group in methods] for name in names]
    else:
        rows = [[100 * group.intervals[f"by_type.{name}"].mean for group in groups]
                for name in names]  # fmt: skip
    return [label(group.label) for group in methods or groups], rows, bool(methods)


def _difference(group: Group, path: str) -> float:
    """To the baseline, in points; 0 where they have no seeds in common."""
    found = group.differences.get(path)
    return 0.0 if found is None else 100 * found.interval.mean


def _matrix_caption(groups: Sequence[Group]) -> str:
    if len(groups) == 1:
        return "Accuracy in percent by type and severity."
    if not _methods(groups):
        return "Accuracy in percent by type, mean over severities."
    base = next(group.name for group in groups if group.baseline)
    return (
        f"Accuracy by type less that of {base.lower()} with the same weights, in points, mean over "
        "severities: blue better, orange worse."
    )


def _colours(apart: bool) -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    stops = [_WORSE, PAPER.light, _BETTER] if apart else ["#f4f1ea", _BETTER]
    return LinearSegmentedColormap.from_list("corruption", stops)


def _family_gaps(names: Sequence[str]) -> list[float]:
    """How far each row is moved down, a little more with every new family."""
    moved, gaps = 0.0, list[float]()
    for place, name in enumerate(names):
        if place and FAMILY_OF[name] != FAMILY_OF[names[place - 1]]:
            moved += 0.45
        gaps.append(moved)
    return gaps


def _name_families(axes: Axes, names: Sequence[str], rows: Sequence[float], count: int) -> None:
    for family in FAMILIES:
        own = [y for name, y in zip(names, rows, strict=True) if FAMILY_OF[name] == family]
        if own:
            axes.annotate(
                family, (count - 0.5, sum(own) / len(own)), (5, 0), textcoords="offset points",
                rotation=-90, va="center", fontsize=7.5, color=FAINT.light, annotation_clip=False,
            )  # fmt: skip


def _types(groups: Sequence[Group]) -> list[str]:
    """Types that all groups have, sorted by family."""
    return [
        name for name in TYPES
        if all(name in run["accuracy"] for group in groups for run in group.summaries)
    ]  # fmt: skip


def _methods(groups: Sequence[Group]) -> list[Group]:
    """Groups that have a baseline."""
    return [group for group in groups if baseline_of(group, groups) is not None]


def _marked(groups: Sequence[Group]) -> bool:
    """Whether frost is a stand-in somewhere."""
    return any(run["frost"] == "noise" for group in groups for run in group.summaries)


def _title(name: str, *, mark: bool = False) -> str:
    """A type for people; frost gets a star where it is a stand-in."""
    words = name.replace("_", " ").replace("jpeg", "JPEG")
    words = words[0].upper() + words[1:]
    return f"{words}*" if mark and name == "frost" else words


def _bands(groups: Sequence[Group], before: str) -> str:
    return f"{before}95 % t interval over seeds" if len(groups[0].seeds) > 1 else ""
