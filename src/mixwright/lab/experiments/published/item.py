"""What a file of a published table or figure holds, and where it contradicts itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mixwright.arguments import did_you_mean
from mixwright.lab.analysis.findings import WEIGHTS

Runs = Literal["compare", "train", "evaluate", "gallery", "bench", "theory"]
"""Commands that a table is made of."""

ScaleName = Literal["tiny", "small", "paper"]

OUT = "<out>"
"""Stands for the folder of the whole item in an option's value."""

ROW, SLUG = "<row>", "<slug>"
"""Stand for a row's label, as in names of steps, and for its METHOD as in names of run folders."""

_LONGEST = 100  # letters of a step's name
_MOST_DIGITS = 10


@dataclass(frozen=True, kw_only=True)
class Value:
    """One value of the protocol, as published.

    Attributes:
        value: in the words of the source; empty where it does not say.
        source: which table, section, log or repository says so.
        ours: what the commands here do, where that is not the same.
    """

    value: str = ""
    source: str
    ours: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table: the METHOD that it is, and which weights the source reports.

    Attributes:
        method: as the command line takes it.
        weights: one of ``findings.WEIGHTS``.
        note: what to know of it.
    """

    method: str
    weights: str = "raw"
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of the command line; its results lie in a folder of its name.

    Attributes:
        name: of the folder, and unique in the item.
        command: which one.
        rows: labels of the rows whose METHODs it takes; none for all.
        methods: METHODs in place of those of the rows.
        of: steps before, whose folders ``evaluate`` measures.
        each_row: whether it is done once for each row; its name and options then hold ``<row>``.
        options: name to value, as in ``--epochs 200``; true for one without a value.
        pictures: PNGs in its folder that belong to what is published, shown on the page.
    """

    name: str
    command: Runs
    rows: tuple[str, ...] = ()
    methods: tuple[str, ...] | None = None
    of: tuple[str, ...] = ()
    each_row: bool = False
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the table: published numbers, and where ours stand in the record of a step.

    Attributes:
        head: what it is headed.
        step: whose record; with ``<row>`` in it, each row has one of its own.
        part: of the record.
        path: of the number in a summary of that part.
        method: METHOD to look for, where it is not the row's.
        weights: set of weights to look for, where it is not the row's; empty for parts without.
        scale: ours times this is in the unit of the published numbers.
        digits: behind the point.
        unit: of the numbers.
        better: which way is better.
        reference: row that others are compared with; the first one by default.
        published: number by row.
        source: of these numbers.
        contradicted: by row, other numbers that sources have in its place.
        leads: further pairs of rows (first, second) whose difference the source speaks of.
    """

    head: str
    step: str
    part: str = "scores"
    path: str = "protocols.median10.top1"
    method: str | None = None
    weights: str | None = None
    scale: float = 100.0
    digits: int = 2
    unit: str = "%"
    better: Literal["higher", "lower"] = "higher"
    reference: str | None = None
    published: dict[str, float] = field(default_factory=dict[str, float])
    source: str = ""
    contradicted: dict[str, str] = field(default_factory=dict[str, str])
    leads: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The same table with other data, another net or another schedule.

    Attributes:
        about: what is other, in a few words.
        steps: name of each step that is done, with all its options; those of the published scale
            where it has none.
        rows: labels of the rows; none for all.
        methods: METHOD by row, where it is not that of the published scale.
    """

    about: str
    steps: dict[str, dict[str, Any]]
    rows: tuple[str, ...] = ()
    methods: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class PublishedItem:
    """A published table or figure.

    Attributes:
        title: what it shows, in one line.
        paper: authors, year, number.
        kind: what it is in the paper.
        note: what to know before believing a comparison with it.
        not_recovered: which numbers no source of ours has, in a sentence; empty for none.
        same_as: item that has the same data; nothing is run here.
        diagram: whether it is a drawing of the method, which has nothing to run.
        protocol: what was done, by name of the value.
        rows: by label.
        steps: commands in their order.
        columns: published numbers with ours.
        scales: the same at another scale.
    """

    title: str
    paper: str
    kind: Literal["table", "figure", "experiment"] = "table"
    note: str = ""
    not_recovered: str = ""
    same_as: str = ""
    diagram: bool = False
    protocol: dict[str, Value] = field(default_factory=dict[str, Value])
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    steps: tuple[Step, ...] = ()
    columns: tuple[Column, ...] = ()
    scales: dict[Literal["tiny", "small"], Scale] = field(
        default_factory=dict[Literal["tiny", "small"], Scale]
    )

    @property
    def scale_names(self) -> tuple[ScaleName, ...]:
        """Scales that it can be run at, the smallest first; none where there is nothing to run."""
        if not self.steps:
            return ()
        small: tuple[ScaleName, ...] = ("tiny", "small")
        return (*(name for name in small if name in self.scales), "paper")

    def at(self, scale: ScaleName) -> PublishedItem:
        """Return the item as it is run at a scale: its rows, steps and the columns they fill."""
        if scale == "paper":
            return self
        own = self.scales[scale]
        rows = {
            label: replace(row, method=own.methods.get(label, row.method))
            for label, row in self.rows.items()
            if not own.rows or label in own.rows
        }
        steps = tuple(
            replace(
                step,
                rows=tuple(label for label in step.rows if label in rows),
                options=own.steps[step.name] or step.options,
            )
            for step in self.steps
            if step.name in own.steps
        )
        there = {step.name for step in steps}
        columns = tuple(column for column in self.columns if column.step in there)
        return replace(self, rows=rows, steps=steps, columns=columns)


