"""What a table of accuracies under corruption comes to, by each convention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from statistics import fmean

from mixwright.lab.evaluation.corruption.constants import BENCHMARK_TYPES, FAMILIES, SEVERITIES

Accuracies = Mapping[str, Sequence[float]]
"""Accuracy by type, one number a severity, as fractions."""

ALEXNET_ERROR: dict[str, float] = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}
"""AlexNet's error on ImageNet-C, mean over severities; by name, since orders of types differ."""

ALEXNET_CLEAN_ERROR = 0.43478
"""AlexNet's error on the clean validation images of ImageNet."""


def mean_accuracy(accuracy: Accuracies, types: Sequence[str] | None = None) -> float:
    """Return the mean over types (None for all) and severities; those of 15 and 19 types differ.

    Example:
        >>> mean_accuracy({"fog": [0.9, 0.7], "snow": [0.6, 0.4]})
        0.65
    """
    names = tuple(accuracy) if types is None else tuple(types)
    missing = [name for name in names if name not in accuracy]
    if missing or not names:
        raise ValueError(
            f"mean_accuracy: {', '.join(missing) or 'nothing'} asked for, but the table has "
            f"{', '.join(accuracy) or 'no types'}; expected types that were measured."
        )
    return fsum(fmean(accuracy[name]) for name in names) / len(names)


def family_accuracy(accuracy: Accuracies) -> dict[str, float]:
    """Mean accuracy of each family of which all types were measured."""
    return {
        family: mean_accuracy(accuracy, names)
        for family, names in FAMILIES.items()
        if all(name in accuracy for name in names)
    }


def mean_corruption_error(accuracy: Accuracies, types: Sequence[str] | None = None) -> float:
    """The mCE of CIFAR-10-C and its like: the mean error, normalised by nothing."""
    return 1 - mean_accuracy(accuracy, types)


def corruption_errors(accuracy: Accuracies) -> dict[str, float]:
    """Return the CE of ImageNet-C by benchmark type: the error in AlexNet's; the mean is mCE.

    Example:
        >>> alexnet = {name: [1 - error] * 5 for name, error in ALEXNET_ERROR.items()}
        >>> {round(error, 12) for error in corruption_errors(alexnet).values()}
        {1.0}
    """
    _need_whole(accuracy)
    return {name: (1 - fmean(accuracy[name])) / ALEXNET_ERROR[name] for name in BENCHMARK_TYPES}


def relative_corruption_errors(accuracy: Accuracies, *, clean: float) -> dict[str, float]:
    """Return the CE by type of the growth over ``clean`` accuracy, in AlexNet's growth."""
    _need_whole(accuracy)
    return {
        name: (clean - fmean(accuracy[name])) / (ALEXNET_ERROR[name] - ALEXNET_CLEAN_ERROR)
        for name in BENCHMARK_TYPES
    }


def _need_whole(accuracy: Accuracies) -> None:
    short = [name for name in BENCHMARK_TYPES if len(accuracy.get(name, ())) != len(SEVERITIES)]
    if short:
        raise ValueError(
            f"corruption errors: {', '.join(short)} not measured at all five severities; AlexNet's "
            "errors are means over five, of the 15 benchmark types. Measure those."
        )
