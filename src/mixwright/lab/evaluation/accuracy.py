"""Accuracy on clean test images: overall, per class, and by the protocols over epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mixwright.arguments import check_settings
from mixwright.lab.evaluation.predictions import rank
from mixwright.lab.evaluation.protocol import Protocol, run_protocols
from mixwright.lab.evaluation.subject import Measurement, Subject
from mixwright.lab.training.folder import read_metrics


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How often the right class comes first, and is among the first five.

    Args:
        protocol: the score of a run that reports show: ``median10``, ``median11_compat``,
            ``final`` or ``best``; see ``protocol_score``. All of them are measured.
    """

    protocol: Protocol = "median10"

    name: ClassVar[str] = "accuracy"
    about: ClassVar[str] = "top-1, top-5, per class, and the median over the last epochs of a run"
    pictures: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_settings(self)

    def measure(self, subject: Subject) -> Measurement:
        """See ``Evaluation.measure``."""
        logits, labels = subject.clean_logits()
        ranks = rank(logits, labels)
        correct = ranks == 0
        classes = logits.shape[1]
        per_class = class_accuracy(correct, labels, classes=classes)
        records = [] if subject.folder is None else read_metrics(subject.folder)
        filled = [share for share in per_class if share is not None]
        summary: dict[str, Any] = {
            "images": len(labels),
            "classes": classes,
            "class_names": list(subject.data.classes),
            "top1": float(correct.double().mean()),
            "top5": float((ranks < 5).double().mean()) if classes > 5 else None,
            "macro": sum(filled) / len(filled),
            "per_class": per_class,
            "protocol": self.protocol,
            "protocols": run_protocols(records) or None,  # by column; None for no run
        }
        arrays = {"logits": logits, "labels": labels, "ids": subject.ids, "correct": correct}
        return Measurement(summary=summary, arrays=arrays)


def class_accuracy(correct: Tensor, labels: Tensor, *, classes: int) -> list[float | None]:
    """Return the accuracy on the images of each class, by label; None for a class without images.

    Their mean, macro accuracy, counts every class alike, however few images it has. ``correct`` is
    ``(n,)`` bool, ``labels`` ``(n,)`` integers in ``[0, classes)``.

    Example:
        >>> right = torch.tensor([True, False, True])
        >>> class_accuracy(right, torch.tensor([0, 0, 2]), classes=3)
        [0.5, None, 1.0]
    """
    zeros = torch.zeros(classes, dtype=torch.float64)
    count = zeros.index_add(0, labels, torch.ones(len(labels), dtype=torch.float64))
    right = zeros.index_add(0, labels, correct.double())
    return [r / n if n else None for r, n in zip(right.tolist(), count.tolist(), strict=True)]
