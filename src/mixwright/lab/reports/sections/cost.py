"""Accuracy against the time that training took, and what the baseline needs to be a fair one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixwright.lab.reports.figures import canvas
from mixwright.lab.reports.formatting import NONE, duration, spread, times
from mixwright.lab.reports.palette import FAINT, INK
from mixwright.lab.reports.sections.section import Drawing, Section, Shades, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixwright.lab.analysis.comparison import Comparison, MethodRecord
    from mixwright.lab.analysis.statistics import Interval

_SAME = 0.1  # share by which times may differ and still count as equal
_WIDE = 5.0  # inches
_UNITS = (("s", 1), ("min", 60), ("h", 3600))


@dataclass(frozen=True)
class Spent:
    """What one method spent, and what it got.

    Args:
        key: its METHOD, for the colour.
        label: how people call it.
        seconds: median over its runs of the whole training, evaluation and checkpoints included.
        top1: of the trained weights, over its runs.
        longer: the epochs of another comparison, from which a baseline was taken; None for this
            comparison's own methods.
    """

    key: str
    label: str
    seconds: float
    top1: Interval
    longer: int | None = None


def spending(record: Comparison, others: Sequence[Comparison] = ()) -> list[Spent]:
    """Give the time and accuracy of every method, and of baselines that were trained longer.

    Args:
        record: of the comparison.
        others: comparisons of the same data and model with other numbers of epochs, whose
            baselines are taken.

    Returns:
        one a method, in the order of the record; then the others' baselines.

    Raises:
        ValueError: another comparison has other data or another model.
    """
    found = [_spent(method) for method in record.methods]
    for other in others:
        for name in ("data", "model"):
            if other.recipe[name] != record.recipe[name]:
                raise ValueError(
                    f"cost: a comparison has the {name} {other.recipe[name]!r}, this one "
                    f"{record.recipe[name]!r}; expected the same, with other epochs alone."
                )
        base = next((one for one in other.methods if one.text == other.baseline), None)
        if base is not None:
            found.append(_spent(base, longer=int(other.recipe["epochs"])))
    return found


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Find what is not beaten by anything that costs no more.

    Args:
        points: cost and worth of each.

    Returns:
        places of the points for which no other has at most the cost and at least the worth, one
        of them strictly; by rising cost.

    Example:
        >>> pareto([(1.0, 0.8), (2.0, 0.7), (3.0, 0.9)])
        [0, 2]
    """
    return sorted(
        (
            place
            for place, (cost, worth) in enumerate(points)
            if not any((c <= cost and w >= worth) and (c < cost or w > worth) for c, w in points)
        ),
        key=lambda place: points[place],
    )


def equal_time(spent: Spent, baselines: Sequence[Spent]) -> Spent | None:
    """Find the baseline that was trained for about the same time.

    Args:
        spent: a method.
        baselines: runs without mixing, of any number of epochs.

    Returns:
        the one whose time is nearest, if it differs by no more than a tenth; else None.
    """
    near = [one for one in baselines if abs(one.seconds / spent.seconds - 1) <= _SAME]
    return min(near, key=lambda one: abs(one.seconds - spent.seconds), default=None)


def cost(record: Comparison, shades: Shades, others: Sequence[Comparison] = ()) -> Section:
    """Write what accuracy cost in time.

    Args:
        record: of the comparison.
        shades: colour by METHOD.
        others: see ``spending``.

    Returns:
        the section: a table, and accuracy over time with its Pareto front.
    """
    found = spending(record, others)
    shared = (
        f" Up to {record.parallel} runs shared the machine, which makes times longer and less sure."
        if record.parallel > 1
        else ""
    )
    return Section(
        title="Accuracy against training time",
        protocol=(
            f"Wall-clock time of whole runs of {record.recipe['epochs']} epochs, evaluation and "
            "checkpoints included, median over seeds; top-1 of the trained weights after the last "
            "epoch, with its 95 % t interval."
        ),
        reading=_reading(record, found) + shared,
        tables=(_table(record, found),),
        drawings=(
            Drawing(
                "time",
                "Top-1 over the time that a run took, on a logarithmic axis. The line is the "
                "Pareto front: no method left of it is as accurate."
                + (" Hollow: no mixing, trained for other numbers of epochs." if others else ""),
                lambda width: cost_figure(found, shades, width=width),
            ),
        ),
    )


