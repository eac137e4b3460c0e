"""What came out of a published table: our numbers beside the printed ones, and who leads whom."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mixwright.arguments import counted
from mixwright.lab.analysis.findings import Findings, Group
from mixwright.lab.analysis.measures import interval, numbers
from mixwright.lab.analysis.recommendation import CLAIM
from mixwright.lab.analysis.statistics import Contrast, Interval
from mixwright.lab.analysis.statistics.block_design import many_to_one
from mixwright.lab.analysis.store import NAMES, read_findings
from mixwright.lab.bench.record import BenchRecord
from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.experiments.published.item import (
    ROW,
    Column,
    PublishedItem,
    ScaleName,
    Value,
    row_folder,
)

Verdict = Literal["as published", "as published?", "against", "against?", "open", "unknown"]
"""What our seeds say of a published lead; a question mark where chance is not ruled out."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number of the table, in the unit of its column.

    Attributes:
        row: its label.
        method: METHOD of our runs.
        weights: that are looked at.
        published: what is printed; None where it is not known.
        contradicted: other numbers that sources have for it.
        ours: mean and 95 % interval over our seeds; None where there is none.
        difference: ours less the published one; None at another scale than the published.
        covered: whether our interval holds the published number; None likewise, and without one.
        missing: why there is no number of ours.
    """

    row: str
    method: str
    weights: str
    published: float | None = None
    contradicted: str = ""
    ours: Interval | None = None
    difference: float | None = None
    covered: bool | None = None
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class Lead:
    """One row against another in a column: what is printed, and what our seeds say.

    Attributes:
        first: label of the row that is better as published; where that is not known, of any.
        second: label of the other.
        published: by how much, in the unit of the column and above 0; None where not known.
        ours: first less second, turned so that more is better, with its interval.
        p: adjusted for all rows that are compared with this one; None where there is none.
        detectable: smallest difference that these seeds would have shown four times in five; None
            for one seed.
        verdict: see ``Verdict``.
        showable: whether a difference as large as the published one could have been seen with
            these seeds; None where one of the two is not known.
    """

    first: str
    second: str
    published: float | None
    ours: Interval
    p: float | None
    detectable: float | None
    verdict: Verdict
    showable: bool | None


@dataclass(frozen=True, kw_only=True)
class ColumnOutcome:
    """A column with its numbers; ``lost`` are pairs of which one has none and the other has."""

    head: str
    unit: str
    digits: int
    better: Literal["higher", "lower"]
    source: str
    measure: str
    cells: tuple[Cell, ...]
    leads: tuple[Lead, ...]
    lost: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepOutcome:
    """A command that was carried out; ``folder`` is relative to the record, ``pictures`` to it."""

    name: str
    command: str
    folder: str
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A published item as it came out.

    Attributes:
        item: its name.
        title: see ``PublishedItem``, as the five that follow.
        scale: at which it was done.
        caution: what is other than published, in a sentence; empty at the published scale.
        columns: numbers and leads.
        steps: commands.
    """

    item: str
    title: str
    paper: str
    kind: str
    note: str
    not_recovered: str
    protocol: dict[str, Value]
    scale: ScaleName
    caution: str
    columns: tuple[ColumnOutcome, ...]
    steps: tuple[StepOutcome, ...]


def picture_name(step: StepOutcome, picture: str) -> str:
    """Return what a picture of a step is called on the page.

    Example:
        >>> picture_name(StepOutcome(name="a", command="", folder="a"), "figures/curves-all.png")
        'a-curves-all'
    """
    return f"{step.name}-{Path(picture).stem}"


def caution_of(item: PublishedItem, scale: ScaleName) -> str:
    """Return what must stand beside every number that was not made as published.

    Example:
        >>> from mixwright.lab.experiments.published.load import find_item
        >>> caution_of(find_item("miamix:layers"), "tiny").partition(" (")[0]
        'tiny scale: other data, net and schedule; not the published table'
    """
    if scale == "paper":
        return ""
    return (
        f"{scale} scale: other data, net and schedule; not the published {item.kind} "
        f"({item.scales[scale].about})"
    )


