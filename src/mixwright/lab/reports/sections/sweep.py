"""Accuracy over one number of a method: what a grid of METHODs found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.analysis.sweep import Sweep, Sweeps
from mixwright.lab.reports.figure_text import label
from mixwright.lab.reports.figures import canvas, percent_axis
from mixwright.lab.reports.formatting import signed, spread
from mixwright.lab.reports.palette import FAINT, INK
from mixwright.lab.reports.section import Drawing, Page, Section, Table
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write(part: Part, page: Page) -> dict[str, Section]:
    """Write what a comparison says of methods that differ in one number alone; none without any."""
    found = decode(Sweeps, part.numbers, where="the sweeps").sweeps
    if not found:
        return {}
    raw = {
        group.method: group
        for group in page.findings.parts["scores"].groups
        if group.weights == "raw"
    }
    base = next((group for group in raw.values() if group.baseline), None)
    named = " and ".join(f"{sweep.option} of {_label(sweep, raw)}" for sweep in found)
    return {
        "sweep": Section(
            title="Sweeps",
            protocol=f"Top-1 of the trained weights after the last epoch, over {named}; mean over "
            "seeds with its 95 % t interval.",
            reading="Scores are of the test images: a value that is chosen here is chosen on them. "
            "To choose one, sweep on images held out from training, and test the one that was "
            "chosen.",
            blocks=(
                *(_table(sweep, raw, base) for sweep in found),
                *(
                    Drawing(
                        f"{place + 1}",
                        f"Top-1 over {sweep.option} of {_label(sweep, raw)}, values evenly spaced"
                        + ("; the band is no mixing." if base is not None else "."),
                        lambda width, sweep=sweep: _figure(sweep, raw, base, page, width),
                    )
                    for place, sweep in enumerate(found)
                ),
            ),
        )
    }


def _label(sweep: Sweep, raw: dict[str, Group]) -> str:
    return raw[sweep.methods[0]].name.partition(" (")[0]


def _table(sweep: Sweep, raw: dict[str, Group], base: Group | None) -> Table:
    rows: list[tuple[str, ...]] = []
    for value, method in zip(sweep.values, sweep.methods, strict=True):
        difference = raw[method].differences.get("top1")
        cells = (f"{value:g}", spread(raw[method].intervals["top1"]))
        more = () if base is None else (signed(difference and difference.interval),)
        rows.append((*cells, *more))
    return Table(
        head=(sweep.option, "top-1, %", *(() if base is None else ("to no mixing, points",))),
        rows=tuple(rows),
        keys=sweep.methods,
    )


def _figure(
    sweep: Sweep, raw: dict[str, Group], base: Group | None, page: Page, width: float
) -> Figure:
    figure, axes = canvas(width, 2.7)
    if base is not None:
        _band(axes, base.intervals["top1"])
    tops = [raw[method].intervals["top1"] for method in sweep.methods]
    axes.plot([100 * top.mean for top in tops], color=FAINT.light, lw=1, zorder=1.5)
    for place, (method, top) in enumerate(zip(sweep.methods, tops, strict=True)):
        colour = page.shades[method].light
        if top.low == top.low:  # not NaN
            ends = [100 * top.low, 100 * top.high]
            axes.plot([place, place], ends, color=colour, lw=1.4, solid_capstyle="round")
        axes.plot(place, 100 * top.mean, "o", ms=6, mfc=colour, mec=colour)
    axes.set_xticks(range(len(tops)), [f"{value:g}" for value in sweep.values])
    axes.grid(axis="y")
    axes.set_xlabel(label(f"{sweep.option} of {_label(sweep, raw)}"))
    axes.set_ylabel("top-1 accuracy, %")
    axes.margins(x=0.06, y=0.1)
    percent_axis(axes, "y")
    return figure


def _band(axes: Axes, top: Interval) -> None:
    """No mixing, over the whole width."""
    axes.axhline(100 * top.mean, color=INK.light, lw=1, alpha=0.5, zorder=1)
    if top.low == top.low:
        axes.axhspan(100 * top.low, 100 * top.high, color=FAINT.light, alpha=0.13, lw=0, zorder=0)
