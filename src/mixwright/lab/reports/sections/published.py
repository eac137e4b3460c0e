"""Published numbers beside ours, and what was done to get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import Part
from mixwright.lab.experiments.published.outcome import Outcome, picture_name
from mixwright.lab.experiments.published.recording import PICTURES
from mixwright.lab.reports.published_tables import outcome_tables, protocol_table
from mixwright.lab.reports.section import Command, Drawing, Notes, Page, Section
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(part: Part, page: Page) -> dict[str, Section]:
    """Write a section for the tables, one for the protocol and one for the commands."""
    del page
    found = read_outcome(part)
    tables = outcome_tables(found)
    sections: dict[str, Section] = {}
    for place, (title, table) in enumerate(tables):
        sections[f"table-{place}"] = Section(title=title, reading=found.caution, blocks=(table,))
    pictures = tuple(
        Drawing(picture_name(step, picture), f"Step {step.name}.", _stored, needs=("stored",))
        for step in found.steps
        for picture in step.pictures
    )
    if pictures:
        sections[PICTURES] = Section(title="Pictures", reading=found.caution, blocks=pictures)
    if found.protocol:
        sections["protocol"] = Section(
            title="The protocol as published", blocks=(protocol_table(found),)
        )
    notes = tuple(("", sentence) for sentence in (found.note, found.not_recovered) if sentence)
    if notes:
        sections["before"] = Section(title="Before believing it", blocks=(Notes(notes),))
    sections["steps"] = Section(
        title="What was done",
        reading="Each command has a record, and most a page of its own, in the folder that --out "
        "names.",
        blocks=tuple(Command(f"{step.name}:", step.command) for step in found.steps),
    )
    return sections


def _stored(width: float) -> Figure:
    """Pictures of the steps are never drawn here: those that lie beside the record are shown."""
    raise AssertionError(f"a stored picture was to be drawn {width} inches wide")


def read_outcome(part: Part) -> Outcome:
    """Return the outcome that a record holds."""
    return decode(Outcome, part.numbers, where="the published table")