def column_outcome(
    column: Column, item: PublishedItem, folders: Mapping[str, Path], *, published_scale: bool
) -> ColumnOutcome:
    """Look the numbers of a column up in the records of its steps.

    ``folders`` are by name of the step, of those that were carried out; ``published_scale`` is
    whether ours may be set against the published numbers.
    """
    scores: dict[str, dict[Hashable, float]] = {}
    cells: list[Cell] = []
    for label, row in item.rows.items():
        method = parse_method(column.method or row.method).text
        cell = Cell(
            row=label,
            method=method,
            weights=row.weights if column.weights is None else column.weights,
            published=column.published.get(label),
            contradicted=column.contradicted.get(label, ""),
        )
        step = column.step.replace(ROW, row_folder(label))
        found = _numbers(column, cell, folders.get(step), step)
        if isinstance(found, str):
            cells.append(replace(cell, missing=found))
        elif isinstance(found, Interval):
            cells.append(replace(cell, ours=found))
        else:
            scores[label] = found
            cells.append(replace(cell, ours=interval(list(found.values()))))
    return ColumnOutcome(
        head=column.head,
        unit=column.unit,
        digits=column.digits,
        better=column.better,
        source=column.source,
        measure=measure_words(column),
        cells=tuple(_beside(cell) if published_scale else cell for cell in cells),
        leads=tuple(_leads(column, scores)),
        lost=tuple(pair for pair in _pairs(column, scores) if len({*pair} & {*scores}) == 1),
    )


def measure_words(column: Column) -> str:
    """Say which number of ours stands in a column."""
    if column.part == "scores" and column.path.startswith("protocols.median10."):
        measure = column.path.rpartition(".")[2].replace("top", "top-")
        return f"median of {measure} over the last ten epochs, mean over seeds"
    return f"{column.path} of {column.part}"


def _beside(cell: Cell) -> Cell:
    """A cell with how far ours is from the published number."""
    if cell.ours is None or cell.published is None or not math.isfinite(cell.ours.mean):
        return cell
    known = math.isfinite(cell.ours.low)
    return replace(
        cell,
        difference=cell.ours.mean - cell.published,
        covered=cell.ours.low <= cell.published <= cell.ours.high if known else None,
    )


def _numbers(
    column: Column, cell: Cell, folder: Path | None, step: str
) -> dict[Hashable, float] | Interval | str:
    """Our numbers by seed, an interval that was measured as one, or why there is neither."""
    if folder is None:
        return f"step {step} was not run"
    if column.part == "bench":
        return _of_bench(column, cell, folder)
    try:
        found = _record(folder)
    except (OSError, ValueError):
        return f"the record of step {step} is damaged"
    if found is None:
        return f"step {step} has no record"
    part = found.parts.get(column.part)
    group = None if part is None else _group(part.groups, cell)
    if group is None:
        weights = f" with weights {cell.weights}" if cell.weights else ""
        return f"{column.part} of step {step} has no {cell.method}{weights}"
    by_seed: dict[Hashable, float] = {}
    for place, summary in enumerate(group.summaries):
        value = numbers(summary).get(column.path, math.nan)
        if math.isfinite(value):
            by_seed[group.seeds[place]] = column.scale * value
    return by_seed or f"{column.path} was not measured in step {step}"


def _record(folder: Path) -> Findings | None:
    there = next((folder / name for name in NAMES.values() if (folder / name).is_file()), None)
    return None if there is None else read_findings(there)


def _group(groups: tuple[Group, ...], cell: Cell) -> Group | None:
    for group in groups:
        if (group.method or group.key) == cell.method and group.weights in ("", cell.weights):
            return group
    return None


def _of_bench(column: Column, cell: Cell, folder: Path) -> Interval | str:
    """What a METHOD adds to a training step, in the unit of the column."""
    file = folder / "bench.json"
    if not file.is_file():
        return f"step {folder.name} has no record"
    try:
        bench = BenchRecord.read(file)
    except (OSError, ValueError):
        return f"the record of step {folder.name} is damaged"
    for record in bench.steps:
        for row in record.rows:
            if row.name != cell.method:
                continue
            if cell.method == "none":
                return Interval(0.0, math.nan, math.nan, 1, math.nan)
            if row.overhead is None or row.overhead.share is None:
                return f"the overhead of {cell.method} could not be measured: the machine was busy"
            found = (row.overhead.share, row.overhead.low, row.overhead.high)
            mean, low, high = (math.nan if x is None else column.scale * x for x in found)
            return Interval(mean, low, high, row.overhead.pairs, math.nan)
    return f"the bench has no {cell.method}"


