"""Accuracy: on the clean test images, per class, and by the protocol over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.statistics import Interval, t_interval
from mixwright.lab.reports.figures import canvas, row_labels, whisker
from mixwright.lab.reports.formatting import NONE, percent, spread
from mixwright.lab.reports.sections.pairing import several_seeds, weights_of
from mixwright.lab.reports.sections.section import Drawing, Group, Section, Shades, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEADS = {
    "median10": "median of last 10, %",
    "median11_compat": "median of last 11, %",
    "final": "last epoch, %",
    "best": "best epoch, %",
}


def accuracy(groups: Sequence[Group], shades: Shades) -> Section:
    """Table and dots of all groups.

    Args:
        groups: with findings of the part ``Accuracy``.
        shades: colour of each group.

    Returns:
        the section.
    """
    first = groups[0].summaries[0]
    several = several_seeds(groups)
    ends = (
        "the 95 % t interval over runs"
        if several
        else "the 95 % interval over images of the same kind (Wilson), which says nothing of other "
        "training runs"
    )
    return Section(
        title="Accuracy",
        protocol=f"Every one of the {first['images']:,} test images once, as it is, in evaluation "
        f"mode; ± is half of {ends}.",
        reading=_reading(groups),
        tables=(_table(groups),),
        drawings=(
            Drawing(
                name="top1",
                caption=f"Top-1 accuracy; lines are {ends}"
                + (", ticks single runs." if several else "."),
                make=lambda width: accuracy_dots(groups, shades, width=width),
            ),
        ),
    )


def accuracy_dots(groups: Sequence[Group], shades: Shades, *, width: float) -> Figure:
    """A row a group: mean, interval, and single runs as ticks.

    Args:
        groups: with findings of the part ``Accuracy``.
        shades: colour of each group.
        width: in inches.

    Returns:
        the figure.
    """
    figure, axes = canvas(width, 0.75 + 0.36 * len(groups))
    for place, group in enumerate(groups):
        colour = shades[group.key].light
        if len(group.seeds) > 1:
            values = [100 * value for value in group.values(_top1)]
            axes.plot(values, [-place] * len(values), "|", color=colour, ms=7, alpha=0.6, mew=1)
        face = "white" if weights_of(group) == "raw" else colour
        mark = "D" if weights_of(group) == "teacher" else "o"
        whisker(axes, _interval(group), -place, colour, face=face, mark=mark)
    row_labels(axes, [group.label for group in groups])
    axes.set_xlabel("top-1 accuracy on test images, %")
    axes.margins(x=0.06)
    return figure


def _top1(found: Mapping[str, Any]) -> float:
    return found["top1"]


def _interval(group: Group) -> Interval:
    """Over runs; over images where there is one run alone."""
    over_runs = group.interval(_top1)
    if over_runs.count > 1:
        return over_runs
    low, high = group.summaries[0]["top1_interval"]
    return Interval(over_runs.mean, low, high, group.summaries[0]["images"], over_runs.deviation)


def _table(groups: Sequence[Group]) -> Table:
    protocol = groups[0].summaries[0]["protocol"]
    heads = {
        "": [group.label for group in groups],
        "top-1, %": [spread(_interval(group)) for group in groups],
        "top-5, %": [_spread(group, "top5") for group in groups],
        "mean over classes, %": [_spread(group, "macro") for group in groups],
        "hardest class": [_hardest(group) for group in groups],
        _HEADS[protocol]: [_by_protocol(group, protocol) for group in groups],
    }
    shown = {head: cells for head, cells in heads.items() if any(cell != NONE for cell in cells)}
    return Table(
        head=tuple(shown),
        rows=tuple(zip(*shown.values(), strict=True)),
        caption=_missing(groups, protocol) if _HEADS[protocol] in shown else "",
        keys=tuple(group.key for group in groups),
    )


def _spread(group: Group, name: str) -> str:
    if any(found[name] is None for found in group.summaries):
        return NONE
    return spread(group.interval(lambda found: found[name]))


def _hardest(group: Group) -> str:
    """The class that is known worst, on average over runs."""
    names = group.summaries[0]["class_names"]
    columns = zip(*(found["per_class"] for found in group.summaries), strict=True)
    means = {
        name: sum(column) / len(column)
        for name, column in zip(names, columns, strict=False)
        if None not in column
    }
    if not means:
        return NONE
    worst = min(means, key=means.__getitem__)
    return f"{worst} {percent(means[worst])}"


def _scored(group: Group, protocol: str) -> list[Mapping[str, Any]]:
    """What the protocol says of the group's own weights, of the runs that have it."""
    columns = [found["protocols"] or {} for found in group.summaries]
    column = weights_of(group) or "raw"
    return [one[column][protocol] for one in columns if protocol in one.get(column, {})]


def _by_protocol(group: Group, protocol: str) -> str:
    scores = _scored(group, protocol)
    if not scores or len(scores) < len(group.seeds):
        return NONE
    return spread(t_interval([score["top1"] for score in scores]))


def _missing(groups: Sequence[Group], protocol: str) -> str:
    """What the last column is made from, and what it lacks."""
    notes = {score["note"] for group in groups for score in _scored(group, protocol)} - {""}
    if protocol == "best":
        notes.add("the best epoch is chosen on test images and flatters every method")
    lacking = f" Not of ten epochs everywhere: {'; '.join(sorted(notes))}." if notes else ""
    return (
        "The last column is what each run found in its own epochs, on all the test images that it "
        f"used.{lacking}"
    )


def _reading(groups: Sequence[Group]) -> str:
    if not several_seeds(groups):
        return ""
    return "Whether methods differ is asked below, of differences paired by seed."
