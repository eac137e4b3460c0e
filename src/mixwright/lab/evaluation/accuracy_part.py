"""Accuracy on clean test images: overall, per class, and by the protocols over epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mixwright.arguments import check_choice
from mixwright.lab.evaluation.accuracy import rank
from mixwright.lab.evaluation.clean import clean_logits
from mixwright.lab.evaluation.protocol import PROTOCOLS, Protocol, run_protocols
from mixwright.lab.evaluation.subject import Found, Subject
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

    def __post_init__(self) -> None:
        check_choice("Accuracy", "protocol", self.protocol, PROTOCOLS)

    def measure(self, subject: Subject) -> Found:
        """Measure; see ``Part.measure``."""
        logits, labels = clean_logits(subject)
        before = rank(logits, labels)
        correct = before == 0
        classes = logits.shape[1]
        per_class = class_accuracy(correct, labels, classes=classes)
        there = [share for share in per_class if share is not None]
        summary: dict[str, Any] = {
            "images": len(labels),
            "classes": classes,
            "class_names": list(subject.data.classes),
            "top1": float(correct.double().mean()),
            "top1_interval": share_interval(int(correct.sum()), len(labels)),
            "top5": float((before < 5).double().mean()) if classes > 5 else None,
            "macro": sum(there) / len(there),
            "per_class": per_class,
            "protocol": self.protocol,
            "protocols": _protocols(subject),
        }
        arrays = {"logits": logits, "labels": labels, "ids": subject.ids, "correct": correct}
        return Found(summary=summary, arrays=arrays)


def share_interval(right: int, count: int, level: float = 0.95) -> list[float]:
    """Return where an accuracy would lie on other images of the same kind.

    It says nothing of other training runs.

    Args:
        right: images that are right.
        count: images, at least 1.
        level: share of such intervals that hold the true accuracy, in (0, 1).

    Returns:
        Lower and upper end, fractions, after Wilson.

    Example:
        >>> [round(end, 3) for end in share_interval(8, 10)]
        [0.49, 0.943]
    """
    from scipy.stats import binomtest

    ends = binomtest(right, count).proportion_ci(level, method="wilson")
    return [float(ends.low), float(ends.high)]


def class_accuracy(correct: Tensor, labels: Tensor, *, classes: int) -> list[float | None]:
    """Return the accuracy on the images of each class.

    Their mean, macro accuracy, counts every class alike, however few images it has.

    Args:
        correct: ``(n,)`` bool, where the model is right.
        labels: ``(n,)`` integers in ``[0, classes)``.
        classes: number of classes.

    Returns:
        A fraction per class, by label; None for a class without images.

    Example:
        >>> right = torch.tensor([True, False, True])
        >>> class_accuracy(right, torch.tensor([0, 0, 2]), classes=3)
        [0.5, None, 1.0]
    """
    zeros = torch.zeros(classes, dtype=torch.float64)
    count = zeros.index_add(0, labels, torch.ones(len(labels), dtype=torch.float64))
    right = zeros.index_add(0, labels, correct.double())
    return [r / n if n else None for r, n in zip(right.tolist(), count.tolist(), strict=True)]


def _protocols(subject: Subject) -> dict[str, dict[str, dict[str, Any]]] | None:
    """By column and protocol; None where the subject comes from no run."""
    records = [] if subject.folder is None else read_metrics(subject.folder)
    return run_protocols(records) or None
