"""Measures over epochs: mean and range over the runs of a method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixwright.lab.analysis.findings import WEIGHTS


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One measure over the epochs in which it was taken: mean, lowest and highest run."""

    epochs: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The curves of one method.

    Attributes:
        train: weighted accuracy on the mixed training batches.
        test: top-1 on test images by set of weights.
        diagnostics: what else its objective showed, by name; see ``Losses.diagnostics``.
    """

    train: Curve
    test: dict[str, Curve]
    diagnostics: dict[str, Curve] = field(default_factory=dict[str, Curve])


@dataclass(frozen=True, kw_only=True)
class AllCurves:
    """The curves of a comparison.

    Attributes:
        methods: by METHOD, in the order of the comparison.
        floor: where the axis of accuracies begins: below the ends, above the chaos of the first
            epochs.
    """

    methods: dict[str, Curves]
    floor: float


def all_curves(runs: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]) -> AllCurves:
    """Return the curves of all methods from the epochs of each run; see ``read_metrics``."""
    methods = {text: curves(records) for text, records in runs.items()}
    ends = [
        curve.mean[-1]
        for method in methods.values()
        for curve in (method.train, *method.test.values())
        if curve.mean
    ]
    return AllCurves(methods=methods, floor=max(0.0, min(ends, default=0.0) - 0.35))


def curves(runs: Sequence[Sequence[Mapping[str, Any]]]) -> Curves:
    """Return the curves of a method over the epochs of its runs; empty where not measured."""
    diagnostics = [line["train"].get("diagnostics", {}) for run in runs for line in run]
    names = dict.fromkeys(name for names in diagnostics for name in names)
    return Curves(
        train=_curve(runs, ("train", "accuracy")),
        test={weights: _curve(runs, ("test", weights, "top1")) for weights in WEIGHTS},
        diagnostics={name: _curve(runs, ("train", "diagnostics", name)) for name in names},
    )


def _curve(runs: Sequence[Sequence[Mapping[str, Any]]], path: tuple[str, ...]) -> Curve:
    values: dict[int, list[float]] = {}
    for run in runs:
        for line in run:
            value: Any = line
            for name in path:
                value = value.get(name) if isinstance(value, Mapping) else None
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
