"""What a model says to the clean test images, once for all evaluations that need it."""

from __future__ import annotations

from torch import Tensor

from mixwright.lab.evaluation.predictions import logits_of
from mixwright.lab.evaluation.subject import Arrays, Subject


def clean_logits(subject: Subject) -> tuple[Tensor, Tensor]:
    """Run the subject's model over all its test images, or take from its shelf what it said.

    Args:
        subject: model and images.

    Returns:
        Logits ``(n, K)`` float32 and labels ``(n,)`` int64, on the CPU, in the order of
        ``subject.ids``.

    Raises:
        ValueError: logits that are not finite, or labels out of range.
    """

    def make() -> Arrays:
        subject.progress(0.0, "clean test images")
        logits, labels = logits_of(subject.model, subject.batches(), autocast=subject.autocast)
        return {"logits": logits, "labels": labels}

    kept = subject.cache.get_or_compute("clean", make, shared=True)
    return kept["logits"], kept["labels"]
