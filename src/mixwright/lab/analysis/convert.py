"""Records of formats 1 and 2, which older versions wrote, brought to today's findings.

What ran is taken from them; intervals, differences and tests over runs are made anew from it.
Comparisons, evaluations and theory runs of format 1 each had a record of their own; measured arrays
and pictures were never in them: pages show the figures that lie beside them instead. Format 2
judged each method by its own pairs of runs, with Holm's correction.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixwright.lab.analysis.analyse import analyse
from mixwright.lab.analysis.answer import with_answer
from mixwright.lab.analysis.comparison import FinishedMethod, FinishedRun, comparison_parts
from mixwright.lab.analysis.findings import (
    FORMAT,
    WEIGHTS,
    About,
    Dataset,
    Failure,
    Findings,
    Group,
)
from mixwright.lab.analysis.measures import with_statistics
from mixwright.lab.settings import decode
from mixwright.lab.training.folder import read_metrics

Raw = Mapping[str, Any]

_CHECKPOINT = re.compile(r" \(([^()]+)\) (?:raw|ema|teacher)$")  # "none (best.pt) raw"


def damaged(path: Path, error: Exception) -> ValueError:
    """Return the sentence about a record that lacks what was looked for in it."""
    return ValueError(f"{path}: damaged ({type(error).__name__}: {error}). Make the record again.")


def convert_record(raw: Any, path: Path) -> Findings:
    """Bring what the JSON of a record of format 1 or 2 holds to today's findings.

    Curves are read from the run folders beside ``path``, or from ``runs/NAME.jsonl``.

    Raises:
        ValueError: it is no such record, or a damaged one.
    """
    try:
        if isinstance(raw, dict) and raw.get("format") == 2:
            return _format_2(raw, path)
        found = _converted(raw, path.parent)
    except (KeyError, IndexError, TypeError, AttributeError, StopIteration) as error:
        raise damaged(path, error) from error
    if found is not None:
        return found
    if isinstance(raw, dict) and "format" in raw:
        raise ValueError(
            f"{path}: its format is {raw['format']!r}; this version reads formats 1, 2 and 3. "
            "Read it with the version that wrote it, or a newer one."
        )
    raise ValueError(f"{path}: no record of ours; expected what compare, evaluate or theory wrote.")


def _format_2(raw: dict[str, Any], path: Path) -> Findings:
    """Judge a record of format 2 anew, but for what its arrays would be needed for."""
    raw = copy.deepcopy(raw) | {"format": FORMAT}
    for name, part in raw.get("parts", {}).items():
        for group in part["groups"]:
            group["differences"] = {}
        for family in part["numbers"].get("families", ()) if name == "accuracy" else ():
            family.pop("runs_needed", None)
            family["methods"] = [_over_images(method) for method in family["methods"]]
    findings = decode(Findings, raw, where=str(path))
    parts = {
        name: replace(part, groups=with_statistics(part.groups))
        for name, part in findings.parts.items()
    }
    judged = replace(findings, parts=parts)
    return with_answer(judged) if judged.kind == "comparison" else judged


def _over_images(method: Raw) -> dict[str, Any]:
    """What is kept of a method's accuracy: over runs it is now a difference like any other."""
    over_runs = ("runs", "simultaneous", "p", "p_holm", "not_worse")
    return {name: value for name, value in method.items() if name not in over_runs}


def _converted(raw: Any, folder: Path) -> Findings | None:
    """The findings of a record of format 1; None for anything else."""
    if isinstance(raw, dict):
        if raw.get("format", 1) == 1 and "methods" in raw:
            return _comparison(raw, folder)
        if raw.get("format", 1) == 1 and "models" in raw:
            return _evaluation(raw)
        if "sections" in raw:
            return _theory(raw, raw["sections"])
        if {"summaries", "pair", "tasks"} <= set(raw):
            return _scenarios(raw)
    return None


def _comparison(raw: Raw, folder: Path) -> Findings:
    methods = [
        FinishedMethod(
            runs=[_run(run, folder) for run in method["runs"]],
            text=method["text"],
            label=method["label"],
            slug=method["slug"],
            baseline=method["text"] == raw["baseline"],
        )
        for method in raw["methods"]
    ]
    numbers: dict[str, dict[str, Any]] = {
        "sweep": {"sweeps": ()},
        "samples": {"methods": ()},
        "diagnostics": {"methods": ()},
    }
    parts, _ = comparison_parts(methods, recipe=raw["recipe"], numbers=numbers)
    about = About(
        command=raw["command"],
        finished=raw["finished"],
        seconds=raw["seconds"],
        machine=raw["machine"],
        commit=raw["commit"],
        versions=raw["versions"],
        data=_dataset(raw["data"]),
        recipe=raw["recipe"],
        details={"parallel": raw["parallel"], "parameters": raw["parameters"]},
        failures=tuple(Failure(**failure) for failure in raw["failures"]),
    )
    return with_answer(Findings(kind="comparison", about=about, parts=parts))


