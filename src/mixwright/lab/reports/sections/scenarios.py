"""Two scenarios of object size: who gains where, and whether the gains differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixwright.arguments import counted
from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.analysis.scenarios import Gain, Scenarios
from mixwright.lab.reports.figure_text import label
from mixwright.lab.reports.figures import panels, row_labels, whisker
from mixwright.lab.reports.formatting import MINUS, NONE, signed
from mixwright.lab.reports.palette import FAINT, INK, Shade
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.reports.sections.lines import group_table, spreads
from mixwright.lab.settings import decode
from mixwright.lab.theory.scenarios.tasks import SIZES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write(part: Part, page: Page) -> dict[str, Section]:
    """Scores and differences in both sizes of objects, and what is gained on the baseline."""
    groups, first = {group.key: group for group in part.groups}, part.groups[0].first
    found = decode(Scenarios, part.numbers, where="scenarios")
    tasks: list[str] = list(first["tasks"])
    seeds = len(part.groups[0].seeds)
    section = Section(
        title="Small and large objects",
        protocol=(
            f"{_regimes(first, tasks[0])}; {first['model']}, "
            f"{first['train_size']:,} training and {first['test_size']:,} test images, "
            f"{counted(first['epochs'], 'epoch')} of {first['optimizer']} at {first['lr']:g}; "
            f"top-1 of the raw weights after the last epoch; {counted(seeds, 'seed')}, "
            "paired, 95 % t intervals."
        ),
        reading=_reading(found, groups),
        blocks=(
            _scores(part.groups, tasks),
            _differences(found.differences, groups, tasks),
            Drawing(
                "scenarios",
                f"Top-1 gained on {groups[found.base].label}, paired by seed, where objects are "
                "small (filled) and large (hollow); lines are 95 % intervals.",
                lambda width: _figure(found, groups, page.shades, tasks, width),
            ),
        ),
    )
    return {"scenarios": section}


def _regimes(first: Mapping[str, Any], task: str) -> str:
    """What the images of both scenarios are."""
    crops = first.get("crops")
    if crops is not None:  # of two comparisons
        return f"Two comparisons on {task}: " + " and ".join(
            f"rectangles of {100 * crops[size]['scale'][0]:.3g} to "
            f"{100 * crops[size]['scale'][1]:.3g} % of each image to train on, which leave "
            f"objects {size}, {_tested(crops[size]['centre'])}"
            for size in SIZES
        )
    shares = first["tasks"][task]
    sizes = " and ".join(f"{100 * shares[size]['object_share']:.0f} % ({size})" for size in SIZES)
    return (
        f"{first['dataset_kind'].capitalize()}: the same images with objects of {sizes} of the "
        "area, the same regime for training and test"
    )


def _tested(centre: float | None) -> str:
    return (
        "tested on the usual square"
        if centre is None
        else f"tested on the centre {100 * centre:.3g} %"
    )


def _reading(found: Scenarios, groups: Mapping[str, Group]) -> str:
    if not found.paired:
        return ""
    pair = found.differences[0]
    sentences: list[str] = []
    for task, gained in pair.tasks.items():
        text = f"{task}: {signed(gained.interaction)} points"
        if gained.interaction.count == 1:
            text += " from one seed, which leaves chance open"
        elif gained.interaction.low <= 0 <= gained.interaction.high:
            text += ", not told from chance"
        sentences.append(text)
    return (
        f"The interaction, what {groups[pair.key].label} gains on {groups[pair.base].label} where "
        f"objects are small less what it gains where they are large, is for "
        f"{'; for '.join(sentences)}. Accuracies differ "
        "between the sizes, and near their ceiling or at chance no method can gain much: "
        "differences of differences are to be read with the table."
    )


def _scores(groups: Sequence[Group], tasks: Sequence[str]) -> Table:
    head = ("Method", *(f"{task}, {size}" for task in tasks for size in SIZES))
    paths = [f"tasks.{task}.{size}.top1" for task in tasks for size in SIZES]
    return group_table(
        head, groups, lambda group: spreads(group, paths), caption="Top-1 in percent."
    )


def _differences(
    differences: Sequence[Gain], groups: Mapping[str, Group], tasks: Sequence[str]
) -> Table:
    """The pair first, then every other method against its second."""
    head = ("Difference", *(f"{task}, {what}" for task in tasks for what in (*SIZES, "I")))
    rows: list[tuple[str, ...]] = []
    for gain in differences:
        cells = [f"{groups[gain.key].label} {MINUS} {groups[gain.base].label}"]
        for task in tasks:
            gained = gain.tasks.get(task)
            if gained is None:
                cells += [NONE] * 3
            else:
                cells += map(signed, (gained.small, gained.large, gained.interaction))
        rows.append(tuple(cells))
    return Table(
        head=head,
        rows=tuple(rows),
        caption="Percentage points, paired by seed; I, the interaction: the difference where "
        "objects are small less that where they are large.",
        keys=tuple(gain.key for gain in differences),
    )


def _figure(
    found: Scenarios,
    groups: Mapping[str, Group],
    shades: Shades,
    tasks: Sequence[str],
    width: float,
) -> Figure:
    figure, every = panels(width, 0.75 + 0.46 * len(found.gains), len(tasks))
    for axes, task in zip(every, tasks, strict=True):
        axes.axvline(0, color=FAINT.light, lw=1)
        for place, gain in enumerate(found.gains):
            _marks(axes, gain, task, -place, shades[gain.key])
        row_labels(axes, [groups[gain.key].label for gain in found.gains])
        axes.set_title(task, loc="left", fontsize=9.5, color=INK.light)
        axes.set_xlabel(f"gain on {label(groups[found.base].label)}, percentage points")
        axes.margins(x=0.08)
    return figure


def _marks(axes: Axes, gain: Gain, task: str, row: float, shade: Shade) -> None:
    gained = gain.tasks.get(task)
    if gained is not None:
        whisker(axes, gained.small, row + 0.13, shade.light, face=shade.light)
        whisker(axes, gained.large, row - 0.13, shade.light, face="white")
