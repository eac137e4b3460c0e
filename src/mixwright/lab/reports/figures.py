"""Figures of a comparison, drawn with matplotlib without its global state.

Colours of text and methods are placeholders in the SVG, which the page's style sheet fills for
light and dark; the PNG beside it has the light ones.
"""

import io
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mixwright.lab.reports.curves import Curve, Curves
from mixwright.lab.reports.palette import FAINT, INK, LINE, PAPER, Shade

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixwright.lab.analysis.comparison import Comparison, MethodRecord
    from mixwright.lab.analysis.statistics import Interval

_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": LINE.light,
    "axes.linewidth": 0.8,
    "axes.labelcolor": FAINT.light,
    "axes.labelsize": 9,
    "xtick.color": FAINT.light,
    "ytick.color": FAINT.light,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": LINE.light,
    "grid.linewidth": 0.7,
    "text.color": INK.light,
    "axes.axisbelow": True,
    "svg.fonttype": "none",
    "savefig.transparent": True,
}


@contextmanager
def styled() -> Generator[None]:
    """The look of all our figures, for the length of a ``with`` block."""
    import matplotlib as mpl

    with mpl.rc_context(cast("Any", _STYLE)):
        yield


def canvas(width: float, height: float) -> "tuple[Figure, Axes]":
    """An empty figure with one pair of axes, in our look when made under ``styled``.

    Args:
        width: in inches.
        height: in inches.

    Returns:
        figure and axes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def whisker(
    axes: "Axes",
    interval: "Interval",
    y: float,
    colour: str,
    *,
    face: str,
    mark: str = "o",
    scale: float = 100,
) -> None:
    """A mean with its interval, lying in a row; the mean alone where the interval has no ends.

    Args:
        axes: to draw in.
        interval: what is shown.
        y: height of the row.
        colour: of line and edge.
        face: colour inside the mark; ``white`` for a hollow one.
        mark: shape, as matplotlib names it.
        scale: 100 for fractions shown in percent, 1 for plain numbers.
    """
    low, high = scale * interval.low, scale * interval.high
    if low == low:  # not NaN
        axes.plot([low, high], [y, y], color=colour, lw=1.4, solid_capstyle="round")
    size = 6 if mark == "o" else 5
    axes.plot(scale * interval.mean, y, mark, ms=size, mfc=face, mec=colour, mew=1.4)


def row_labels(axes: "Axes", labels: Sequence[str]) -> None:
    """Name the rows 0, -1, -2, ... of a figure, the first on top.

    Args:
        axes: to draw in.
        labels: from top to bottom.
    """
    axes.set_yticks([-place for place in range(len(labels))], labels, color=INK.light, fontsize=9.5)
    axes.set_ylim(-len(labels) + 0.45, 0.55)
    axes.grid(axis="x")


def accuracy_figure(record: "Comparison", shades: dict[str, Shade], *, width: float) -> "Figure":
    """Top-1 of every method with its interval: raw hollow, EMA filled, seeds as ticks.

    A method's own teacher, where it has one, is a filled diamond below.

    Args:
        record: of the comparison.
        shades: colour by METHOD.
        width: in inches.

    Returns:
        the figure.
    """
    figure, axes = canvas(width, _height(record.methods))
    for place, method in enumerate(record.methods):
        colour = shades[method.text].light
        for column, shift, look in _marks(method, colour):
            intervals: dict[str, Interval] = getattr(method, column)
            if "top1" not in intervals:
                continue
            y = -place + shift
            scores = [getattr(run, column)["top1"] for run in method.runs]
            axes.plot([100 * s for s in scores], [y] * len(scores), "|", color=colour, ms=5,
                      alpha=0.55, mew=1)  # fmt: skip
            whisker(axes, intervals["top1"], y, colour, **look)
    row_labels(axes, [method.label for method in record.methods])
    axes.set_xlabel("top-1 accuracy on test images, %")
    axes.margins(x=0.06)
    return figure


def difference_figure(record: "Comparison", shades: dict[str, Shade], *, width: float) -> "Figure":
    """Difference in top-1 to the baseline, paired by seed, with its interval.

    That of an own teacher is to the averaged weights of the baseline.

    Args:
        record: of the comparison; its baseline is left out.
        shades: colour by METHOD.
        width: in inches.

    Returns:
        the figure.
    """
    methods = [method for method in record.methods if method.difference_raw]
    figure, axes = canvas(width, _height(methods))
    axes.axvline(0, color=FAINT.light, lw=1)
    for place, method in enumerate(methods):
        colour = shades[method.text].light
        for column, shift, look in _marks(method, colour):
            interval: Interval | None = getattr(method, f"difference_{column}")
            if interval is not None:
                whisker(axes, interval, -place + shift, colour, **look)
    row_labels(axes, [method.label for method in methods])
    axes.set_xlabel("difference to no mixing, percentage points")
    axes.margins(x=0.08)
    return figure


def curves_panel(
    axes: "Axes", curves: Curves, baseline: Curves | None, shade: Shade, *, floor: float
) -> None:
    """Train and test accuracy of one method over epochs, the baseline's test curve behind.

    Args:
        axes: to draw in.
        curves: of the method.
        baseline: of the baseline, or None.
        shade: colour of the method.
        floor: lowest accuracy shown, in [0, 1].
    """
    from matplotlib.ticker import MaxNLocator

    if baseline is not None:
        _line(axes, baseline.raw, FAINT.light, lw=1.1, alpha=0.6)
    _line(axes, curves.train, shade.light, lw=1, dashes=(2, 2), alpha=0.75)
    _band(axes, curves.raw, shade.light)
    _line(axes, curves.raw, shade.light, lw=1.2)
    _line(axes, curves.ema, shade.light, lw=2.3)
    _line(axes, curves.teacher, shade.light, lw=1.6, dashes=(5, 1.5, 1, 1.5))
    axes.grid(axis="y")
    axes.set_ylim(100 * floor, 101)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def curve_figure(
    curves: Curves, baseline: Curves | None, shade: Shade, *, floor: float
) -> "Figure":
    """``curves_panel`` as a figure of its own, the size of a card."""
    figure, axes = canvas(3.1, 2.1)
    curves_panel(axes, curves, baseline, shade, floor=floor)
    return figure


def seen_figure(curve: Curve, shade: Shade) -> "Figure":
    """One of the numbers that an objective shows, over epochs, with the range of seeds.

    Args:
        curve: its values, in their own unit.
        shade: colour of the method.

    Returns:
        the figure, the size of a card.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = canvas(3.1, 1.5)
    axes.fill_between(curve.epochs, curve.low, curve.high, color=shade.light, alpha=0.16, lw=0)
    axes.plot(curve.epochs, curve.mean, color=shade.light, lw=1.6)
    axes.grid(axis="y")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    return figure


