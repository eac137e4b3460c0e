"""Accuracy under corruption: by family and type, over severities, and what the images look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from mixwright.lab.evaluation.corruption.constants import (
    BENCHMARK_TYPES,
    FAMILIES,
    SEVERITIES,
    TYPES,
)
from mixwright.lab.evaluation.corruption.generate import corrupt
from mixwright.lab.reports.figures import canvas
from mixwright.lab.reports.formatting import spread
from mixwright.lab.reports.palette import FAINT, INK, PAPER
from mixwright.lab.reports.sections.lines import interval_line, with_differences
from mixwright.lab.reports.sections.pairing import baseline_of, plain_label
from mixwright.lab.reports.sections.section import Drawing, Group, Read, Section, Shades, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from torch import Tensor

    from mixwright.lab.analysis.statistics import Interval


_SPAN = 10.0  # least range of accuracies on an axis, in points

_FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}
_WORSE, _BETTER = "#e08a4f", "#5b9fd0"
_WIDE = 5.0  # inches
_GAP = 2  # pixels between pictures
_FULL_COLOUR = 2.0  # points: smaller differences are pale in every table
_COLUMN = 1.3  # inches, at most


def corruption(groups: Sequence[Group], shades: Shades) -> Section:
    """Write the section of the evaluation ``corruption``; see ``section.Write``."""
    first = groups[0].summaries[0]
    drawings = [
        Drawing(
            "severities",
            "Accuracy over severities, mean of all types, on the left on clean images"
            + (_bands(groups, "; bands: ") or "") + ".",
            lambda width: _lines(groups, shades, width),
        ),
        Drawing(
            "types",
            _matrix_caption(groups),
            lambda width: _matrix(groups, width),
            vector=False,
        ),
    ]  # fmt: skip
    sample = next((one.arrays[0].get("sample") for one in groups if one.arrays), None)
    if sample is not None:
        drawings.append(
            Drawing(
                "sheet",
                "The first test image under all 19 corruptions, measured or not, severities 1 to "
                "5 from left to right; Frost* is a stand-in without its pictures of ice. Some "
                "types are not further from the image at a higher severity.",
                lambda width: corruption_sheet(sample, seed=first["seed"], width=width),
                vector=False,
            )
        )
    return Section(
        title="Corruption",
        protocol=_protocol(first),
        reading=_reading(first, len(groups[0].seeds)),
        tables=(_by_method(groups), _by_type(groups)),
        drawings=tuple(drawings),
    )


def corruption_sheet(image: Tensor, *, seed: int = 0, width: float = 6.6) -> Figure:
    """One image under all 19 types at five severities.

    Args:
        image: ``(3, H, W)`` uint8, sides of at least 8 pixels.
        seed: of the corruptions; frost is the stand-in of noise.
        width: in inches.

    Returns:
        the figure: the image, then a strip a type, sorted by family, the severities side by side.
    """
    from matplotlib.figure import Figure

    blocks = 3 if width >= _WIDE else 2
    rows = -(-(len(TYPES) + 1) // blocks)
    picture = width / blocks / (len(SEVERITIES) + 0.35)
    figure = Figure(figsize=(width, rows * (picture + 0.2)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.015)  # pyright: ignore
    grid = figure.subplots(rows, blocks, squeeze=False).T.flat
    strips = [("Clean", image[None])]
    for name in TYPES:
        variants = [corrupt(image[None], name, severity, seed=seed) for severity in SEVERITIES]
        strips.append((_said(name, mark=name == "frost"), torch.cat(variants)))
    for axes in grid[len(strips) :]:
        axes.set_visible(False)
    for axes, (title, pictures) in zip(grid, strips, strict=False):
        axes.imshow(_strip(pictures).numpy(), interpolation="nearest")
        axes.set_title(title, loc="left", fontsize=7.5, color=INK.light, pad=2)
        axes.set_axis_off()
    return figure


def _strip(pictures: Tensor) -> Tensor:
    """Up to five pictures side by side on white, ``(H, W', 3)`` uint8."""
    count, _, height, width = pictures.shape
    step = width + _GAP
    strip = torch.full((height, step * len(SEVERITIES) - _GAP, 3), 255, dtype=torch.uint8)
    for place in range(count):
        strip[:, place * step : place * step + width] = pictures[place].permute(1, 2, 0)
    if count < len(SEVERITIES):  # nothing there: the ground of the page shows through
        shown = torch.full((height, strip.shape[1], 1), 0, dtype=torch.uint8)
        shown[:, : count * step - _GAP] = 255
        return torch.cat([strip, shown], dim=2)
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
    if "imagenet" in found:
        one = found["imagenet"]
        words += (
            f" In AlexNet's errors, mCE is {100 * one['mce']:.1f} and relative mCE "
            f"{100 * one['relative_mce']:.1f} (first model)."
        )
    return words + (" ± is half the 95 % t interval over seeds." if seeds > 1 else "")


def _by_method(groups: Sequence[Group]) -> Table:
    first = groups[0].summaries[0]
    families = list(first["families"])
    count = len(first["types"])
    columns: list[tuple[str, Read]] = [
        ("clean", lambda found: found["clean"]),
        (f"mean of {count}", lambda found: found["mean"]),
    ]
    if first["mean_benchmark"] is not None and count > len(BENCHMARK_TYPES):
        columns.append(("of 15", lambda found: found["mean_benchmark"]))
    columns += [
        (family, lambda found, family=family: found["families"][family]) for family in families
    ]
    columns += [("mCE", lambda found: found["mce"]), ("drop", lambda found: found["relative_drop"])]
    plain = ("Method", *(name for name, _ in columns))
    scores = [
        [group.label, *(spread(group.interval(read)) for _, read in columns)] for group in groups
    ]
    head, rows = with_differences(plain, scores, groups, lambda found: found["mean"], name="mean")
    return Table(
        head=head,
        rows=rows,
        caption="Percent: accuracy; mCE, the mean error; drop: clean accuracy minus the mean, in "
        "points"
        + ("; last column: difference of the means, paired by seed, to no mixing with "
           "the same weights (an own teacher to the EMA)." if len(head) > len(plain) else "."),
        keys=tuple(group.key for group in groups),
    )  # fmt: skip


def _by_type(groups: Sequence[Group]) -> Table:
    names = _types(groups)
    rows = [
        (
            _said(name, mark=_marked(groups)),
            _FAMILY_OF[name],
            *(spread(group.interval(lambda found, name=name: found["by_type"][name]))
              for group in groups),
        )
        for name in names
    ]  # fmt: skip
    return Table(
        head=("Type", "family", *(group.label for group in groups)),
        rows=tuple(rows),
        caption="Accuracy in percent, mean over severities.",
    )


def _lines(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    """Mean accuracy by severity, each line named at its end."""
    figure, axes = canvas(width, 0.42 * width + 0.6)
    severities = groups[0].summaries[0]["severities"]
    places = [0, *severities]
    ends: list[tuple[float, str, str]] = []
    for group in sorted(groups, key=lambda one: one.baseline):  # the baseline on top
        colour = shades[group.key].light
        reads: list[Read] = [lambda found: found["clean"]]
        reads += [lambda found, at=at: found["by_severity"][at] for at in range(len(severities))]
        intervals = [group.interval(read) for read in reads]
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
    for height, (_, label, colour) in zip(heights, order, strict=True):
        axes.annotate(
            label, (x, height + shift), (9, 0), textcoords="offset points", va="center",
            fontsize=8.5, color=colour, annotation_clip=False,
        )  # fmt: skip


def _matrix(groups: Sequence[Group], width: float) -> Figure:
    """A row a type, a column a method (or a severity where there is one model), as numbers."""
    columns, values, apart = _cells(groups)
    names = _types(groups)
    gaps = _family_gaps(names)
    rows = [place + gap for place, gap in enumerate(gaps)]
    figure, axes = canvas(width, 0.55 + 0.2 * (rows[-1] + 1))
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
        rows, [_said(one, mark=_marked(groups)) for one in names], fontsize=8, color=INK.light
    )
    many = len(columns) * (0.1 + 0.075 * max(map(len, columns))) > width - 1.6
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
    base, names = _baseline(groups), _types(groups)
    if len(groups) == 1:
        severities = groups[0].summaries[0]["severities"]
        values = [
            [
                100 * groups[0].interval(lambda found, n=name, at=at: found["accuracy"][n][at]).mean
                for at in range(len(severities))
            ]
            for name in names
        ]
        return [str(one) for one in severities], values, False
    rows: list[list[float]] = []
    shown = [group for group in groups if base is None or baseline_of(group, groups) is not None]
    for name in names:

        def read(found: Mapping[str, Any], name: str = name) -> float:
            return float(found["by_type"][name])

        if base is None:
            rows.append([100 * group.interval(read).mean for group in shown])
            continue
        differences = [_gap(group, groups, read) for group in shown]
        rows.append([100 * one.mean if one else 0.0 for one in differences])
    return [group.label for group in shown], rows, base is not None


def _matrix_caption(groups: Sequence[Group]) -> str:
    base = _baseline(groups)
    if len(groups) == 1:
        return "Accuracy in percent by type and severity."
    if base is None:
        return "Accuracy in percent by type, mean over severities."
    return (
        f"Accuracy by type less that of {plain_label(base).lower()} with the same weights, in "
        "points, mean over severities: blue better, orange worse."
    )


def _colours(apart: bool) -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    stops = [_WORSE, PAPER.light, _BETTER] if apart else ["#f4f1ea", _BETTER]
    return LinearSegmentedColormap.from_list("corruption", stops)


def _family_gaps(names: Sequence[str]) -> list[float]:
    """How far each row is moved down, a little more with every new family."""
    moved, gaps = 0.0, list[float]()
    for place, name in enumerate(names):
        if place and _FAMILY_OF[name] != _FAMILY_OF[names[place - 1]]:
            moved += 0.45
        gaps.append(moved)
    return gaps


def _name_families(axes: Axes, names: Sequence[str], rows: Sequence[float], count: int) -> None:
    for family in FAMILIES:
        own = [y for name, y in zip(names, rows, strict=True) if _FAMILY_OF[name] == family]
        if own:
            axes.annotate(
                family, (count - 0.5, sum(own) / len(own)), (5, 0), textcoords="offset points",
                rotation=-90, va="center", fontsize=7.5, color=FAINT.light, annotation_clip=False,
            )  # fmt: skip


def _types(groups: Sequence[Group]) -> list[str]:
    """Types that all groups have, sorted by family."""
    return [
        name for name in TYPES
        if all(name in one["accuracy"] for group in groups for one in group.summaries)
    ]  # fmt: skip


def _gap(group: Group, groups: Sequence[Group], read: Read) -> Interval | None:
    """Difference to the baseline with the same kind of weights; None for a baseline."""
    base = baseline_of(group, groups)
    return None if base is None else group.difference(base, read)


def _baseline(groups: Sequence[Group]) -> Group | None:
    return next((group for group in groups if group.baseline), None)


def _marked(groups: Sequence[Group]) -> bool:
    """Whether frost is a stand-in somewhere."""
    return any(one["frost"] == "noise" for group in groups for one in group.summaries)


def _said(name: str, *, mark: bool = False) -> str:
    """A type for people; frost gets a star where it is a stand-in."""
    words = name.replace("_", " ").replace("jpeg", "JPEG")
    words = words[0].upper() + words[1:]
    return f"{words}*" if mark and name == "frost" else words


def _bands(groups: Sequence[Group], before: str) -> str:
    return f"{before}95 % t interval over seeds" if len(groups[0].seeds) > 1 else ""
