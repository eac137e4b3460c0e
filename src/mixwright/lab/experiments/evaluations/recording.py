"""From measurements to the findings of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mixwright.lab.analysis.analyse import analyse
from mixwright.lab.analysis.cost import SHORTENED
from mixwright.lab.analysis.findings import Arrays, Findings, Group
from mixwright.lab.evaluation.subject import Evaluation
from mixwright.lab.experiments.about import about_data, about_now
from mixwright.lab.experiments.evaluations.measuring import Measured, Setting
from mixwright.lab.experiments.presets import LEARNED
from mixwright.lab.training.recipe import Recipe


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
        evaluation.name: asdict(evaluation)  # pyright: ignore[reportArgumentType]
        for evaluation in evaluations
    }
    groups = {name: found for name in options if (found := _groups(name, measured))}
    parts, arrays = analyse(
        groups,
        options=options,
        pictures={evaluation.name: evaluation.pictures for evaluation in evaluations},
    )
    recipes = [part.candidate.recipe for part in measured if part.candidate.recipe is not None]
    skipped = {
        f"{part.candidate.label}: {part.evaluation.name}, because {part.reason}": None
        for part in measured
        if part.found is None
    }
    if setting.data.withheld and any(evaluation.pictures for evaluation in evaluations):
        skipped[f"{setting.data.withheld}."] = None
    about = about_now(
        about_data(setting.data),
        setting.device,
        command=command,
        seconds=seconds,
        recipe=_shared(recipes),
        details={"seed": setting.seed},
        skipped=tuple(skipped),
    )
    return Findings(kind="evaluation", about=about, parts=parts), arrays


def _shared(recipes: Sequence[Recipe]) -> dict[str, Any] | None:
    """The first recipe, without the fields in which methods of one comparison may differ."""
    if not recipes:
        return None
    own = (*LEARNED, *SHORTENED)
    differing = {name for name in own if len({getattr(one, name) for one in recipes}) > 1}
    return {name: value for name, value in asdict(recipes[0]).items() if name not in differing}


def _groups(name: str, measured: Sequence[Measured]) -> list[Group]:
    """The measurements of one evaluation, the seeds of each method together."""
    found: dict[str, list[Measured]] = {}
    for part in measured:
        if part.evaluation.name == name and part.found is not None:
            found.setdefault(part.candidate.group, []).append(part)
    return [_group(key, members) for key, members in found.items()]


def _group(key: str, members: Sequence[Measured]) -> Group:
    first = members[0].candidate
    results = [part.found for part in members if part.found is not None]
    folders = [part.candidate.folder for part in members]
    return Group(
        key=key,
        name=first.method_label,
        label=first.label,
        method="" if first.recipe is None else first.recipe.method,
        slug=first.slug,
        weights=first.weights,
        baseline=first.baseline,
        checkpoint=first.checkpoint,
        seeds=tuple(part.candidate.seed for part in members),
        folders=tuple(str(folder) for folder in folders if folder is not None),
        summaries=tuple(found.summary for found in results),
        arrays=tuple(found.arrays for found in results),
    )