def all_curves_figure(
    panels: Sequence[tuple[str, Curves, Shade]], baseline: Curves | None, *, floor: float
) -> "Figure":
    """The panels of all methods in one picture, for files.

    Args:
        panels: label, curves and colour of each method.
        baseline: curves of the baseline.
        floor: lowest accuracy shown.

    Returns:
        the figure, three panels a row.
    """
    from matplotlib.figure import Figure

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.5 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (label, curves, shade) in zip(grid.flat, panels, strict=False):
        curves_panel(axes, curves, None if curves is baseline else baseline, shade, floor=floor)
        axes.set_title(label, loc="left", fontsize=10, color=shade.light, fontweight="bold")
    figure.supylabel("accuracy, %", fontsize=9, color=FAINT.light)
    return figure


def lowest(curves: Sequence[Curves]) -> float:
    """Where the axis of the curves begins: below the ends, above the chaos of first epochs."""
    ends = [
        curve.mean[-1]
        for one in curves
        for curve in (one.raw, one.ema, one.train, one.teacher)
        if curve.mean
    ]
    return max(0.0, min(ends, default=0.0) - 0.35)


def to_svg(figure: "Figure", shades: dict[str, Shade], *, salt: str) -> str:
    """An ``<svg>`` element whose colours are variables of the page.

    Args:
        figure: drawn with ``styled``.
        shades: colours of methods; each becomes ``--m0``, ``--m1``, ... in their order.
        salt: makes the element's ids its own.

    Returns:
        markup without XML header, the same bytes each time.
    """
    import matplotlib as mpl

    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    names = {INK.light: "--ink", FAINT.light: "--faint", LINE.light: "--line"}
    names |= {shade.light: f"--m{place}" for place, shade in enumerate(shades.values())}
    for colour, name in names.items():
        text = text.replace(colour, f"var({name})")
    text = re.sub(r"fill: (#ffffff|white)", "fill: var(--paper)", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r' id="(?!p|m|image)[^"]*"', "", text)  # keeps those that are referred to
    head, body = text.split(">", 1)
    return re.sub(r' (width|height)="[^"]*"', "", head) + ">" + body


def to_png(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG on light ground.

    Args:
        figure: any.
        path: the file; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200, facecolor=PAPER.light, transparent=False)


def _height(methods: "Sequence[MethodRecord]") -> float:
    """Inches for a row a method; rows of three marks want more room."""
    return 0.75 + (0.58 if any(one.teacher for one in methods) else 0.46) * len(methods)


def _marks(method: "MethodRecord", colour: str) -> list[tuple[str, float, dict[str, Any]]]:
    """A method's columns, each with its place in the row and the look of its mark."""
    hollow, filled = {"face": "white"}, {"face": colour}
    if not method.teacher:
        return [("raw", 0.13, hollow), ("ema", -0.13, filled)]
    return [("raw", 0.22, hollow), ("ema", 0.0, filled), ("teacher", -0.22, filled | {"mark": "D"})]


def _line(axes: "Axes", curve: Curve, colour: str, **look: Any) -> None:
    if len(curve.epochs) == 1:  # a line of one point is none
        look["marker"], look["markersize"] = "o", 3.5
    axes.plot(curve.epochs, [100 * value for value in curve.mean], color=colour, **look)


def _band(axes: "Axes", curve: Curve, colour: str) -> None:
    low, high = ([100 * value for value in one] for one in (curve.low, curve.high))
    axes.fill_between(curve.epochs, low, high, color=colour, alpha=0.16, lw=0)
