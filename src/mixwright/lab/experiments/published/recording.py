"""From the outcome of a published item to the record that its page is made of."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from mixwright import __version__
from mixwright.files import write_json
from mixwright.lab.analysis.findings import About, Dataset, Findings, Part
from mixwright.lab.analysis.store import NAMES, read_findings, to_record
from mixwright.lab.experiments.about import now
from mixwright.lab.experiments.published.outcome import Outcome
from mixwright.lab.training.machine import commit

PART = "published"
"""The one part of such a record."""


def write_outcome(path: Path, found: Outcome, *, command: str) -> Path:
    """Write a record that ``mixwright report`` reads, whole or not at all; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, to_record(_findings(found, path.parent, command)))
    return path


def _findings(found: Outcome, folder: Path, command: str) -> Findings:
    """The outcome with where its numbers come from: machine and data are those of its steps."""
    import torch

    records = [
        read_findings(file)
        for step in found.steps
        for name in NAMES.values()
        if (file := folder / step.folder / name).is_file()
    ]
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
