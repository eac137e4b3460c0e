"""What a model says to the clean test images, once for all evaluations that need it."""

from __future__ import annotations

from torch import Tensor

from mixwright.lab.evaluation.predictions import logits_of
from mixwright.lab.evaluation.subject import Arrays, Subject


def clean_logits(subject: Subject) -> tuple[Tensor, Tensor]:
    """Return logits ``(n, K)`` and labels ``(n,)`` of all clean test images, computed once.

    On the CPU, in the order of ``subject.ids``; raises where ``check_logits`` does.
    """

    def make() -> Arrays:
        subject.progress(0.0, "clean test images")
        logits, labels = logits_of(subject.model, subject.batches(), autocast=subject.autocast)
        return {"logits": logits, "labels": labels}

    kept = subject.cache.get_or_compute("clean", make, shared=True)
    return kept["logits"], kept["labels"]
