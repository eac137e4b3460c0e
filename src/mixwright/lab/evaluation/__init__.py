"""What a trained classifier is worth: evaluations and the functions below them; no inference.

Each evaluation is a frozen dataclass with ``measure(subject)``; see ``subject``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixwright.lab.evaluation.accuracy import Accuracy as Accuracy
    from mixwright.lab.evaluation.attack.attack import Attack as Attack
    from mixwright.lab.evaluation.attack.fgsm import fgsm as fgsm
    from mixwright.lab.evaluation.attack.pgd import pgd as pgd
    from mixwright.lab.evaluation.calibration.calibration import Calibration as Calibration
    from mixwright.lab.evaluation.calibration.reliability import Reliability as Reliability
    from mixwright.lab.evaluation.calibration.reliability import brier as brier
    from mixwright.lab.evaluation.calibration.reliability import ece as ece
    from mixwright.lab.evaluation.calibration.reliability import nll as nll
    from mixwright.lab.evaluation.calibration.reliability import reliability as reliability
    from mixwright.lab.evaluation.calibration.temperature import fit_temperature as fit_temperature
    from mixwright.lab.evaluation.cam import Cam as Cam
    from mixwright.lab.evaluation.cam import grad_cam as grad_cam
    from mixwright.lab.evaluation.corruption.corruption import Corruption as Corruption
    from mixwright.lab.evaluation.corruption.generate import corrupt as corrupt
    from mixwright.lab.evaluation.gap import Gap as Gap
    from mixwright.lab.evaluation.gradients.gradients import Gradients as Gradients
    from mixwright.lab.evaluation.mixtures.diversity import Diversity as Diversity
    from mixwright.lab.evaluation.mixtures.fidelity import Fidelity as Fidelity
    from mixwright.lab.evaluation.occlusion import Occlusion as Occlusion
    from mixwright.lab.evaluation.occlusion import occlude as occlude
    from mixwright.lab.evaluation.predictions import logits_of as logits_of
    from mixwright.lab.evaluation.predictions import topk_accuracy as topk_accuracy
    from mixwright.lab.evaluation.probe import Probe as Probe
    from mixwright.lab.evaluation.scores import Scores as Scores
    from mixwright.lab.evaluation.scores import evaluate as evaluate
    from mixwright.lab.evaluation.subject import Evaluation as Evaluation
    from mixwright.lab.evaluation.subject import Measurement as Measurement
    from mixwright.lab.evaluation.subject import Subject as Subject

_NAMES = {
    "accuracy": "Accuracy",
    "attack.attack": "Attack",
    "attack.fgsm": "fgsm",
    "attack.pgd": "pgd",
    "calibration.calibration": "Calibration",
    "calibration.reliability": "Reliability brier ece nll reliability",
    "calibration.temperature": "fit_temperature",
    "cam": "Cam grad_cam",
    "corruption.corruption": "Corruption",
    "corruption.generate": "corrupt",
    "gap": "Gap",
    "gradients.gradients": "Gradients",
    "mixtures.diversity": "Diversity",
    "mixtures.fidelity": "Fidelity",
    "occlusion": "Occlusion occlude",
    "predictions": "logits_of topk_accuracy",
    "probe": "Probe",
    "scores": "Scores evaluate",
    "subject": "Evaluation Measurement Subject",
}
"""Module -> the public names that it holds."""

_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that the command line can parse without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
