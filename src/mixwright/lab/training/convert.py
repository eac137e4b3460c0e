"""Run folders of format 1, converted to format 2 as they are read.

Format 1, of mixwright up to commit c5ec9cc, names the three sets of weights in fields of their
own (``raw`` or ``model``, ``ema``, ``teacher``), calls warnings ``alarms`` and their text
``said``, and diagnostics ``seen``. A file itself changes only when its run writes it again.
Recipes are the same in both: fields that came later have their defaults.

Checkpoints of either format may be older than the separate heads for mixed images. In ``last.pt``
of a learned mixer these are found in the objective's state, except their average.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mixwright.files import parse_json
from mixwright.lab.training.heads import heads_by_column

FORMAT = 2


def convert_result(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``result.json`` in format 2; a record of format 2 as it is.

    Example:
        >>> convert_result({"raw": {"top1": 0.5}, "ema": {"top1": 0.6}, "teacher": None})
        {'scores': {'raw': {'top1': 0.5}, 'ema': {'top1': 0.6}}, 'warnings': [], 'format': 2}
    """
    there = record.get("format", 1)
    if there == FORMAT:
        return dict(record)
    if there != 1:
        raise ValueError(
            f"result.json has the format {there!r}; this mixwright reads 1 and {FORMAT}. Read it "
            "with the mixwright that wrote it, or a newer one."
        )
    fields = dict(record)
    columns = {name: fields.pop(name, None) for name in ("raw", "ema", "teacher")}
    alarms = fields.pop("alarms", ())  # the earliest records have none
    if "train" in fields:
        fields["train"] = _renamed(fields["train"], {"seen": "diagnostics"})
    return {
        **fields,
        "scores": {name: scores for name, scores in columns.items() if scores is not None},
        "warnings": [_renamed(alarm, {"said": "message"}) for alarm in alarms],
        "format": FORMAT,
    }


def convert_epoch(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of ``metrics.jsonl`` in format 2.

    Example:
        >>> convert_epoch({"epoch": 1, "train": {"seen": {}}, "alarms": ["flat"]})
        {'epoch': 1, 'train': {'diagnostics': {}}, 'warnings': ['flat']}
    """
    line = _renamed(record, {"alarms": "warnings"})
    line.setdefault("warnings", [])
    if "train" in line:
        line["train"] = _renamed(line["train"], {"seen": "diagnostics"})
    return line


def convert_checkpoint(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of ``last.pt`` or ``best.pt`` in format 2; any other state as it is."""
    new = dict(state)
    if "records" in new:  # older checkpoints kept the lines of all epochs too
        new["records"] = [convert_epoch(record) for record in new["records"]]
        new["record"] = new["records"][-1]
    if "recipe" not in new or "weights" in new or "model" not in new:
        return _with_heads(new)
    weights = {"raw": new.pop("model")}
    if "ema" in new:
        ema = new.pop("ema")
        weights["ema"], new["ema_updates"] = ema["model"], ema["t"]
    teacher = new.pop("teacher", None)
    if teacher is not None:
        weights["teacher"] = teacher
    new["weights"] = weights
    return _with_heads(new)


def _with_heads(state: dict[str, Any]) -> dict[str, Any]:
    """Add the heads of an objective with a teacher and a head for mixed images; see ``heads``."""
    objective: Mapping[str, Any] = state.get("objective", {})
    names = {"raw": "head", "teacher": "teacher.head"}
    if "heads" in state or not all(f"{name}.weight" in objective for name in names.values()):
        return state
    mixed = {
        weights: {part: objective[f"{name}.{part}"] for part in ("weight", "bias")}
        for weights, name in names.items()
    }
    shape = mixed["raw"]["weight"].shape
    fitting = [name for name, value in state["weights"]["raw"].items() if value.shape == shape]
    recipe = parse_json(state["recipe"])
    own = recipe["mix_off_epochs"] > 0 or not re.search(r"\bclean=false\b", recipe["method"])
    columns = heads_by_column(state["weights"], mixed, own_learns=own)
    if not own:  # the average of its own last layer has learned nothing, that of the head is lost
        del columns["ema"]
    layer = fitting[-1].removesuffix(".weight")  # the last Linear is what makes logits
    return {**state, "heads": {"layer": layer, "columns": columns, "mixed": mixed}}


def _renamed(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in record.items()}
