"""A comparison in which every method had the same time: epochs by cost, top-1 over cost so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixwright.arguments import counted
from mixwright.lab.analysis.cost import SAME, Cost, Spent
from mixwright.lab.analysis.curves import AllCurves
from mixwright.lab.reports.figures import WIDE, canvas, percent_axis
from mixwright.lab.reports.formatting import NONE, duration, joined, spread, times
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.reports.sections.lines import legend_beside, point_marks
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def at_equal_time(epochs: Mapping[str, int], *, clock: str | None = None) -> str:
    """Return how long every METHOD was trained, where all had the same time.

    Example:
        >>> at_equal_time({"none": 80, "puzzlemix": 38})
        'equal processor time: epochs none 80, puzzlemix 38'
    """
    time = "device time" if clock == "device events" else "processor time"
    return f"equal {time}: epochs " + ", ".join(f"{name} {many}" for name, many in epochs.items())


def more_time(found: Cost) -> str:
    """Name the methods whose one epoch costs more than all of no mixing; empty where none does.

    Those of at most a tenth more are let pass, as where costs are called equal.
    """
    dear = [spent for spent in found.methods if spent.cost is not None and spent.cost > 1 + SAME]
    if not dear:
        return ""
    named = joined([f"{spent.name} ({times(spent.cost)})" for spent in dear])
    return (
        f" One epoch is the least there is, so {named} had more time than no mixing; more epochs "
        "for all (--epochs) make it equal."
    )


def section(found: Cost, page: Page, *, measured: str, also: str) -> Section:
    """Return the section on cost of a comparison at equal time.

    ``measured`` says how steps were, ``also`` what else the columns are.
    """
    curves = decode(AllCurves, page.findings.parts["curves"].numbers, where="the curves")
    paths = [path for spent in found.methods if (path := _path(spent, found, curves)) is not None]
    figure = Drawing(
        "time",
        "Top-1 of the trained weights on the test images over what training had cost so far, in "
        "all of the training without mixing; mean over seeds, at the end with the 95 % t interval.",
        lambda width: equal_time_figure(paths, page.shades, width=width, floor=curves.floor),
    )
    return Section(
        title="Accuracy at equal cost of training",
        protocol=f"{_sentence(found)} A method trains for as many epochs as cost no more than "
        f"{found.epochs} without mixing, by what its steps cost before any training; warm-up and "
        "the last epochs without mixing are shorter in proportion, and the learning rate ends "
        f"with the shortened training. {measured} {also}",
        reading=_reading(found),
        blocks=(_table(found), *((figure,) if paths else ())),
    )


def _sentence(found: Cost) -> str:
    words = at_equal_time(found.own_epochs, clock=found.clock)
    return words[0].upper() + words[1:] + "."


def _reading(found: Cost) -> str:
    text = (
        "This is what a given time buys, no comparison at equal epochs: a dear method sees each "
        "image less often, in a shorter schedule."
    )
    text += more_time(found)
    outside = [spent.name for spent in found.methods if spent.outside]
    if outside:
        text += (
            f" The time of {joined(outside)} is not equal: such a run takes much longer than its "
            "steps, by which its epochs were chosen."
        )
    return text


def _table(found: Cost) -> Table:
    rows = tuple(
        (
            spent.name,
            NONE if spent.epochs is None else str(spent.epochs),
            times(spent.step_times),
            NONE if spent.step is None else f"{times(spent.step.low)} to {times(spent.step.high)}",
            times(spent.cost),
            duration(spent.seconds),
            spread(spent.top1),
        )
        for spent in found.methods
    )
    return Table(
        head=("Method", "epochs", "cost of a step", "a step, by round", "cost of training",
              "time of a run", "top-1, %"),
        rows=rows,
        caption="Costs are in those of no mixing. Whole epochs leave the cost of training a "
        "little below 1; far below it, or above, one epoch more or less is much. The time of a "
        "run is of the wall clock on a shared machine: not ranked.",
        keys=tuple(spent.key for spent in found.methods),
    )  # fmt: skip


@dataclass(frozen=True)
class _Path:
    """Top-1 of a method, in percent, over cost so far; ``spent`` says where it ends."""

    spent: Spent
    cost: tuple[float, ...]
    top1: tuple[float, ...]


def _path(spent: Spent, found: Cost, curves: AllCurves) -> _Path | None:
    """The way of one method; its end alone where no curve was kept, None without a cost."""
    if spent.cost is None or spent.epochs is None:
        return None
    curve = curves.methods[spent.key].test["raw"]
    if not curve.epochs:
        return _Path(spent, (spent.cost,), (100 * spent.top1.mean,))
    ratio = 1.0 if spent.step is None else spent.step.ratio
    before = 0.0 if spent.step is None else spent.step.training - ratio
    return _Path(
        spent,
        tuple(before + ratio * epoch / found.epochs for epoch in curve.epochs),
        tuple(100 * value for value in curve.mean),
    )


def equal_time_figure(
    paths: Sequence[_Path], shades: Shades, *, width: float, floor: float
) -> Figure:
    """Draw top-1 over the cost of training so far, each method to its end, from ``floor`` on."""
    from matplotlib.lines import Line2D

    figure, axes = canvas(width, 3.3 if width >= WIDE else 2.8 + 0.1 * len(paths))
    marks, names = list[Line2D](), list[str]()
    # By the end, so that the names stand in the order of the lines.
    ordered = sorted(paths, key=lambda path: -path.spent.top1.mean)
    colours = [shades[path.spent.key].light for path in ordered]
    for path, colour, mark in zip(ordered, colours, point_marks(colours), strict=True):
        spent = path.spent
        axes.plot(path.cost, path.top1, color=colour, lw=2.0 if spent.baseline else 1.4)
        end, mean = spent.cost or math.nan, 100 * spent.top1.mean
        if spent.top1.low == spent.top1.low:  # not NaN
            ends = [100 * spent.top1.low, 100 * spent.top1.high]
            axes.plot([end, end], ends, color=colour, lw=1.4, solid_capstyle="round")
        marks += axes.plot(end, mean, mark, ms=5, mfc=colour, mec=colour, ls="")
        names.append(f"{spent.name}: {counted(spent.epochs or 0, 'epoch')}")
    axes.margins(x=0.03, y=0.06)
    percent_axis(axes, "y")
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 100 * floor))
    legend_beside(figure, marks, names, wide=width >= WIDE)
    axes.grid(axis="y")
    axes.set_xlabel("cost of training so far, in all of no mixing")
    axes.set_ylabel("top-1 accuracy, %")
    return figure
