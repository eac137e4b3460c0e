"""What the committed records say of each method: accuracies, and how long it takes."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass

from mixwright.lab.analysis.findings import Findings, Group
from mixwright.lab.analysis.store import read_findings
from site_pages.places import RECORDS, ROOT


@dataclass(frozen=True, kw_only=True)
class Record:
    """One comparison or evaluation that is kept, read.

    Attributes:
        slug: its folder.
        file: the record itself, relative to the repository.
        findings: what it holds.
    """

    slug: str
    file: str
    findings: Findings


@functools.cache
def records() -> tuple[Record, ...]:
    """All records of comparisons, evaluations and theory runs, by folder."""
    kinds = ("comparison", "evaluation", "theory", "sprites")
    files = [file for kind in kinds for file in (ROOT / RECORDS).glob(f"*/{kind}.json")]
    return tuple(
        Record(
            slug=file.parent.name,
            file=str(file.relative_to(ROOT)),
            findings=read_findings(file),
        )
        for file in sorted(files)
    )


def comparisons() -> list[Record]:
    """The records of comparisons alone."""
    return [one for one in records() if one.findings.kind == "comparison"]


def setting(record: Record) -> str:
    """What was trained on what, for how long, in a few words."""
    about = record.findings.about
    recipe = about.recipe or {}
    scores = record.findings.parts["scores"]
    seeds = max(len(group.seeds) for group in scores.groups)
    return (
        f"{recipe.get('model', '')}, {about.data.train:,} images of "
        f"{about.data.name.partition(':')[2] or about.data.name}, "
        f"{recipe.get('epochs', '')} epochs, {seeds} seeds"
    )


def groups_of(name: str, record: Record) -> list[Group]:
    """What a comparison found of a method with its trained weights, all its options."""
    return [
        group
        for group in record.findings.parts["scores"].groups
        if group.weights == "raw" and group.method.partition(":")[0] == name
    ]


@dataclass(frozen=True, kw_only=True)
class MixingTime:
    """How long a batch took to mix, plan and images, on one thread of a CPU.

    Attributes:
        shape: of the batch.
        milliseconds: the median.
        times_lerp: in units of one out-of-place lerp of two such batches.
    """

    shape: tuple[int, ...]
    milliseconds: float
    times_lerp: float


def mixing_times(name: str) -> list[MixingTime]:
    """The measured times of a mixer with its default options, from ``bench/cpu.json``."""
    file = ROOT / RECORDS / "bench" / "cpu.json"
    return [
        MixingTime(
            shape=tuple(shape["shape"]),
            milliseconds=row["time"]["median"] * 1000,
            times_lerp=row["median_times_lerp"],
        )
        for shape in json.loads(file.read_text())["shapes"]
        for row in shape["rows"]
        if (row["group"], row["name"], row["part"]) == ("mixwright", name, "all")
    ]


def step_times(name: str) -> dict[str, float]:
    """Median training steps with a method, in steps without mixing, by network."""
    found: dict[str, float] = {}
    for file in ("steps-learned", "steps"):
        record = json.loads((ROOT / RECORDS / "bench" / f"{file}.json").read_text())
        for part in record["steps"]:
            medians = {row["name"]: row["step"]["median"] for row in part["rows"]}
            if name in medians and name != "none":
                found[part["model"]] = medians[name] / medians["none"]
    return found
