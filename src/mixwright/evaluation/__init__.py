"""What a trained classifier is worth: accuracy, calibration, and the one interval over runs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixwright.evaluation.accuracy import logits_of as logits_of
    from mixwright.evaluation.accuracy import topk_accuracy as topk_accuracy
    from mixwright.evaluation.calibration import Reliability as Reliability
    from mixwright.evaluation.calibration import brier as brier
    from mixwright.evaluation.calibration import ece as ece
    from mixwright.evaluation.calibration import nll as nll
    from mixwright.evaluation.calibration import reliability as reliability
    from mixwright.evaluation.scores import Scores as Scores
    from mixwright.evaluation.scores import evaluate as evaluate
    from mixwright.evaluation.statistics import Interval as Interval
    from mixwright.evaluation.statistics import t_interval as t_interval

_HOMES = {
    "Interval": "statistics",
    "Reliability": "calibration",
    "Scores": "scores",
    "brier": "calibration",
    "ece": "calibration",
    "evaluate": "scores",
    "logits_of": "accuracy",
    "nll": "calibration",
    "reliability": "calibration",
    "t_interval": "statistics",
    "topk_accuracy": "accuracy",
}

__all__ = [
    "Interval",
    "Reliability",
    "Scores",
    "brier",
    "ece",
    "evaluate",
    "logits_of",
    "nll",
    "reliability",
    "t_interval",
    "topk_accuracy",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that reports can take the interval without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
