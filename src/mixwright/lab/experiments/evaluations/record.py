"""The record of an evaluation: everything that was found, as one JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from mixwright.files import write_json
from mixwright.lab.evaluation.subject import Evaluation
from mixwright.lab.experiments.evaluations.measuring import Measured, Setting
from mixwright.lab.training.machine import commit, machine, version

FORMAT = 1


def evaluation_record(
    measured: Sequence[Measured], parts: Sequence[Evaluation], setting: Setting, *, command: str
) -> dict[str, Any]:
    """Gather findings with all that decides them.

    Args:
        measured: all findings.
        parts: what was asked for.
        setting: data, seed and device.
        command: that made it.

    Returns:
        plain values. ``models`` has one entry for each set of weights, its findings by part. Of a
        single run ``raw``, ``ema`` and ``teacher`` stand at the top too, with its ``recipe``.
    """
    models: dict[str, dict[str, Any]] = {}
    for one in measured:
        candidate = one.candidate
        entry = models.setdefault(
            candidate.slug,
            {
                "name": candidate.name,
                "group": candidate.group,
                "label": candidate.label,
                "seed": candidate.seed,
                "weights": candidate.weights,
                "folder": str(candidate.folder) if candidate.folder else None,
                "recipe": asdict(candidate.recipe) if candidate.recipe else None,
                "parts": {},
                "skipped": {},
            },
        )
        if one.found is None:
            entry["skipped"][one.part.name] = one.reason
        else:
            entry["parts"][one.part.name] = one.found.summary
    data = setting.data
    record: dict[str, Any] = {
        "format": FORMAT,
        "command": command,
        "data": data.name,
        "note": data.note,
        "test_images": len(setting.ids),
        "shape": list(data.test.shape),
        "classes": list(data.classes),
        "seed": setting.seed,
        "parts": {part.name: asdict(part) for part in parts},  # pyright: ignore[reportArgumentType]
        "machine": machine(setting.device),
        "commit": commit(),
        "versions": {"mixwright": version(), "torch": torch.__version__},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": list(models.values()),
    }
    return record | _single(list(models.values()))


def _single(models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Scores of the columns of one run."""
    folders = {model["folder"] for model in models}
    if len(folders) != 1 or None in folders:
        return {}
    found: dict[str, Any] = {"checkpoint": models[0]["folder"], "recipe": models[0]["recipe"]}
    for model in models:
        accuracy, calibration = (model["parts"].get(n) for n in ("accuracy", "calibration"))
        scores: dict[str, Any] = {}
        if accuracy:
            scores |= {name: accuracy[name] for name in ("top1", "top5")}
            scores["count"] = accuracy["images"]
        if calibration:
            head = calibration["bins"][str(calibration["headline_bins"])]
            scores |= {"nll": calibration["nll"], "ece": head["ece"]}
        if scores:
            found[model["weights"]] = scores
    return found


def write_evaluation(folder: Path, record: dict[str, Any]) -> Path:
    """Write ``evaluation.json``, whole or not at all; NaN becomes null.

    Returns:
        the path of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "evaluation.json"
    write_json(file, record)
    return file
