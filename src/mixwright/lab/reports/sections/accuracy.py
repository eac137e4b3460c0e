"""Accuracy: on the clean test images, per class, and by the protocol over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.analysis.significance import Significance
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.reports.figures import canvas, percent_axis, row_labels
from mixwright.lab.reports.formatting import NONE, percent, spread
from mixwright.lab.reports.plain_text import beside
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.reports.sections.lines import group_whisker
from mixwright.lab.reports.sections.significance import significance
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEADS = {
    "median10": "median of last 10, %",
    "median11_compat": "median of last 11, %",
    "final": "last epoch, %",
    "best": "best epoch, %",
}


def write(part: Part, page: Page) -> dict[str, Section]:
    """Table and dots of all groups; what differs, where there is a baseline."""
    judged = decode(Significance, part.numbers, where="accuracy")
    found = {"accuracy": _accuracy(part, judged.over_images, page.shades)}
    if judged.families:
        found["significance"] = significance(part, judged, page.shades)
    return found


def _accuracy(part: Part, over_images: Mapping[str, Interval], shades: Shades) -> Section:
    intervals = {
        group.key: over_images.get(group.key, group.intervals["top1"]) for group in part.groups
    }
    several = part.several_seeds
    ends = (
        "the 95 % t interval over runs"
        if several
        else "the 95 % interval over images of the same kind (Wilson), which says nothing of other "
        "training runs"
    )
    dots = Drawing(
        name="top1",
        caption=f"Top-1 accuracy; lines are {ends}" + (", ticks single runs." if several else "."),
        make=lambda width: accuracy_dots(part.groups, intervals, shades, width=width),
    )
    reading = "Whether methods differ is asked below, of differences paired by seed."
    return Section(
        title="Accuracy",
        protocol=f"Every one of the {part.groups[0].first['images']:,} test images once, as it is, "
        f"in evaluation mode; ± is half of {ends}.",
        reading=reading if several else "",
        blocks=(_table(part.groups, intervals), dots),
    )


def accuracy_dots(
    groups: Sequence[Group], intervals: Mapping[str, Interval], shades: Shades, *, width: float
) -> Figure:
    """Draw a row a group: mean, interval, and single runs as ticks."""
    figure, axes = canvas(width, 0.75 + 0.36 * len(groups))
    for place, group in enumerate(groups):
        colour = shades[group.key].light
        if len(group.seeds) > 1:
            values = [100 * summary["top1"] for summary in group.summaries]
            axes.plot(values, [-place] * len(values), "|", color=colour, ms=7, alpha=0.6, mew=1)
        group_whisker(axes, group, intervals[group.key], -place, colour)
    row_labels(axes, [group.label for group in groups])
    axes.set_xlabel("top-1 accuracy on test images, %")
    axes.margins(x=0.06)
    percent_axis(axes, "x")
    return figure


def _table(groups: Sequence[Group], intervals: Mapping[str, Interval]) -> Table:
    protocol = groups[0].first["protocol"]
    heads = {
        "": [group.label for group in groups],
        "top-1, %": [spread(intervals[group.key]) for group in groups],
        "top-5, %": [spread(group.intervals.get("top5")) for group in groups],
        "mean over classes, %": [spread(group.intervals.get("macro")) for group in groups],
        "hardest class": [_hardest(group) for group in groups],
        _HEADS[protocol]: [_by_protocol(group, protocol) for group in groups],
    }
    filled = {head: cells for head, cells in heads.items() if any(cell != NONE for cell in cells)}
    return Table(
        head=tuple(filled),
        rows=tuple(zip(*filled.values(), strict=True)),
        caption=_missing(groups, protocol) if _HEADS[protocol] in filled else "",
        keys=tuple(group.key for group in groups),
    )


def _hardest(group: Group) -> str:
    """The class that is known worst, on average over runs."""
    means = {
        name: interval.mean
        for place, name in enumerate(group.first["class_names"])
        if (interval := group.intervals.get(f"per_class.{place}")) is not None
        and interval.mean == interval.mean  # not NaN: some run has no image of it
    }
    if not means:
        return NONE
    worst = min(means, key=means.__getitem__)
    return beside(worst, percent(means[worst]))


def _by_protocol(group: Group, protocol: str) -> str:
    return spread(group.intervals.get(f"protocols.{group.weights or 'raw'}.{protocol}.top1"))


def _missing(groups: Sequence[Group], protocol: str) -> str:
    """What the last column is made from, and what it lacks."""
    scores = [score for group in groups for score in _scored(group, protocol)]
    notes = {score["note"] for score in scores} - {""}
    if protocol == "best" and any(score.get("chosen_on") != "validation" for score in scores):
        notes.add("the best epoch is chosen on test images and flatters every method")
    lacking = f" Not of ten epochs everywhere: {'; '.join(sorted(notes))}." if notes else ""
    return (
        "The last column is what each run found in its own epochs, on all the test images that it "
        f"used.{lacking}"
    )


def _scored(group: Group, protocol: str) -> list[Mapping[str, Any]]:
    """What the protocol says of the group's own weights, of the runs that have it."""
    columns = [summary["protocols"] or {} for summary in group.summaries]
    found = [column.get(group.weights or "raw", {}) for column in columns]
    return [column[protocol] for column in found if protocol in column]
