"""Accuracy against the time that training took, and what the baseline needs to be a fair one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixwright.lab.analysis.cost import Cost, Spent
from mixwright.lab.analysis.findings import Part
from mixwright.lab.reports.figure_text import legend
from mixwright.lab.reports.figures import WIDE, canvas
from mixwright.lab.reports.formatting import NONE, duration, spread, times
from mixwright.lab.reports.palette import FAINT, INK
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_UNITS = (("s", 1), ("min", 60), ("h", 3600))


def write(part: Part, page: Page) -> dict[str, Section]:
    """Write what accuracy cost in time: a table, and accuracy over time with its Pareto front."""
    found = decode(Cost, part.numbers, where="the cost")
    parallel = int(page.findings.about.details.get("parallel", 1))
    longer = any(spent.longer is not None for spent in found.methods)
    shared = (
        f" Up to {parallel} runs shared the machine, which makes times longer and less sure."
        if parallel > 1
        else ""
    )
    return {
        "cost": Section(
            title="Accuracy against training time",
            protocol=(
                f"Wall-clock time of whole runs of {found.epochs} epochs, evaluation and "
                "checkpoints included, median over seeds; top-1 of the trained weights after the "
                "last epoch, with its 95 % t interval."
            ),
            reading=_reading(found.methods) + shared,
            blocks=(
                _table(found.methods),
                Drawing(
                    "time",
                    "Top-1 over the time that a run took, on a logarithmic axis. The line is the "
                    "Pareto front: no method left of it is as accurate."
                    + (
                        " Hollow: no mixing, trained for other numbers of epochs." if longer else ""
                    ),
                    lambda width: cost_figure(found.methods, page.shades, width=width),
                ),
            ),
        )
    }


def cost_figure(found: Sequence[Spent], shades: Shades, *, width: float) -> Figure:
    """Draw top-1 with its interval over the time of a run, and the Pareto front."""
    from matplotlib.lines import Line2D

    figure, axes = canvas(width, 3.1 if width >= WIDE else 2.7 + 0.1 * len(found))
    unit, scale = _unit([spent.seconds for spent in found])
    points = [(spent.seconds / scale, 100 * spent.top1.mean) for spent in found]
    front = sorted(point for spent, point in zip(found, points, strict=True) if spent.front)
    axes.set_xscale("log")
    axes.step(*zip(*front, strict=True), where="post", color=FAINT.light, lw=1, zorder=1)
    marks, names = list[Line2D](), list[str]()
    # By time, so that the names stand in the order of the marks.
    for spent, (x, y) in sorted(zip(found, points, strict=True), key=lambda pair: pair[1]):
        colour = shades[spent.key].light
        if spent.top1.low == spent.top1.low:  # not NaN
            ends = [100 * spent.top1.low, 100 * spent.top1.high]
            axes.plot([x, x], ends, color=colour, lw=1.4, solid_capstyle="round")
        face = colour if spent.longer is None else "white"
        marks += axes.plot(x, y, "o", ms=6, mfc=face, mec=colour, mew=1.4, ls="")
        names.append(spent.name)
    axes.margins(x=0.06, y=0.08)
    _ticks(axes, [x for x, _ in points])
    wide = width >= WIDE
    legend(
        figure,
        marks,
        names,
        loc="outside right upper" if wide else "outside lower left",
        ncols=1 if wide else 2,
        frameon=False,
        fontsize=8.5,
        handletextpad=0.2,
        labelspacing=0.55,
        labelcolor=INK.light,
    )
    axes.grid(axis="y")
    axes.set_xlabel(f"time of a run, {unit}")
    axes.set_ylabel("top-1 accuracy, %")
    return figure


def _reading(found: Sequence[Spent]) -> str:
    base = next((spent for spent in found if spent.baseline), None)
    if base is None:
        return "No run without mixing is among them, so there is none of equal time."
    slow = [
        spent
        for spent in found
        if not spent.baseline and spent.seconds > base.seconds and spent.equal_time is None
    ]
    advice = "A method that takes longer should be set against no mixing that was trained as long."
    if not slow:
        return f"{advice} The table names that run for every method that takes longer."
    longest = max(slow, key=lambda spent: spent.seconds)
    names = ", ".join(spent.name for spent in slow)
    return (
        f"{advice} There is no such run for {names}; for {longest.name} it would be "
        f"mixwright compare none --epochs {longest.epochs_needed}."
    )


def _table(found: Sequence[Spent]) -> Table:
    rows: list[tuple[str, ...]] = []
    for spent in found:
        same = None if spent.equal_time is None else found[spent.equal_time]
        rows.append(
            (
                spent.name,
                duration(spent.seconds),
                times(spent.ratio),
                spread(spent.top1),
                "on the front" if spent.front else "",
                NONE if same is None else f"{same.name}: {spread(same.top1)}",
                NONE if spent.epochs_needed is None else str(spent.epochs_needed),
            )
        )
    return Table(
        head=("Method", "time of a run", "to no mixing", "top-1, %", "Pareto",
              "no mixing of equal time, %", "epochs that would take"),
        rows=tuple(rows),
        caption="Equal time: within a tenth. The last column says for how many epochs no mixing "
        "would have to be trained to take as long.",
        keys=tuple(spent.key for spent in found),
    )  # fmt: skip


def _unit(seconds: Sequence[float]) -> tuple[str, int]:
    """The largest unit in which the shortest run takes at least one and a half."""
    fitting = [unit for unit in _UNITS if min(seconds) >= 1.5 * unit[1]]
    return fitting[-1] if fitting else _UNITS[0]


def _ticks(axes: Axes, values: Sequence[float]) -> None:
    """A few round numbers on a logarithmic axis, however short it is."""
    low, high = axes.get_xlim()
    steps = (1, 1.2, 1.4, 1.6, 1.8, 2, 2.2, 2.5, 3, 4, 5, 6, 8) if high / low < 4 else (1, 2, 5)
    decades = range(math.floor(math.log10(min(values))) - 1, math.ceil(math.log10(max(values))) + 2)
    ticks = [step * 10.0**power for power in decades for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
