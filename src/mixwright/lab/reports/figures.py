"""The look of all figures, drawn with matplotlib without its global state.

Colours of text and methods are placeholders in the SVG, which the page's style sheet fills for
light and dark; the PNG beside it has the light ones.
"""

import gc
import io
import math
import re
import textwrap
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from mixwright.lab.reports.figure_text import fonts_for, label
from mixwright.lab.reports.palette import FAINT, INK, LINE, PAPER, Shade
from mixwright.lab.reports.plain_text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixwright.lab.analysis.statistics import Interval

WIDE = 5.0
"""Inches from which a figure has room for names or panels side by side."""

_NAME = 36  # letters in a line of a row's name, which would leave a narrow figure no room
_DPI = 200

_STYLE: dict[str, Any] = {
    "font.size": 9.5,
    "text.parse_math": False,  # names are no formulas, whatever they hold
    "text.usetex": False,
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
def styled(names: Iterable[str] = ()) -> Generator[None]:
    """The look of all our figures, for the length of a ``with`` block.

    ``names`` is what they show that is not ours: a font that has its characters is looked for.
    """
    import matplotlib as mpl

    with mpl.rc_context(cast("Any", _STYLE)):
        mpl.rcParams["font.family"] = ["sans-serif", *fonts_for(names)]
        yield


@contextmanager
def garbage_kept() -> Generator[Callable[[], object]]:
    """Collect no garbage in a ``with`` block but where the function that is given is called.

    A figure is made of so many small objects that the collector would go through all that Python
    holds again and again, a sixth of the time that a page takes.
    """
    enabled = gc.isenabled()
    gc.disable()
    gc.freeze()  # what is there already is not looked at by the calls either
    try:
        yield gc.collect
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def canvas(width: float, height: float) -> "tuple[Figure, Axes]":
    """Return an empty figure with one pair of axes, in our look when made under ``styled``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def panels(width: float, height: float, count: int) -> "tuple[Figure, list[Axes]]":
    """Return panels that share their rows: side by side where there is room, else stacked."""
    from matplotlib.figure import Figure

    wide = width >= WIDE
    figure = Figure(figsize=(width, height if wide else height * count), layout="constrained")
    shape = (1, count) if wide else (count, 1)
    return figure, list(figure.subplots(*shape, squeeze=False, sharey=wide).flat)


def small_multiples(
    width: float, count: int, *, row: float, sharey: bool = True
) -> "tuple[Figure, list[Axes]]":
    """Return ``count`` panels over one x axis, four or two in rows ``row`` inches high."""
    from matplotlib.figure import Figure

    columns = min(count, 4 if width >= WIDE else 2)
    rows = -(-count // columns)
    figure = Figure(figsize=(width, row * rows + 0.35), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=sharey).flat)
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, grid[:count]


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
    """Draw a mean with its interval in a row; the mean alone where the interval has no ends.

    ``face`` is the colour inside the mark, ``white`` for a hollow one; ``scale`` is 100 for
    fractions shown in percent, 1 for plain numbers.
    """
    low, high = scale * interval.low, scale * interval.high
    if low == low:  # not NaN
        axes.plot([low, high], [y, y], color=colour, lw=1.4, solid_capstyle="round")
    size = 6 if mark == "o" else 5
    axes.plot(scale * interval.mean, y, mark, ms=size, mfc=face, mec=colour, mew=1.4)


def percent_axis(axes: "Axes", axis: Literal["x", "y"]) -> None:
    """End an axis of percentages where no share can be: intervals of few seeds go on beyond.

    There is room for half a mark outside of 0 and 100.
    """
    low, high = axes.get_xlim() if axis == "x" else axes.get_ylim()
    set_limits = axes.set_xlim if axis == "x" else axes.set_ylim
    set_limits(max(low, -2), min(high, 102))


def row_labels(axes: "Axes", labels: Sequence[str]) -> None:
    """Name the rows 0, -1, -2, ... of a figure, the first on top; long names go on below."""
    rows = [-place for place in range(len(labels))]
    names = [textwrap.fill(label(name), _NAME, break_long_words=False) for name in labels]
    axes.set_yticks(rows, names, color=INK.light, fontsize=9.5)
    axes.set_ylim(-len(labels) + 0.45, 0.55)
    axes.grid(axis="x")


def to_svg(figure: "Figure", shades: Sequence[Shade], *, salt: str) -> str:
    """Return an ``<svg>`` element, each time the same, whose colours are the page's variables.

    Shades become ``--m0``, ``--m1``, ...; ``salt`` makes the element's ids its own.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    _arrange(figure)
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": printable(salt)}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    names = {INK.light: "--ink", FAINT.light: "--faint", LINE.light: "--line"}
    names |= {shade.light: f"--m{place}" for place, shade in enumerate(shades)}
    # In tags alone: between them stand names, which may look like what is replaced.
    text = re.sub(r"<[^>]*>", lambda tag: _on_page(tag[0], names), text)
    head, body = text.split(">", 1)
    return re.sub(r' (width|height)="[^"]*"', "", head) + ">" + body


def _on_page(tag: str, names: Mapping[str, str]) -> str:
    """A tag with the page's colours and fonts, and without what only files need."""
    for colour, name in names.items():
        tag = tag.replace(colour, f"var({name})")
    tag = re.sub(r"fill: (#ffffff|white)", "fill: var(--paper)", tag)
    tag = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", tag)
    tag = re.sub(r' xmlns(:xlink)?="[^"]*"', "", tag).replace("xlink:href", "href")
    return re.sub(r' id="(?!p|m|image|C\d)[^"]*"', "", tag)  # keeps those that are referred to


def to_png(figure: "Figure", file: Path | IO[bytes]) -> None:
    """Write a figure as PNG on light ground."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    if isinstance(file, Path):
        file.parent.mkdir(parents=True, exist_ok=True)
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(_DPI)
    figure.set_facecolor(PAPER.light)
    _arrange(figure)
    canvas.draw()
    # Not by savefig, which packs a fourth channel that says nothing, twice as long as need be.
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    Image.fromarray(pixels).save(file, format="PNG", dpi=(_DPI, _DPI), compress_level=3)


def _arrange(figure: "Figure") -> None:
    """Lay a figure out for its canvas once: to save it would draw it twice, to lay it out first."""
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        engine.execute(figure)
        if _broken(figure):
            engine.execute(figure)
        figure.set_layout_engine(None)


def _broken(figure: "Figure") -> bool:
    """Break the names of x axes that a narrow figure would cut; whether there were any.

    A layout makes room for their height alone: they stand below the middle of their axes, which
    names of rows push to the right.
    """
    found = False
    for axes in figure.axes:
        name = axes.xaxis.get_label()
        box = name.get_window_extent()
        middle, wide = (box.x0 + box.x1) / 2, box.width
        room = 2 * min(middle, figure.bbox.width - middle)
        if name.get_text() and axes.get_visible() and wide > room:
            lines = math.ceil(wide / room)
            letters = min(len(name.get_text()) / lines + 4, len(name.get_text()) * room / wide)
            name.set_text(textwrap.fill(name.get_text(), int(letters), break_long_words=False))
            found = True
    return found