def check_item(item: PublishedItem) -> None:
    """Refuse a table that contradicts itself.

    Raises:
        ValueError: a row or step that is named is not there, one is named twice, or a set of
            weights is not known; the message is about the one value.
    """
    for label, row in item.rows.items():
        one_of(row.weights, WEIGHTS, f"rows.{label}.weights")
    for place, step in enumerate(item.steps):
        _check_step(step, item, place)
    for place, column in enumerate(item.columns):
        _check_column(column, item, f"columns[{place}]")
    for name, scale in item.scales.items():
        _check_scale(scale, item, f"scales.{name}")
    if item.steps and (item.same_as or item.diagram):
        other = f"same_as is {item.same_as}" if item.same_as else "diagram is true"
        raise ValueError(
            f"{other} beside steps, of which none would be done; leave one of them out."
        )
    if not item.steps and not (item.same_as or item.diagram):
        raise ValueError(
            "steps is empty; expected at least one command, or same_as, or diagram = true."
        )


def _check_step(step: Step, item: PublishedItem, place: int) -> None:
    at, before = f"steps[{place}]", [other.name for other in item.steps[:place]]
    if step.name in before:
        raise ValueError(f"{at}.name is {step.name}, as another's; expected a name of its own.")
    plain = step.name.replace(ROW, "")
    named = step.each_row or any(map(str.isalnum, plain))
    if not named or len(plain) > _LONGEST or not all(c.isalnum() or c in "-_." for c in plain):
        raise ValueError(
            f"{at}.name is {step.name!r}; expected letters, digits and dashes, at most "
            f"{_LONGEST}, as it names a folder."
        )
    if step.each_row:
        _check_row_folders(step.rows or tuple(item.rows), at)
    _each(step.rows, item.rows, f"{at}.rows")
    if not item.rows and step.methods is None and step.command != "evaluate":
        raise ValueError(
            f"rows is empty, and {at} names no methods; expected what {step.command} is to do. "
            "Write [rows] with a METHOD each, or methods = [...] in the step."
        )
    for picture in step.pictures:
        if not picture.endswith(".png") or ".." in picture or picture.startswith("/"):
            raise ValueError(
                f"{at}.pictures names {picture!r}; expected a PNG in the folder of the step, "
                "such as figures/curves-all.png."
            )
    _each(step.of, before, f"{at}.of")
    if (step.command == "evaluate") != bool(step.of):
        raise ValueError(
            f"{at}.of is {list(step.of)} with {step.command}; expected the steps that evaluate "
            "measures, and none for other commands."
        )
    if step.each_row != (ROW in step.name):
        raise ValueError(
            f"{at}.name is {step.name} with each_row {str(step.each_row).lower()}; expected "
            f"{ROW} in the name of a step that is done for each row, and of no other."
        )


