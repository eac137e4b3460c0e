"""From the outcome of a published item to the record that its page is made of."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path

from mixwright import __version__
from mixwright.files import write_json, write_whole
from mixwright.lab.analysis.findings import About, Dataset, Findings, Part
from mixwright.lab.analysis.store import NAMES, read_findings, to_record
from mixwright.lab.experiments.about import now
from mixwright.lab.experiments.published.outcome import Outcome, picture_name
from mixwright.lab.training.machine import commit

PART = "published"
"""The one part of such a record."""

PICTURES = "pictures"
"""The section of the page for pictures of the steps, which lie under ``figures`` beside it."""


def write_outcome(path: Path, found: Outcome, *, command: str) -> Path:
    """Write a record that ``mixwright report`` reads, whole or not at all; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for step in found.steps:
        for picture in step.pictures:
            file = path.parent / step.folder / picture
            if file.is_file():  # else the step could not draw it, as its own page says
                kept = path.parent / "figures" / f"{PICTURES}-{picture_name(step, picture)}.png"
                kept.parent.mkdir(exist_ok=True)
                write_whole(kept, lambda stream, file=file: stream.write(file.read_bytes()))
    write_json(path, to_record(_findings(found, path.parent, command)))
    return path


def _findings(found: Outcome, folder: Path, command: str) -> Findings:
    """The outcome with where its numbers come from: machine and data are those of its steps."""
    import torch

    records: list[Findings] = []
    for step in found.steps:
        for name in NAMES.values():
            # One that is not there, or is damaged, is left out here: its cells say so.
            with contextlib.suppress(OSError, ValueError):
                records.append(read_findings(folder / step.folder / name))
    about = About(
        command=command,
        finished=now(),
        seconds=sum(record.about.seconds for record in records),
        machine=records[0].about.machine if records else {},
        commit=commit(),
        versions={"mixwright": __version__, "torch": torch.__version__},
        data=records[0].about.data
        if records
        else Dataset(name="", note="", classes=(), train=0, test=0, shape=()),
    )
    parts = {PART: Part(groups=(), numbers=asdict(found))}
    return Findings(kind="reproduction", about=about, parts=parts)
