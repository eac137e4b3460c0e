"""Accuracy against what training cost, and for how long no mixing could have been trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixwright.arguments import counted
from mixwright.lab.analysis.cost import SAME, Cost, Spent, read_cost
from mixwright.lab.analysis.findings import Part
from mixwright.lab.reports.figures import WIDE, canvas, percent_axis
from mixwright.lab.reports.formatting import NONE, count_range, duration, joined, spread, times
from mixwright.lab.reports.palette import FAINT
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.reports.sections import equal_time
from mixwright.lab.reports.sections.lines import legend_beside, point_marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_NARROWEST = 1.5  # ends of the axis of costs, dearest to cheapest: equal ones look equal


def write(part: Part, page: Page) -> dict[str, Section]:
    """Write what accuracy cost: a table, and accuracy over cost with its Pareto front."""
    found = read_cost(part)
    parallel = int(page.findings.about.details.get("parallel", 1))
    shared = f", up to {parallel} runs at a time" if parallel > 1 else ""
    wall = (
        f"Times of a run are of the wall clock on a shared machine{shared}, evaluation and "
        "checkpoints included, median over seeds: not ranked."
    )
    top1 = "Top-1 of the trained weights after the last epoch, with its 95 % t interval."
    if found.clock is None:
        again = "The same mixwright compare again measures it, and trains nothing anew."
        return {
            "cost": Section(
                title="Time of training",
                protocol=f"{wall} {top1}",
                reading=f"What a training step costs was not measured. {again}",
                blocks=(_times(found.methods),),
            )
        }
    if found.own_epochs:
        return {"cost": equal_time.section(found, page, measured=_protocol(found),
                                           also=f"{top1} {wall}")}  # fmt: skip
    shown = [spent for spent in found.methods if spent.cost is not None]
    figure = Drawing(
        "time",
        "Top-1 over the cost of training, on a logarithmic axis. The line is the Pareto front: no "
        "method left of it is as accurate.",
        lambda width: cost_figure(shown, page.shades, width=width),
    )
    return {
        "cost": Section(
            title="Accuracy against cost of training",
            protocol=_protocol(found) + f" {top1} {wall}",
            reading=_reading(found.methods),
            blocks=(_table(found.methods), *((figure,) if shown else ())),
        )
    }


def cost_figure(found: Sequence[Spent], shades: Shades, *, width: float) -> Figure:
    """Draw top-1 with its interval over the cost of training, which is known, and the front."""
    from matplotlib.lines import Line2D

    figure, axes = canvas(width, 3.1 if width >= WIDE else 2.7 + 0.1 * len(found))
    points = [(spent.cost or math.nan, 100 * spent.top1.mean) for spent in found]
    front = sorted(point for spent, point in zip(found, points, strict=True) if spent.front)
    axes.set_xscale("log")
    axes.step(*zip(*front, strict=True), where="post", color=FAINT.light, lw=1, zorder=1)
    marks, names = list[Line2D](), list[str]()
    # By cost, so that the names stand in the order of the marks.
    ordered = sorted(zip(found, points, strict=True), key=lambda pair: pair[1])
    colours = [shades[spent.key].light for spent, _ in ordered]
    for (spent, (x, y)), colour, mark in zip(ordered, colours, point_marks(colours), strict=True):
        if spent.top1.low == spent.top1.low:  # not NaN
            ends = [100 * spent.top1.low, 100 * spent.top1.high]
            axes.plot([x, x], ends, color=colour, lw=1.4, solid_capstyle="round")
        marks += axes.plot(x, y, mark, ms=6, mfc=colour, mec=colour, mew=1.4, ls="")
        names.append(spent.name)
    axes.margins(x=0.06, y=0.08)
    percent_axis(axes, "y")
    low, high = axes.get_xlim()
    if high / low < _NARROWEST:
        wider = math.sqrt(_NARROWEST * low / high)
        axes.set_xlim(low / wider, high * wider)
    _ticks(axes, [x for x, _ in points])
    legend_beside(figure, marks, names, wide=width >= WIDE)
    axes.grid(axis="y")
    axes.set_xlabel("cost of training, in that of no mixing")
    axes.set_ylabel("top-1 accuracy, %")
    return figure


def _protocol(found: Cost) -> str:
    """How steps were measured."""
    rounds = [spent.step.rounds for spent in found.methods if spent.step is not None]
    many = count_range(rounds) if rounds else "no"
    clock = "time of the device" if found.clock == "device events" else "processor time"
    of, same = f" of {found.epochs} epochs", ", which is the same for all,"
    if found.own_epochs:
        of = same = ""
    return (
        f"Cost is {clock} of the training steps{of}, relative to steps without mixing: real steps "
        f"of the recipe, taken in turn in {many} rounds by one process with one thread, spread "
        "over the epochs; mean over mean, and the quartiles of single "
        "rounds. What a method does before the first epoch is counted in, what it does between "
        f"later ones is not; evaluation{same} is left out."
    )


def _reading(found: Sequence[Spent]) -> str:
    unknown = [spent.name for spent in found if spent.cost is None and not spent.outside]
    outside = [spent.name for spent in found if spent.outside]
    text = (f" Not measured: {', '.join(unknown)}." if unknown else "") + (
        f" Not ranked, since their runs take much longer than their steps: {', '.join(outside)}."
        if outside
        else ""
    )
    if not any(spent.baseline for spent in found):
        return f"No run without mixing is among them, so nothing is told of its time.{text}"
    dear = [spent for spent in found if (spent.cost or 0) > 1 + SAME]
    if not dear:
        return f"No method costs over a tenth more than no mixing.{text}"
    most = max(dear, key=lambda spent: spent.cost or 0)
    names = joined([spent.name for spent in dear])
    return (
        f"{names} cost{'s' if len(dear) == 1 else ''} over a tenth more than no mixing, which "
        f"might gain as much from that time: with the option --equal-time it gets it, for "
        f"{most.name} {counted(most.epochs_needed or 0, 'epoch')}.{text}"
    )


def _table(found: Sequence[Spent]) -> Table:
    rows: list[tuple[str, ...]] = []
    for spent in found:
        step = spent.step
        rows.append(
            (
                spent.name,
                times(spent.cost),
                NONE if step is None else f"{times(step.low)} to {times(step.high)}",
                duration(spent.seconds),
                spread(spent.top1),
                "on the front" if spent.front else "",
                NONE if spent.epochs_needed is None else str(spent.epochs_needed),
            )
        )
    return Table(
        head=("Method", "cost of training", "a step, by round", "time of a run", "top-1, %",
              "Pareto", "epochs that would cost"),
        rows=tuple(rows),
        caption="The last column says for how many epochs no mixing would have to be trained to "
        "cost as much. The time of a run is of the wall clock on a shared machine: not ranked.",
        keys=tuple(spent.key for spent in found),
    )  # fmt: skip


def _times(found: Sequence[Spent]) -> Table:
    """What the wall clock said, where nothing was measured."""
    return Table(
        head=("Method", "time of a run", "top-1, %"),
        rows=tuple((spent.name, duration(spent.seconds), spread(spent.top1)) for spent in found),
        caption="Time of a run: wall clock on a shared machine, not ranked.",
        keys=tuple(spent.key for spent in found),
    )


def _ticks(axes: Axes, values: Sequence[float]) -> None:
    """A few round numbers on a logarithmic axis, however short it is."""
    low, high = axes.get_xlim()
    if high / low < 4:
        steps = (1, 1.2, 1.4, 1.6, 1.8, 2, 2.2, 2.5, 3, 4, 5, 6, 8)
    else:
        steps = (1, 1.5, 2, 3, 4, 6, 8) if high / low < 12 else (1, 2, 5)
    decades = range(math.floor(math.log10(min(values))) - 1, math.ceil(math.log10(max(values))) + 2)
    ticks = [step * 10.0**power for power in decades for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
