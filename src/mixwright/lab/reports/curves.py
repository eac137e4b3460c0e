"""Learning curves of a method: its runs' ``metrics.jsonl``, one value an epoch and seed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixwright.lab.analysis.comparison import MethodRecord
from mixwright.lab.training.folder import read_metrics


@dataclass(frozen=True)
class Curve:
    """One measure over epochs.

    Args:
        epochs: where it was measured.
        mean: over the runs, by epoch.
        low: the lowest run.
        high: the highest run.
    """

    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Curves:
    """The curves of one method.

    Args:
        train: weighted accuracy on the mixed training batches.
        raw: top-1 of the trained weights on test images.
        ema: top-1 of the averaged weights.
        teacher: top-1 of the method's own teacher; empty where it has none.
        seen: what else its objective showed, by name; see ``Losses.diagnostics``.
    """

    train: Curve
    raw: Curve
    ema: Curve
    teacher: Curve
    seen: dict[str, Curve] = field(default_factory=dict[str, Curve])


def read_curves(method: MethodRecord, folder: Path) -> Curves:
    """Read the curves of a method's runs.

    Args:
        method: its record.
        folder: of the comparison, which run folders are relative to.

    Returns:
        curves; empty ones where nothing was measured.
    """
    runs = [read_metrics(folder / run.folder) for run in method.runs]
    return Curves(
        train=_curve(runs, ("train", "accuracy")),
        raw=_curve(runs, ("test", "raw", "top1")),
        ema=_curve(runs, ("test", "ema", "top1")),
        teacher=_curve(runs, ("test", "teacher", "top1")),
        seen={name: _curve(runs, ("train", "diagnostics", name)) for name in _names(runs)},
    )


def _curve(runs: list[list[dict[str, Any]]], path: tuple[str, ...]) -> Curve:
    values: dict[int, list[float]] = {}
    for run in runs:
        for line in run:
            value = _find(line, path)
            if value is not None and math.isfinite(value):
                values.setdefault(int(line["epoch"]), []).append(value)
    epochs = tuple(sorted(values))
    columns = [values[epoch] for epoch in epochs]
    return Curve(
        epochs=epochs,
        mean=tuple(math.fsum(column) / len(column) for column in columns),
        low=tuple(min(column) for column in columns),
        high=tuple(max(column) for column in columns),
    )


def _names(runs: list[list[dict[str, Any]]]) -> list[str]:
    """Names of what was seen, in the order of the records."""
    shown = [line["train"].get("diagnostics", {}) for run in runs for line in run]
    return list(dict.fromkeys(name for names in shown for name in names))


def _find(line: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = line
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