def _check_column(column: Column, item: PublishedItem, at: str) -> None:
    one_of(column.step, [step.name for step in item.steps], f"{at}.step")
    if column.weights:
        one_of(column.weights, WEIGHTS, f"{at}.weights")
    _each(column.published, item.rows, f"{at}.published")
    _each(column.contradicted, item.rows, f"{at}.contradicted")
    _each([label for pair in column.leads for label in pair], item.rows, f"{at}.leads")
    for first, second in column.leads:
        if first == second:
            raise ValueError(f"{at}.leads has {first} against itself; expected another row.")
    if column.reference is not None:
        one_of(column.reference, item.rows, f"{at}.reference")
    for label, value in (*column.published.items(), ("scale", column.scale)):
        if not math.isfinite(value):
            raise ValueError(f"{at}: {label} is {value}; expected a finite number.")
    if not 0 <= column.digits <= _MOST_DIGITS:
        raise ValueError(
            f"{at}.digits is {column.digits}; expected a whole number from 0 to {_MOST_DIGITS}."
        )
    if not column.source and column.published:
        raise ValueError(f"{at}.source is empty; expected where its published numbers stand.")


def _check_scale(scale: Scale, item: PublishedItem, at: str) -> None:
    _each(scale.steps, [step.name for step in item.steps], f"{at}.steps")
    _each(scale.rows, item.rows, f"{at}.rows")
    _each(scale.methods, item.rows, f"{at}.methods")
    for step in item.steps:
        kept = not step.rows or not scale.rows or {*step.rows} & {*scale.rows}
        if step.name in scale.steps and not kept:
            raise ValueError(
                f"{at}.rows has none of those of the step {step.name}, "
                f"{', '.join(step.rows)}; expected one of them, or the step left out."
            )
        if step.name in scale.steps:
            _each(step.of, scale.steps, f"{at}.steps, whose {step.name} measures others,")
    if not scale.steps:
        raise ValueError(f"{at}.steps is empty; expected at least one step.")


def _check_row_folders(labels: Iterable[str], at: str) -> None:
    """Refuse rows that would share a folder, or have none."""
    seen: dict[str, str] = {}
    for label in labels:
        own = row_folder(label)
        if not own or own in seen:
            raise ValueError(
                f"{at} is done for each row, and {label!r} would have the folder {own!r}"
                + (f", as {seen[own]!r} has" if own else "")
                + "; expected letters or digits that no other row has. Give it another label."
            )
        seen[own] = label


def row_folder(label: str) -> str:
    """Return a row's label as the names of steps hold it.

    Example:
        >>> row_folder("MixUp & CutMix")
        'mixup-cutmix'
    """
    words = "".join(sign if sign.isalnum() else " " for sign in label.lower()).split()
    return "-".join(words)


def _each(values: Iterable[str], known: Iterable[str], at: str) -> None:
    for value in values:
        one_of(value, known, at)


def one_of(value: str, known: Iterable[str], at: str) -> None:
    """Refuse a name that is none of those that are known; ``at`` is where it stands."""
    known = list(known)
    if value not in known:
        raise ValueError(
            f"{at} names {value!r}; expected one of {', '.join(known) or 'nothing'}."
            f"{did_you_mean(value, known)}"
        )
