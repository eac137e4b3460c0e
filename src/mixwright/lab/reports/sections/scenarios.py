"""Two scenarios of object size: who gains where, and whether the gains differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.reports.figures import row_labels, whisker
from mixwright.lab.reports.formatting import MINUS, signed, spread
from mixwright.lab.reports.palette import FAINT, INK, Shade
from mixwright.lab.reports.sections.panels import panels
from mixwright.lab.reports.sections.section import Drawing, Group, Section, Shades, Table
from mixwright.lab.theory.scenarios.tasks import SIZES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Read = Callable[[Mapping[str, Any]], float]


def scenarios(groups: Sequence[Group], shades: Shades) -> Section:
    """Write the section of object sizes; see ``section.Write``.

    Summaries are those of ``theory.scenarios.run``.
    """
    first = groups[0].summaries[0]
    tasks = list(first["tasks"])
    seeds = len(groups[0].seeds)
    share = first["tasks"][tasks[0]]
    sizes = " and ".join(f"{100 * share[size]['object_share']:.0f} % ({size})" for size in SIZES)
    return Section(
        title="Small and large objects",
        protocol=(
            f"{first['dataset_kind'].capitalize()}: the same images with objects of {sizes} of the "
            f"area, the same regime for training and test; {first['model']}, "
            f"{first['train_size']:,} training and {first['test_size']:,} test images, "
            f"{first['epochs']} epochs of {first['optimizer']} at {first['lr']:g}; top-1 of the "
            f"raw weights after the last epoch; {seeds} {'seed' if seeds == 1 else 'seeds'}, "
            "paired, 95 % t intervals."
        ),
        reading=_reading(groups, tasks),
        tables=(_scores(groups, tasks), _differences(groups, tasks)),
        drawings=(
            Drawing(
                "scenarios",
                f"Top-1 gained on {_against(groups).label}, paired by seed, where objects are "
                "small (filled) and large (hollow); lines are 95 % intervals.",
                lambda width: _figure(groups, shades, tasks, width),
            ),
        ),
    )


def interaction(first: Group, second: Group, task: str) -> Interval | None:
    """Difference of two groups on small objects less that on large ones, paired by seed.

    Args:
        first: a method.
        second: another.
        task: name of the task.

    Returns:
        the interval over common seeds; None without any.
    """
    return first.difference(
        second, lambda one: _top1(task, "small")(one) - _top1(task, "large")(one)
    )


def _top1(task: str, size: str) -> _Read:
    return lambda summary: float(summary["tasks"][task][size]["top1"])


def _against(groups: Sequence[Group]) -> Group:
    """Whom gains are shown against: the baseline, else the second of the pair, else the first."""
    second = groups[0].summaries[0]["pair"][1]
    ranked = sorted(groups, key=lambda group: (not group.baseline, group.key != second))
    return ranked[0]


def _pair(groups: Sequence[Group]) -> tuple[Group, Group] | None:
    by_key = {group.key: group for group in groups}
    first, second = groups[0].summaries[0]["pair"]
    return (by_key[first], by_key[second]) if {first, second} <= set(by_key) else None


def _reading(groups: Sequence[Group], tasks: Sequence[str]) -> str:
    pair = _pair(groups)
    if pair is None:
        return ""
    said: list[str] = []
    for task in tasks:
        found = interaction(*pair, task)
        if found is None:
            continue
        text = f"{task}: {signed(found)} points"
        if found.count == 1:
            text += " from one seed, which leaves chance open"
        elif found.low <= 0 <= found.high:
            text += ", not told from chance"
        said.append(text)
    return (
        f"The interaction, what {pair[0].label} gains on {pair[1].label} where objects are small "
        f"less what it gains where they are large, is for {'; for '.join(said)}. Accuracies differ "
        "between the sizes, and near their ceiling or at chance no method can gain much: "
        "differences of differences are to be read with the table."
    )


def _scores(groups: Sequence[Group], tasks: Sequence[str]) -> Table:
    head = ("Method", *(f"{task}, {size}" for task in tasks for size in SIZES))
    rows = tuple(
        (
            group.label,
            *(spread(group.interval(_top1(task, size))) for task in tasks for size in SIZES),
        )
        for group in groups
    )
    return Table(
        head=head,
        rows=rows,
        caption="Top-1 in percent.",
        keys=tuple(group.key for group in groups),
    )


def _differences(groups: Sequence[Group], tasks: Sequence[str]) -> Table:
    """The pair first, then every other method against its second."""
    second = groups[0].summaries[0]["pair"][1]
    base = next((group for group in groups if group.key == second), _against(groups))
    first = groups[0].summaries[0]["pair"][0]
    others = sorted(
        (group for group in groups if group is not base), key=lambda group: group.key != first
    )
    head = ("Difference", *(f"{task}, {what}" for task in tasks for what in (*SIZES, "I")))
    rows: list[tuple[str, ...]] = []
    for group in others:
        cells = [f"{group.label} {MINUS} {base.label}"]
        for task in tasks:
            cells += [signed(group.difference(base, _top1(task, size))) for size in SIZES]
            cells.append(signed(interaction(group, base, task)))
        rows.append(tuple(cells))
    return Table(
        head=head,
        rows=tuple(rows),
        caption="Percentage points, paired by seed; I, the interaction: the difference where "
        "objects are small less that where they are large.",
        keys=tuple(group.key for group in others),
    )


def _figure(groups: Sequence[Group], shades: Shades, tasks: Sequence[str], width: float) -> Figure:
    base = _against(groups)
    others = [group for group in groups if group is not base]
    figure, every = panels(width, 0.75 + 0.46 * len(others), len(tasks))
    for axes, task in zip(every, tasks, strict=True):
        axes.axvline(0, color=FAINT.light, lw=1)
        for place, group in enumerate(others):
            _marks(axes, group, base, task, -place, shades[group.key])
        row_labels(axes, [group.label for group in others])
        axes.set_title(task, loc="left", fontsize=9.5, color=INK.light)
        axes.set_xlabel(f"gain on {base.label}, percentage points")
        axes.margins(x=0.08)
    return figure


def _marks(axes: Axes, group: Group, base: Group, task: str, row: float, shade: Shade) -> None:
    for size, shift, face in (("small", 0.13, shade.light), ("large", -0.13, "white")):
        found = group.difference(base, _top1(task, size))
        if found is not None:
            whisker(axes, found, row + shift, shade.light, face=face)
