"""The tables of a published item with our numbers beside, for terminal, Markdown and page alike."""

from __future__ import annotations

from collections.abc import Sequence

from mixwright.lab.analysis.findings import SHORT_WEIGHTS
from mixwright.lab.experiments.published.outcome import (
    Cell,
    ColumnOutcome,
    Lead,
    Outcome,
    lead_words,
)
from mixwright.lab.reports.formatting import NONE, number, p_value, signed, spread
from mixwright.lab.reports.section import Table

_YES_NO = {True: "yes", False: "no", None: NONE}


def outcome_tables(found: Outcome) -> list[tuple[str, Table]]:
    """Return title and table of each column, and of who leads whom in it."""
    tables: list[tuple[str, Table]] = []
    for column, numbers in zip(found.columns, number_tables(found), strict=True):
        tables.append(numbers)
        if column.leads:
            tables.append((f"{_head(column, found)}: who leads", _leads(column)))
    return tables


def number_tables(found: Outcome) -> list[tuple[str, Table]]:
    """Return title and table of the numbers of each column."""
    return [
        (
            f"{_head(column, found)}, {column.unit}",
            _numbers(column, published_scale=found.scale == "paper"),
        )
        for column in found.columns
    ]


def _head(column: ColumnOutcome, found: Outcome) -> str:
    """What a column is headed; at another scale it says that the name is that of the published."""
    return column.head if found.scale == "paper" else f"{found.scale} scale of {column.head}"


def _numbers(column: ColumnOutcome, *, published_scale: bool) -> Table:
    """The numbers of a column; how far ours are from the printed ones at the same scale alone."""
    more = ("difference", "interval covers it") if published_scale else ()
    ours = "ours" if published_scale else "ours, not the published table"
    return Table(
        head=("", "METHOD", "published", ours, *more),
        rows=tuple(_row(cell, column, published_scale=published_scale) for cell in column.cells),
        caption=_caption(column),
        words=(1,),
    )


def _row(cell: Cell, column: ColumnOutcome, *, published_scale: bool) -> tuple[str, ...]:
    digits = column.digits
    printed = number(cell.published, digits)
    if cell.contradicted:
        printed += " *"
    weights = "" if cell.weights in ("", "raw") else f", {SHORT_WEIGHTS[cell.weights]}"
    more = ()
    if published_scale:
        far = number(cell.difference, digits)
        sign = "+" if cell.difference is not None and cell.difference > 0 else ""
        more = (f"{sign}{far}", _YES_NO[cell.covered])
    ours = spread(cell.ours, digits=digits, scale=1) if cell.ours else cell.missing
    return (cell.row, f"{cell.method}{weights}", printed, ours, *more)


def _caption(column: ColumnOutcome) -> str:
    several = any(cell.ours is not None and cell.ours.count > 1 for cell in column.cells)
    words = [f"Published: {column.source}." if column.source else "No numbers are published."]
    words.append(f"Ours: {column.measure}{', ± half of the 95 % interval' if several else ''}.")
    words += [f"* {cell.row}: {cell.contradicted}." for cell in column.cells if cell.contradicted]
    if column.lost:
        words.append(_lost(column))
    return " ".join(words)


def _lost(column: ColumnOutcome) -> str:
    """Say which rows could not be compared."""
    pairs = "; ".join(f"{first} against {second}" for first, second in column.lost)
    return f"Not compared, since one of the two has no number of ours: {pairs}."


def _leads(column: ColumnOutcome) -> Table:
    return Table(
        head=("", "against", "published", "ours", "p", "seeds would show", "verdict"),
        rows=tuple(_lead(lead, column.digits) for lead in column.leads),
        caption="Differences of the first to the second row, turned so that more is better, the "
        "row that is better as published in front; paired by seed; intervals and p-values are "
        "adjusted for all rows that are compared with one. Seeds would show: the smallest true "
        "difference that is found four times in five.",
        words=(1, 6),
    )


def _lead(lead: Lead, digits: int) -> tuple[str, ...]:
    return (
        lead.first,
        lead.second,
        number(lead.published, digits),
        spread(lead.ours, digits=digits, scale=1),
        p_value(lead.p),
        number(lead.detectable, digits),
        lead_words(lead),
    )


def lead_sentences(found: Outcome) -> list[str]:
    """Return who leads whom, a line each, for terminals, where the table has no room."""
    lost = [f"{_head(one, found)}: {_lost(one)}" for one in found.columns if one.lost]
    return [
        f"{_head(column, found)}: {lead.first} against {lead.second} "
        f"{signed(lead.ours, digits=column.digits, scale=1)}"
        + ("" if lead.published is None else f", published +{lead.published:.{column.digits}f}")
        + f": {lead_words(lead)}"
        for column in found.columns
        for lead in column.leads
    ] + lost


def as_markdown(found: Outcome) -> str:
    """Return the tables as a page of Markdown; the first line says the scale."""
    lines = [f"# {found.item}, {found.scale} scale", "", f"{found.title}. {found.paper}.", ""]
    for sentence in (found.caution, found.note, found.not_recovered):
        if sentence:
            lines += [f"**{sentence}**" if sentence == found.caution else sentence, ""]
    for title, table in outcome_tables(found):
        lines += [f"## {title}", "", *_markdown(table), "", table.caption, ""]
    if found.protocol:
        lines += ["## Protocol as published", ""]
        lines += [*_markdown(protocol_table(found)), ""]
    lines += ["## Commands", ""]
    lines += [f"    {step.command}" for step in found.steps]
    return "\n".join(lines) + "\n"


def protocol_table(found: Outcome) -> Table:
    """Return every value of the protocol with its source, and what is done here in its place."""
    return Table(
        head=(
            "",
            "as published",
            "source",
            "here" if found.scale == "paper" else "here, at the scale paper",
        ),
        rows=tuple(
            (name, value.value or "not stated", value.source, value.ours)
            for name, value in found.protocol.items()
        ),
        words=(1, 2, 3),
    )


def _markdown(table: Table) -> list[str]:
    def line(cells: Sequence[object]) -> str:
        texts = (str(getattr(cell, "text", cell)).replace("|", "\\|") for cell in cells)
        return f"| {' | '.join(texts)} |"

    rule = f"|{'|'.join('---' for _ in table.head)}|"
    return [line(table.head), rule, *(line(row) for row in table.rows)]
