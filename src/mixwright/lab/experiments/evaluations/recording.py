"""From measurements to the findings of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from mixwright.lab.analysis.analyse import analyse
from mixwright.lab.analysis.findings import About, Arrays, Dataset, Findings, Group
from mixwright.lab.evaluation.subject import Evaluation
from mixwright.lab.experiments.evaluations.measuring import Measured, Setting
from mixwright.lab.training.machine import commit, machine, version


def evaluation_findings(
    measured: Sequence[Measured],
    evaluations: Sequence[Evaluation],
    setting: Setting,
    *,
    command: str,
    seconds: float,
) -> tuple[Findings, Arrays]:
    """Gather measurements with all that decides them; return findings, and arrays of their page."""
    options: dict[str, dict[str, Any]] = {
        one.name: asdict(one)  # pyright: ignore[reportArgumentType]
        for one in evaluations
    }
    groups = {name: found for name in options if (found := _groups(name, measured))}
    parts, arrays = analyse(
        groups,
        options=options,
        pictures={one.name: one.pictures for one in evaluations},
    )
    recipes = [one.candidate.recipe for one in measured if one.candidate.recipe is not None]
    data = setting.data
    skipped = {
        f"{one.candidate.label}: {one.evaluation.name}, because {one.reason}": None
        for one in measured
        if one.found is None
    }
    about = About(
        command=command,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=seconds,
        machine=machine(setting.device),
        commit=commit(),
        versions={"mixwright": version(), "torch": torch.__version__},
        data=Dataset(
            name=data.name,
            note=data.note,
            classes=tuple(data.classes),
            train=len(data.train),
            test=len(setting.ids),
            shape=tuple(data.test.shape),
        ),
        recipe=asdict(recipes[0]) if recipes else None,
        details={"seed": setting.seed},
        skipped=tuple(skipped),
    )
    return Findings(kind="evaluation", about=about, parts=parts), arrays


def _groups(name: str, measured: Sequence[Measured]) -> list[Group]:
    """The measurements of one evaluation, the seeds of each method together."""
    found: dict[str, list[Measured]] = {}
    for one in measured:
        if one.evaluation.name == name and one.found is not None:
            found.setdefault(one.candidate.group, []).append(one)
    return [_group(key, members) for key, members in found.items()]


def _group(key: str, members: Sequence[Measured]) -> Group:
    first = members[0].candidate
    results = [one.found for one in members if one.found is not None]
    folders = [one.candidate.folder for one in members]
    return Group(
        key=key,
        name=first.method_label,
        label=first.label,
        method="" if first.recipe is None else first.recipe.method,
        slug=first.slug,
        weights=first.weights,
        baseline=first.baseline,
        seeds=tuple(one.candidate.seed for one in members),
        folders=tuple(str(folder) for folder in folders if folder is not None),
        summaries=tuple(found.summary for found in results),
        arrays=tuple(found.arrays for found in results),
    )
