"""Accuracy over one number of a method: what a grid of METHODs found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.experiments.sweep import Sweep, sweeps
from mixwright.lab.reports.figures import canvas
from mixwright.lab.reports.formatting import signed, spread
from mixwright.lab.reports.palette import FAINT, INK
from mixwright.lab.reports.sections.section import Drawing, Section, Shades, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mixwright.lab.analysis.comparison import Comparison, MethodRecord


def sweep(record: Comparison, shades: Shades) -> Section | None:
    """Write what a comparison says of methods that differ in one number alone.

    Args:
        record: of the comparison.
        shades: colour by METHOD.

    Returns:
        The section; None where no two methods differ so.
    """
    found = sweeps(record.methods)
    if not found:
        return None
    named = " and ".join(f"{one.option} of {_label(one)}" for one in found)
    return Section(
        title="Sweeps",
        protocol=f"Top-1 of the trained weights after the last epoch, over {named}; mean over "
        "seeds with its 95 % t interval.",
        reading="Scores are of the test images: a value that is chosen here is chosen on them. To "
        "choose one, sweep on images held out from training, and test the one that was chosen.",
        tables=tuple(_table(one, record) for one in found),
        drawings=tuple(
            Drawing(
                f"{place + 1}",
                f"Top-1 over {one.option} of {_label(one)}, values evenly spaced"
                + ("; the band is no mixing." if _baseline(record) is not None else "."),
                lambda width, one=one: _figure(one, record, shades, width),
            )
            for place, one in enumerate(found)
        ),
    )


def _label(found: Sweep) -> str:
    return found.points[0][1].label.partition(" (")[0]


def _baseline(record: Comparison) -> MethodRecord | None:
    return next((one for one in record.methods if one.text == record.baseline), None)


def _table(found: Sweep, record: Comparison) -> Table:
    head = (found.option, "top-1, %")
    differs = record.baseline is not None
    return Table(
        head=(*head, "to no mixing, points") if differs else head,
        rows=tuple(
            (f"{value:g}", spread(method.raw["top1"]))
            + ((signed(method.difference_raw),) if differs else ())
            for value, method in found.points
        ),
        keys=tuple(method.text for _, method in found.points),
    )


def _figure(found: Sweep, record: Comparison, shades: Shades, width: float) -> Figure:
    figure, axes = canvas(width, 2.7)
    base = _baseline(record)
    if base is not None:
        _band(axes, base.raw["top1"])
    tops = [method.raw["top1"] for _, method in found.points]
    axes.plot([100 * top.mean for top in tops], color=FAINT.light, lw=1, zorder=1.5)
    for place, ((_, method), top) in enumerate(zip(found.points, tops, strict=True)):
        colour = shades[method.text].light
        if top.low == top.low:  # not NaN
            ends = [100 * top.low, 100 * top.high]
            axes.plot([place, place], ends, color=colour, lw=1.4, solid_capstyle="round")
        axes.plot(place, 100 * top.mean, "o", ms=6, mfc=colour, mec=colour)
    axes.set_xticks(range(len(tops)), [f"{value:g}" for value, _ in found.points])
    axes.grid(axis="y")
    axes.set_xlabel(f"{found.option} of {_label(found)}")
    axes.set_ylabel("top-1 accuracy, %")
    axes.margins(x=0.06, y=0.1)
    return figure


def _band(axes: Axes, top: Interval) -> None:
    """No mixing, over the whole width."""
    axes.axhline(100 * top.mean, color=INK.light, lw=1, alpha=0.5, zorder=1)
    if top.low == top.low:
        axes.axhspan(100 * top.low, 100 * top.high, color=FAINT.light, alpha=0.13, lw=0, zorder=0)
