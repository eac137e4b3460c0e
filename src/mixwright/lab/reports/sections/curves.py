"""Learning curves: a small figure a method, the baseline behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.curves import AllCurves, Curve, Curves
from mixwright.lab.analysis.findings import Part
from mixwright.lab.reports.figure_text import TITLE, label
from mixwright.lab.reports.figures import canvas
from mixwright.lab.reports.palette import FAINT, Shade
from mixwright.lab.reports.section import Block, Card, Cards, Drawing, Page, Section
from mixwright.lab.reports.sections.scores import methods_of
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase
    from matplotlib.figure import Figure


def write(part: Part, page: Page) -> dict[str, Section]:
    """Write the curves of all methods; none where no epoch was evaluated."""
    found = decode(AllCurves, part.numbers, where="the curves")
    if not any(curves.test["raw"].epochs for curves in found.methods.values()):
        return {}
    groups = {
        method: many["raw"] for method, many in methods_of(page.findings.parts["scores"]).items()
    }
    base = next((method for method, group in groups.items() if group.baseline), None)
    behind = found.methods[base] if base is not None and len(groups) > 1 else None
    panels = [
        (group.name, found.methods[method], page.shades[method]) for method, group in groups.items()
    ]

    # Figures of the same epochs have the same layout, which takes most of the time to make.
    drawn: dict[tuple[int, int], tuple[Figure, Axes]] = {}

    def card(method: str) -> Figure:
        own, other = found.methods[method], None if method == base else behind
        shown = _epochs(own, other)
        if shown not in drawn:
            drawn[shown] = canvas(3.1, 2.1)
        figure, axes = drawn[shown]
        _cleared(axes)
        curves_panel(axes, own, other, page.shades[method], floor=found.floor)
        return figure

    teachers = any(curves.test["teacher"].epochs for curves in found.methods.values())
    legend = [("ema", "test, averaged weights (EMA)")]
    legend += [("teacher", "test, the method's own teacher")] if teachers else []
    legend += [("raw", "test, trained weights, with the range of seeds")]
    legend += [("train", "train, on mixed images and labels")]
    legend += [("baseline", "test, no mixing")] if behind is not None else []
    blocks: tuple[Block, ...] = (
        Cards(
            cards=tuple(
                Card(group.name, method, lambda method=method: card(method))
                for method, group in groups.items()
            ),
            legend=tuple(legend),
            caption="Accuracy in %, mean over seeds. Train accuracy is measured against mixed "
            "labels, so it may lie below test accuracy without anything being wrong.",
            sheet=Drawing(
                "all", "", lambda _: all_curves_figure(panels, behind, floor=found.floor)
            ),
        ),
    )
    return {"curves": Section(title="Learning curves", blocks=blocks)}


def curves_panel(
    axes: Axes, curves: Curves, baseline: Curves | None, shade: Shade, *, floor: float
) -> None:
    """Draw train and test accuracy of one method over epochs, the baseline's test curve behind."""
    from matplotlib.ticker import MaxNLocator

    if baseline is not None:
        _line(axes, baseline.test["raw"], FAINT.light, lw=1.1, alpha=0.6)
    raw = curves.test["raw"]
    _line(axes, curves.train, shade.light, lw=1, dashes=(2, 2), alpha=0.75)
    low, high = ([100 * value for value in ends] for ends in (raw.low, raw.high))
    axes.fill_between(raw.epochs, low, high, color=shade.light, alpha=0.16, lw=0)
    _line(axes, raw, shade.light, lw=1.2)
    _line(axes, curves.test["ema"], shade.light, lw=2.3)
    _line(axes, curves.test["teacher"], shade.light, lw=1.6, dashes=(5, 1.5, 1, 1.5))
    axes.grid(visible=True, axis="y")
    axes.set_ylim(100 * floor, 101)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def all_curves_figure(
    panels: Sequence[tuple[str, Curves, Shade]], baseline: Curves | None, *, floor: float
) -> Figure:
    """Draw the panels of all methods in one picture, three a row, for files."""
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    # Placed by hand, in inches: to lay out a hundred panels takes as long as to draw them.
    width, height, between, above = 3.2 * columns, 2.5 * rows, 0.15, 0.75
    left, right, bottom, top = 0.6, width - 0.1, 0.47, height - 0.28
    wide = (right - left - between * (columns - 1)) / columns
    high = (top - bottom - above * (rows - 1)) / rows
    figure = Figure(figsize=(width, height))
    axes = Axes(figure, (0, 0, 1, 1))

    class InTurn(Artist):
        """All panels by one pair of axes: to make a pair for each takes longer than to draw it."""

        def draw(self, renderer: RendererBase) -> None:
            for place, (name, curves, shade) in enumerate(panels):
                row, column = divmod(place, columns)
                _cleared(axes)
                axes.set_position((
                    (left + column * (wide + between)) / width,
                    (top - high - row * (high + above)) / height,
                    wide / width,
                    high / height,
                ))  # fmt: skip
                axes.tick_params(axis="y", labelleft=column == 0)
                behind = None if curves is baseline else baseline
                curves_panel(axes, curves, behind, shade, floor=floor)
                look: dict[str, Any] = {"fontsize": 10, "fontweight": "bold", "color": shade.light}
                # At y: to find a place that keeps clear of all else takes a fifth of the time.
                axes.set_title(label(name, TITLE), loc="left", y=1, **look)
                axes.draw(renderer)

    figure.add_artist(InTurn())
    figure.supylabel("accuracy, %", x=0.08 / width, fontsize=9, color=FAINT.light)
    return figure


def _line(axes: Axes, curve: Curve, colour: str, **look: Any) -> None:
    if len(curve.epochs) == 1:  # a line of one point is none
        look["marker"], look["markersize"] = "o", 3.5
    axes.plot(curve.epochs, [100 * value for value in curve.mean], color=colour, **look)


def _epochs(*drawn: Curves | None) -> tuple[int, int]:
    """The first and the last epoch of all curves of a panel."""
    curves = [one for own in drawn if own is not None for one in (own.train, *own.test.values())]
    epochs = [epoch for curve in curves for epoch in curve.epochs]
    return min(epochs, default=0), max(epochs, default=0)


def _cleared(axes: Axes) -> None:
    """Take what was drawn out of axes, as if it had never been there."""
    for artist in (*axes.lines, *axes.collections):
        artist.remove()
    axes.relim()