def _run(run: Raw, folder: Path) -> FinishedRun:
    return FinishedRun(
        seed=run["seed"],
        folder=run["folder"],
        scores={weights: run[weights] for weights in WEIGHTS if run.get(weights)},
        best=run["best"],
        protocols=run.get("protocols", {}),
        step_seconds=run["step_seconds"],
        seconds=run["seconds"],
        warnings=_warnings(run),
        epochs=_epochs(folder / run["folder"]),
    )


def _warnings(run: Raw) -> list[dict[str, Any]]:
    return [
        {"first": alarm["first"], "last": alarm["last"], "message": alarm["said"]}
        for alarm in run.get("alarms", ())
    ]


def _epochs(run: Path) -> list[dict[str, Any]]:
    """The epochs of a run, from its folder or from the file that was kept of it."""
    kept = run.with_name(f"{run.name}.jsonl")
    return read_metrics(kept if kept.is_file() else run)


def _dataset(raw: Raw) -> Dataset:
    return Dataset(
        name=raw["name"],
        note=raw["note"],
        classes=tuple(raw["classes"]),
        train=raw["train"],
        test=raw["test"],
        shape=tuple(raw["shape"]),
    )


def _evaluation(raw: Raw) -> Findings:
    models: Sequence[Raw] = raw["models"]
    groups = {
        name: found
        for name in raw["parts"]
        if (found := _measured(name, [model for model in models if name in model["parts"]]))
    }
    parts, _ = analyse(groups, options=raw["parts"])
    skipped = dict.fromkeys(
        f"{model['label']}: {name}, because {reason}"
        for model in models
        for name, reason in model["skipped"].items()
    )
    recipe = next((model["recipe"] for model in models if model["recipe"]), None)
    about = About(
        command=raw["command"],
        finished=raw["finished"],
        seconds=0.0,
        machine=raw["machine"],
        commit=raw["commit"],
        versions=raw["versions"],
        data=Dataset(
            name=raw["data"],
            note=raw["note"],
            classes=tuple(raw["classes"]),
            train=0,
            test=raw["test_images"],
            shape=tuple(raw["shape"]),
        ),
        recipe=recipe,
        details={"seed": raw["seed"]},
        skipped=tuple(skipped),
    )
    return Findings(kind="evaluation", about=about, parts=parts)


def _measured(name: str, models: Sequence[Raw]) -> list[Group]:
    by_group: dict[str, list[Raw]] = {}
    for model in models:
        by_group.setdefault(model["group"], []).append(model)
    found: list[Group] = []
    for key, members in by_group.items():
        first, recipe = members[0], members[0]["recipe"]
        weights = first["weights"] if first["weights"] in WEIGHTS else ""
        folders = (model["folder"] for model in members)
        found.append(
            Group(
                key=key,
                name=first["label"].removesuffix(f", {WEIGHTS.get(weights, '')}"),
                label=first["label"],
                method=recipe["method"] if recipe else "",
                slug=first["name"],
                weights=weights,
                baseline=bool(recipe) and recipe["method"] == "none",
                checkpoint=found_in[1] if (found_in := _CHECKPOINT.search(key)) else "",
                seeds=tuple(model["seed"] for model in members),
                folders=tuple(folder for folder in folders if folder),
                summaries=tuple(model["parts"][name] for model in members),
            )
        )
    return found


def _theory(raw: Raw, sections: Mapping[str, Mapping[str, Raw]]) -> Findings:
    parts, _ = analyse(
        {
            name: [
                _of_method(key, method["label"], method["seeds"]) for key, method in methods.items()
            ]
            for name, methods in sections.items()
        }
    )
    about = About(
        command=raw["command"],
        finished=raw["finished"],
        seconds=raw["seconds"],
        machine=raw["machine"],
        commit=raw["commit"],
        versions={"mixwright": raw["mixwright"], "torch": raw["torch"]},
        data=Dataset(
            name=raw["data"],
            note=raw["data_note"],
            classes=(),
            train=0,
            test=0,
            shape=(3, *raw["size"]),
        ),
        details={"model": raw["model"]},
        skipped=tuple(raw["skipped"]),
    )
    return Findings(kind="theory", about=about, parts=parts)


def _scenarios(raw: Raw) -> Findings:
    """The record that object-size scenarios wrote by themselves."""
    summaries: Mapping[str, Sequence[Raw]] = raw["summaries"]
    renamed = {
        key: [
            {"dataset_kind" if name == "rung" else name: value for name, value in run.items()}
            for run in runs
        ]
        for key, runs in summaries.items()
    }
    parts, _ = analyse({"scenarios": [_of_method(key, key, runs) for key, runs in renamed.items()]})
    about = About(
        command="",
        finished="",
        seconds=float(raw.get("cpu_seconds", 0.0)),
        machine={},
        commit=None,
        versions={},
        data=Dataset(name="", note="", classes=(), train=0, test=0, shape=(3, 0, 0)),
    )
    return Findings(kind="theory", about=about, parts=parts)


def _of_method(key: str, label: str, summaries: Sequence[Raw]) -> Group:
    return Group(
        key=key,
        name=label,
        label=label,
        method=key,
        baseline=key == "none",
        seeds=tuple(range(len(summaries))),
        summaries=tuple(dict(summary) for summary in summaries),
    )
