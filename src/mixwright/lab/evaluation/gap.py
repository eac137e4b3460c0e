"""The generalisation gap: how much better a model is on the images it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mixwright.arguments import check_settings, check_whole
from mixwright.lab.evaluation.calibration.reliability import nll
from mixwright.lab.evaluation.predictions import Batches, rank
from mixwright.lab.evaluation.subject import Measurement, Subject
from mixwright.sampling import Stream, stream

_NOTE = "clean training images"


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Accuracy and likelihood on clean training images against those on test images.

    Training images are shown as they are, not cropped, flipped or mixed, to the model in
    evaluation mode: accuracy on mixed batches says nothing of what was memorised.

    Args:
        images: training images that are shown, drawn by the seed; 0 for all.
    """

    images: int = 10_000

    name: ClassVar[str] = "gap"
    about: ClassVar[str] = "accuracy and NLL on clean training images against test images"
    pictures: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_settings(self)
        check_whole("Gap", "images", self.images, low=0)

    def measure(self, subject: Subject) -> Measurement:
        """See ``Evaluation.measure``."""
        test_logits, test_labels = subject.clean_logits()
        key = f"train.{self.images}.{subject.seed}"
        logits, labels = subject.logits(key, self._train(subject), _NOTE)
        correct = rank(logits, labels) == 0
        train, test = (
            {"top1": float(right.double().mean()), "nll": nll(given, wanted), "images": len(wanted)}
            for right, given, wanted in (
                (correct, logits, labels),
                (rank(test_logits, test_labels) == 0, test_logits, test_labels),
            )
        )
        summary: dict[str, Any] = {
            "train": train,
            "test": test,
            "top1_gap": train["top1"] - test["top1"],
            "nll_gap": test["nll"] - train["nll"],
            "of": len(subject.data.train),
            "seed": subject.seed,
        }
        return Measurement(summary=summary, arrays={"correct": correct, "ids": self._rows(subject)})

    def _rows(self, subject: Subject) -> Tensor:
        """Which training images, in rising order."""
        count = len(subject.data.train)
        if not self.images or self.images >= count:
            return torch.arange(count)
        chosen = torch.randperm(count, generator=stream(subject.seed, Stream.GAP))
        return chosen[: self.images].sort().values

    def _train(self, subject: Subject) -> Batches:
        rows, done = self._rows(subject), 0
        for images, labels in subject.shown(subject.data.train, rows):
            subject.progress(done / len(rows), _NOTE)
            yield images, labels
            done += len(labels)
