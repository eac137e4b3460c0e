"""What a trained classifier is worth: evaluations, the functions below them, statistics.

Each evaluation is a frozen dataclass with ``measure(subject)``; see ``subject``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixwright.lab.evaluation.accuracy import logits_of as logits_of
    from mixwright.lab.evaluation.accuracy import topk_accuracy as topk_accuracy
    from mixwright.lab.evaluation.accuracy_part import Accuracy as Accuracy
    from mixwright.lab.evaluation.attack.fgsm import fgsm as fgsm
    from mixwright.lab.evaluation.attack.part import Attack as Attack
    from mixwright.lab.evaluation.attack.pgd import pgd as pgd
    from mixwright.lab.evaluation.calibration.part import Calibration as Calibration
    from mixwright.lab.evaluation.calibration.reliability import Reliability as Reliability
    from mixwright.lab.evaluation.calibration.reliability import brier as brier
    from mixwright.lab.evaluation.calibration.reliability import ece as ece
    from mixwright.lab.evaluation.calibration.reliability import nll as nll
    from mixwright.lab.evaluation.calibration.reliability import reliability as reliability
    from mixwright.lab.evaluation.calibration.temperature import fit_temperature as fit_temperature
    from mixwright.lab.evaluation.cam import Cam as Cam
    from mixwright.lab.evaluation.cam import grad_cam as grad_cam
    from mixwright.lab.evaluation.corruption import corrupt as corrupt
    from mixwright.lab.evaluation.corruption.part import Corruption as Corruption
    from mixwright.lab.evaluation.gap import Gap as Gap
    from mixwright.lab.evaluation.gradients.part import Gradients as Gradients
    from mixwright.lab.evaluation.mixtures.diversity_part import Diversity as Diversity
    from mixwright.lab.evaluation.mixtures.fidelity_part import Fidelity as Fidelity
    from mixwright.lab.evaluation.occlusion import Occlusion as Occlusion
    from mixwright.lab.evaluation.occlusion import occlude as occlude
    from mixwright.lab.evaluation.probe import Probe as Probe
    from mixwright.lab.evaluation.scores import Scores as Scores
    from mixwright.lab.evaluation.scores import evaluate as evaluate
    from mixwright.lab.evaluation.subject import Found as Found
    from mixwright.lab.evaluation.subject import Subject as Subject

_HOMES = {
    "Accuracy": "accuracy_part",
    "Attack": "attack.part",
    "Calibration": "calibration.part",
    "Cam": "cam",
    "Corruption": "corruption.part",
    "Diversity": "mixtures.diversity_part",
    "Fidelity": "mixtures.fidelity_part",
    "Found": "subject",
    "Gap": "gap",
    "Gradients": "gradients.part",
    "Occlusion": "occlusion",
    "Probe": "probe",
    "Reliability": "calibration.reliability",
    "Scores": "scores",
    "Subject": "subject",
    "brier": "calibration.reliability",
    "corrupt": "corruption",
    "ece": "calibration.reliability",
    "evaluate": "scores",
    "fgsm": "attack.fgsm",
    "fit_temperature": "calibration.temperature",
    "grad_cam": "cam",
    "logits_of": "accuracy",
    "nll": "calibration.reliability",
    "occlude": "occlusion",
    "pgd": "attack.pgd",
    "reliability": "calibration.reliability",
    "topk_accuracy": "accuracy",
}

__all__ = [
    "Accuracy",
    "Attack",
    "Calibration",
    "Cam",
    "Corruption",
    "Diversity",
    "Fidelity",
    "Found",
    "Gap",
    "Gradients",
    "Occlusion",
    "Probe",
    "Reliability",
    "Scores",
    "Subject",
    "brier",
    "corrupt",
    "ece",
    "evaluate",
    "fgsm",
    "fit_temperature",
    "grad_cam",
    "logits_of",
    "nll",
    "occlude",
    "pgd",
    "reliability",
    "topk_accuracy",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that reports can take the interval without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
