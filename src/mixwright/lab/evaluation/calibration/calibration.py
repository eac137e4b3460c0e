"""Calibration on clean test images: errors, proper scores, and what one temperature changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mixwright.arguments import check_number, check_settings, check_whole
from mixwright.lab.evaluation.calibration.reliability import (
    MOST_BINS,
    Reliability,
    adaptive_ece,
    brier,
    classwise_ece,
    ece,
    entropy,
    nll,
    noise_floor,
    reliability,
    surprise,
)
from mixwright.lab.evaluation.calibration.temperature import fit_temperature
from mixwright.lab.evaluation.predictions import rank
from mixwright.lab.evaluation.subject import Measurement, Subject
from mixwright.sampling import Stream, stream

PUBLISHED_BINS = 10
"""Of the error in the tables of AdAutoMix, AutoMix and OpenMixup, see ``ece_sorted``."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Whether the model's confidence can be believed.

    Args:
        bins: numbers of bins of equal width, at least 1 each; the first is the headline, and that
            of the adaptive and the classwise error.
        share: of the test images that the temperature is fitted on, drawn by the seed, above 0 and
            at most 0.99; it is judged on the others.
        draws: of outcomes for the noise floor, at least 1.
        resamples: of the images, for the intervals of the errors in the analysis, at least 2.
    """

    bins: tuple[int, ...] = (15, 10)
    share: float = 0.5
    draws: int = 200
    resamples: int = 1000

    name: ClassVar[str] = "calibration"
    about: ClassVar[str] = "calibration errors, NLL, Brier score, and temperature scaling"
    pictures: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.bins:
            raise ValueError("Calibration: bins is empty; expected one number of bins or more.")
        for bins in self.bins:
            check_whole("Calibration", "bins", bins, low=1, high=MOST_BINS)
        check_number("Calibration", "share", self.share, low=0.0, high=0.99, open_low=True)
        check_whole("Calibration", "draws", self.draws, low=1)
        check_whole("Calibration", "resamples", self.resamples, low=2)

    def measure(self, subject: Subject) -> Measurement:
        """See ``Evaluation.measure``."""
        logits, labels = subject.clean_logits()
        confidence = logits.double().softmax(dim=1).amax(dim=1)
        correct = rank(logits, labels) == 0
        head, seed = self.bins[0], subject.seed
        summary: dict[str, Any] = {
            "images": len(labels),
            "headline_bins": head,
            "bins": {
                str(bins): self._binned(confidence, correct, bins=bins, seed=seed)
                for bins in self.bins
            },
            "draws": self.draws,
            "resamples": self.resamples,
            "ece_sorted": reliability(confidence, correct, bins=PUBLISHED_BINS).ece_sorted,
            "adaptive_ece": adaptive_ece(logits, labels, bins=head),
            "classwise_ece": classwise_ece(logits, labels, bins=head),
            "nll": nll(logits, labels),
            "brier": brier(logits, labels),
            "entropy": float(entropy(logits).mean()),
            "confidence": float(confidence.mean()),
            "accuracy": float(correct.double().mean()),
            "overconfidence": float((confidence - correct.double()).mean()),
            "temperature": self._temperature(logits, labels, seed=seed),
        }
        arrays = {
            "confidence": confidence,
            "correct": correct,
            "nll": surprise(logits, labels),
            "labels": labels,
            "ids": subject.ids,
        }
        return Measurement(summary=summary, arrays=arrays)

    def _binned(
        self, confidence: Tensor, correct: Tensor, *, bins: int, seed: int
    ) -> dict[str, Any]:
        """Errors, table and noise floor of one number of bins."""
        floor = noise_floor(
            confidence,
            generator=stream(seed, Stream.CALIBRATION_FLOOR, bins),
            bins=bins,
            draws=self.draws,
        )
        return {**_errors(reliability(confidence, correct, bins=bins)), "floor": floor}

    def _temperature(self, logits: Tensor, labels: Tensor, *, seed: int) -> dict[str, Any] | None:
        """Fitted on some of the images, judged on the others; None where there are too few."""
        order = torch.randperm(len(labels), generator=stream(seed, Stream.CALIBRATION_HALVES))
        fitted, judged = order.tensor_split([round(self.share * len(labels))])
        if not len(fitted) or not len(judged):
            return None
        value = fit_temperature(logits[fitted], labels[fitted])
        plain, wanted, head = logits[judged].double(), labels[judged], self.bins[0]
        return {
            "value": value,
            "share": self.share,
            "seed": seed,
            "fitted_on": len(fitted),
            "judged_on": len(judged),
            "ece_before": ece(plain, wanted, bins=head),
            "ece_after": ece(plain / value, wanted, bins=head),
            "nll_before": nll(plain, wanted),
            "nll_after": nll(plain / value, wanted),
        }


def _errors(bins: Reliability) -> dict[str, Any]:
    """The errors of one choice of bins, and its table."""
    edges = bins.edges.tolist()
    rows = zip(bins.count.tolist(), bins.confidence.tolist(), bins.correct.tolist(), strict=True)
    return {
        "ece": bins.ece,
        "mce": bins.mce,
        "rms": bins.rms,
        "table": [
            {
                "low": edges[place],
                "high": edges[place + 1],
                "count": int(count),
                "confidence": confidence / count if count else None,
                "accuracy": correct / count if count else None,
            }
            for place, (count, confidence, correct) in enumerate(rows)
        ],
    }