def _leads(column: Column, scores: Mapping[str, Mapping[Hashable, float]]) -> list[Lead]:
    """Compare the pairs of which both have numbers."""
    by_second: dict[str, list[str]] = {}
    for first, second in _pairs(column, scores):
        if first in scores and second in scores:
            by_second.setdefault(second, []).append(first)
    return [
        _lead(column, first, second, contrast)
        for second, firsts in by_second.items()
        for first, contrast in many_to_one(
            scores[second], {label: scores[label] for label in firsts}
        ).items()
    ]


def _pairs(column: Column, scores: Iterable[str]) -> list[tuple[str, str]]:
    """Every row against the reference, and the pairs that the source speaks of."""
    reference = column.reference or next(iter(column.published or scores), None)
    pairs = [(label, reference) for label in scores if reference and label != reference]
    return [*dict.fromkeys((*pairs, *column.leads))]


def _lead(column: Column, first: str, second: str, found: Contrast) -> Lead:
    sign = 1 if column.better == "higher" else -1
    known = column.published.get(first), column.published.get(second)
    printed = None if known[0] is None or known[1] is None else sign * (known[0] - known[1])
    if printed is not None and printed < 0:  # the other leads
        first, second, printed, sign = second, first, -printed, -sign
    ours = found.interval
    if sign < 0:
        ours = Interval(-ours.mean, -ours.high, -ours.low, ours.count, ours.deviation)
    p = None if math.isnan(found.p) else found.p
    detectable = None if math.isnan(found.detectable) else found.detectable
    return Lead(
        first=first,
        second=second,
        published=printed,
        ours=ours,
        p=p,
        detectable=detectable,
        verdict=_verdict(printed, ours.mean, p),
        showable=None if printed is None or detectable is None else printed >= detectable,
    )


def _verdict(printed: float | None, mean: float, p: float | None) -> Verdict:
    if printed is None:
        return "unknown"
    if mean == 0 or printed == 0:
        return "open"
    sure = p is not None and p < CLAIM
    if mean > 0:
        return "as published" if sure else "as published?"
    return "against" if sure else "against?"


def lead_words(lead: Lead) -> str:
    """Say what our seeds say of a lead.

    Example:
        >>> lead = Lead(first="a", second="b", published=0.3, ours=Interval(1.0, 0.2, 1.8, 5, 0.5),
        ...             p=0.02, detectable=1.1, verdict="as published", showable=False)
        >>> lead_words(lead)
        'as published, beyond chance; 0.3 would hardly have been seen with 5 seeds'
    """
    words = {
        "as published": "as published, beyond chance",
        "as published?": "as published, but it may be chance",
        "against": "the other way, beyond chance",
        "against?": "the other way, but it may be chance",
        "open": "no difference",
        "unknown": "not published",
    }[lead.verdict]
    if lead.showable is None or lead.published is None:
        return words
    seeds = counted(lead.ours.count, "seed")
    could = "could have been seen" if lead.showable else "would hardly have been seen"
    return f"{words}; {lead.published:g} {could} with {seeds}"


def outcome_of(
    name: str,
    item: PublishedItem,
    scale: ScaleName,
    *,
    folders: Mapping[str, Path],
    steps: tuple[StepOutcome, ...],
) -> Outcome:
    """Gather what came out of an item as it was run at a scale; ``item`` is at that scale."""
    return Outcome(
        item=name,
        title=item.title,
        paper=item.paper,
        kind=item.kind,
        note=item.note,
        not_recovered=item.not_recovered,
        protocol=item.protocol,
        scale=scale,
        caution=caution_of(item, scale),
        columns=tuple(
            column_outcome(column, item, folders, published_scale=scale == "paper")
            for column in item.columns
        ),
        steps=steps,
    )
