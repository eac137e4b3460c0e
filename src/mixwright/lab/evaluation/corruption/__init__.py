"""Accuracy on corrupted images, after CIFAR-10-C, Tiny-ImageNet-C and ImageNet-C."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixwright.lab.evaluation.corruption.constants import BENCHMARK_TYPES as BENCHMARK_TYPES
    from mixwright.lab.evaluation.corruption.constants import FAMILIES as FAMILIES
    from mixwright.lab.evaluation.corruption.constants import SEVERITIES as SEVERITIES
    from mixwright.lab.evaluation.corruption.constants import TYPES as TYPES
    from mixwright.lab.evaluation.corruption.constants import constants_for as constants_for
    from mixwright.lab.evaluation.corruption.generate import corrupt as corrupt
    from mixwright.lab.evaluation.corruption.official import OfficialFiles as OfficialFiles
    from mixwright.lab.evaluation.corruption.official import open_official as open_official
    from mixwright.lab.evaluation.corruption.part import Corruption as Corruption
    from mixwright.lab.evaluation.corruption.scores import corruption_errors as corruption_errors
    from mixwright.lab.evaluation.corruption.scores import family_accuracy as family_accuracy
    from mixwright.lab.evaluation.corruption.scores import mean_accuracy as mean_accuracy
    from mixwright.lab.evaluation.corruption.scores import (
        mean_corruption_error as mean_corruption_error,
    )
    from mixwright.lab.evaluation.corruption.scores import (
        relative_corruption_errors as relative_corruption_errors,
    )

_HOMES = {
    "BENCHMARK_TYPES": "constants",
    "Corruption": "part",
    "FAMILIES": "constants",
    "OfficialFiles": "official",
    "SEVERITIES": "constants",
    "TYPES": "constants",
    "constants_for": "constants",
    "corrupt": "generate",
    "corruption_errors": "scores",
    "family_accuracy": "scores",
    "mean_accuracy": "scores",
    "mean_corruption_error": "scores",
    "open_official": "official",
    "relative_corruption_errors": "scores",
}

__all__ = [
    "BENCHMARK_TYPES",
    "FAMILIES",
    "SEVERITIES",
    "TYPES",
    "Corruption",
    "OfficialFiles",
    "constants_for",
    "corrupt",
    "corruption_errors",
    "family_accuracy",
    "mean_accuracy",
    "mean_corruption_error",
    "open_official",
    "relative_corruption_errors",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that reports can take the lists without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