def cost_figure(found: Sequence[Spent], shades: Shades, *, width: float) -> Figure:
    """Top-1 with its interval over the time of a run, and the Pareto front.

    Args:
        found: what ``spending`` gave.
        shades: colour by METHOD.
        width: in inches.

    Returns:
        the figure.
    """
    figure, axes = canvas(width, 3.1 if width >= _WIDE else 2.7 + 0.1 * len(found))
    unit, scale = _unit([one.seconds for one in found])
    points = [(one.seconds / scale, 100 * one.top1.mean) for one in found]
    front = [points[place] for place in pareto(points)]
    axes.set_xscale("log")
    axes.step(*zip(*front, strict=True), where="post", color=FAINT.light, lw=1, zorder=1)
    # By time, so that the names stand in the order of the marks.
    for one, (x, y) in sorted(zip(found, points, strict=True), key=lambda pair: pair[1]):
        colour = shades[one.key].light
        if one.top1.low == one.top1.low:  # not NaN
            ends = [100 * one.top1.low, 100 * one.top1.high]
            axes.plot([x, x], ends, color=colour, lw=1.4, solid_capstyle="round")
        face = colour if one.longer is None else "white"
        axes.plot(x, y, "o", ms=6, mfc=face, mec=colour, mew=1.4, ls="", label=one.label)
    axes.margins(x=0.06, y=0.08)
    _ticks(axes, [x for x, _ in points])
    wide = width >= _WIDE
    figure.legend(
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


def _spent(method: MethodRecord, *, longer: int | None = None) -> Spent:
    return Spent(
        key=method.text,
        label=method.label if longer is None else f"{method.label}, {longer} epochs",
        seconds=statistics.median(run.seconds for run in method.runs),
        top1=method.raw["top1"],
        longer=longer,
    )


def _baselines(record: Comparison, found: Sequence[Spent]) -> list[Spent]:
    return [one for one in found if one.key == record.baseline or one.longer is not None]


def _reading(record: Comparison, found: Sequence[Spent]) -> str:
    bases = _baselines(record, found)
    if not bases:
        return "No run without mixing is among them, so there is none of equal time."
    slow = [
        one
        for one in found
        if one not in bases and one.seconds > bases[0].seconds and equal_time(one, bases) is None
    ]
    said = "A method that takes longer should be set against no mixing that was trained as long."
    if not slow:
        return f"{said} The table names that run for every method that takes longer."
    longest = max(slow, key=lambda one: one.seconds)
    names = ", ".join(one.label for one in slow)
    return (
        f"{said} There is no such run for {names}; for {longest.label} it would be "
        f"mixwright compare none --epochs {_epochs(record, longest, bases[0])}."
    )


def _epochs(record: Comparison, spent: Spent, base: Spent) -> int:
    own = int(record.recipe["epochs"]) if base.longer is None else base.longer
    return math.ceil(own * spent.seconds / base.seconds)


def _table(record: Comparison, found: Sequence[Spent]) -> Table:
    bases = _baselines(record, found)
    front = set(pareto([(one.seconds, one.top1.mean) for one in found]))
    rows: list[tuple[str, ...]] = []
    for place, one in enumerate(found):
        same = None if one in bases else equal_time(one, bases)
        ratio = one.seconds / bases[0].seconds if bases else None
        needed = str(_epochs(record, one, bases[0])) if bases and one not in bases else NONE
        rows.append(
            (
                one.label,
                duration(one.seconds),
                times(ratio),
                spread(one.top1),
                "on the front" if place in front else "",
                NONE if same is None else f"{same.label}: {spread(same.top1)}",
                needed,
            )
        )
    return Table(
        head=("Method", "time of a run", "to no mixing", "top-1, %", "Pareto",
              "no mixing of equal time, %", "epochs that would take"),
        rows=tuple(rows),
        caption="Equal time: within a tenth. The last column says for how many epochs no mixing "
        "would have to be trained to take as long.",
        keys=tuple(one.key for one in found),
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
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axes.minorticks_off()
