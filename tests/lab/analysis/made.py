"""Groups with made-up summaries and arrays, for the analysis and for pages of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lab.reports.pages import made_group
from mixwright.lab.analysis.findings import Group

IMAGES = 400
BASE = (0.60, 0.62, 0.61)
TYPES = ["snow", "frost", "fog", "contrast", "pixelate", "spatter"]


def right(share: float, seed: int, *shape: int) -> torch.Tensor:
    """As many of every row right as asked for, exactly."""
    order = torch.rand(*shape, IMAGES, generator=torch.Generator().manual_seed(seed)).argsort(-1)
    return order.argsort(-1) < round(share * IMAGES)


def accurate(method: str, weights: str, scores: Sequence[float], *, arrays: bool = True) -> Group:
    """A group of the part ``accuracy`` with one run a score."""
    summaries = [
        {
            "images": IMAGES, "classes": 6, "class_names": list("abcdef"), "top1": score,
            "top5": 0.9, "macro": score - 0.01, "per_class": [0.9, 0.8, None, 0.3, 0.7, 0.6],
            "protocol": "median10",
            "protocols": {"raw": {"median10": {"top1": score - 0.02, "top5": None, "epochs": [8],
                                               "note": "the run has 8 epochs"}}},
        }
        for score in scores
    ]  # fmt: skip
    kept = [{"correct": right(score, seed)} for seed, score in enumerate(scores)]
    return made_group(method, weights, summaries, kept if arrays else (), baseline=method == "none")


def gained(*gains: float) -> list[float]:
    return [base + gain for base, gain in zip(BASE, gains, strict=False)]


def six_groups() -> list[Group]:
    """Three kinds of weights: MixUp's gain is noise, CutMix's is none for the EMA alone."""
    return [
        accurate("none", "raw", BASE),
        accurate("mixup", "raw", gained(0.01, -0.02, 0.02)),
        accurate("cutmix", "raw", gained(0.100, 0.105, 0.095)),
        accurate("none", "ema", gained(0.05, 0.05, 0.05)),
        accurate("cutmix", "ema", gained(0.02, 0.025, 0.02)),
        accurate("cutmix", "teacher", gained(0.15, 0.14, 0.15)),
    ]


def corrupted(method: str, shares: Sequence[float], seeds: int = 2) -> Group:
    """A group of the part ``corruption``: three severities, each type with its accuracy."""
    summaries: list[dict[str, Any]] = []
    arrays: list[dict[str, torch.Tensor]] = []
    for seed in range(seeds):
        correct = torch.stack(
            # Severities of an image go together: three of them say no more than one.
            [
                right(share, 1000 * len(method) + 10 * seed + place).expand(3, -1)
                for place, share in enumerate(shares)
            ]
        )
        by_type = dict(zip(TYPES, correct.double().mean(dim=(1, 2)).tolist(), strict=True))
        summaries.append({"types": TYPES, "severities": [1, 3, 5], "by_type": by_type})
        arrays.append({"correct": correct.to(torch.uint8)})
    return made_group(method, "raw", summaries, arrays, baseline=method == "none")


def calibrated(method: str, errors: Sequence[float], *, arrays: bool = True) -> Group:
    """A group of the part ``calibration``: two bins filled, the upper one too sure by twice."""
    summaries: list[dict[str, Any]] = []
    for error in errors:
        table = [
            {"low": b / 15, "high": (b + 1) / 15, "count": 0, "confidence": None, "accuracy": None}
            for b in range(15)
        ]
        table[7] |= {"count": 10, "confidence": 0.5, "accuracy": 0.5}
        table[14] |= {"count": 10, "confidence": 0.96, "accuracy": 0.96 - 2 * error}
        one = {"ece": error, "mce": 2 * error, "rms": 1.4 * error, "table": table, "floor": 0.011}
        summaries.append(
            {"images": 20, "headline_bins": 15, "bins": {"15": one, "10": one}, "resamples": 1000,
             "ece_sorted": error / 2, "adaptive_ece": error + 0.001, "classwise_ece": 0.004,
             "nll": 1.2345, "brier": 0.4, "entropy": 0.6,
             "confidence": 0.8, "accuracy": 0.8 - error, "overconfidence": error,
             "temperature": {"value": 1.25, "share": 0.5, "seed": 3, "fitted_on": 8,
                             "judged_on": 12, "ece_before": error, "ece_after": 0.01,
                             "nll_before": 1.2, "nll_after": 1.1}}
        )  # fmt: skip
    # Every image alike, so that every resample has the same error: the interval has no width.
    alike = {"confidence": torch.full((20,), 0.96), "correct": torch.ones(20, dtype=torch.bool)}
    return made_group(
        method, "raw", summaries, [alike] * len(errors) if arrays else (),
        baseline=method == "none",
    )  # fmt: skip
