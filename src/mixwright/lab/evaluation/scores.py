"""The scores of a classifier on a test set, in one pass and over any number of processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mixwright.arguments import check_arguments
from mixwright.lab.evaluation.calibration.reliability import Reliability, reliability, surprise
from mixwright.lab.evaluation.predictions import (
    Batches,
    batch_logits,
    not_finite,
    out_of_range,
    pairs_of,
    rank,
    refuse,
)
from mixwright.taps import evaluating

BINS = 15


@dataclass(frozen=True)
class Scores:
    """What a classifier reaches on a test set.

    Attributes:
        top1: share of images whose first guess is right, in [0, 1].
        top5: share of images whose class is among the first five guesses; None for five classes
            or fewer, where it says nothing.
        nll: mean negative log-likelihood in nats.
        ece: expected calibration error over 15 bins, in [0, 1].
        count: images.
    """

    top1: float
    top5: float | None
    nll: float
    ece: float
    count: int


@check_arguments
def evaluate(
    model: nn.Module,
    batches: Batches,
    *,
    autocast: torch.dtype | None = None,
    reduce: Callable[[Tensor], Tensor] | None = None,
    keep: Callable[[Tensor, Tensor], object] | None = None,
) -> Scores:
    """Return the scores of a model over batches.

    The model is run in evaluation mode and put back after, also after an error. Scores are kept as
    sums, so the result does not depend on how the images are batched or spread over processes, and
    nothing is read back before the end.

    Args:
        model: network from images to logits ``(B, K)``.
        batches: any iterable of (images, labels); each image once.
        autocast: dtype to compute in under autocast, such as ``torch.bfloat16``; None for the
            model's own. Logits are brought to float32 in any case.
        reduce: adds a float64 vector up over processes; called once, on every process, also on
            one that has no images. None for a single process.
        keep: called with the logits ``(B, K)`` float32 and labels ``(B,)`` of each batch as it is
            done, on the model's device, under inference mode. None keeps nothing.

    Raises:
        ValueError: no images, logits that are not finite (with their number), labels out of
            range, or shapes that do not fit. Where a sum over processes is made, every process
            raises alike for values.

    Example:
        >>> images, labels = torch.eye(10).view(10, 10, 1, 1), torch.arange(10)
        >>> evaluate(nn.Flatten(), [(images, labels)]).top1
        1.0
    """
    total: Tensor | None = None
    with evaluating(model), torch.inference_mode():
        for images, labels in pairs_of(batches):
            logits = batch_logits(model, images, labels, autocast=autocast)
            if keep is not None:
                keep(logits, labels)
            part = _sums(logits, labels)
            total = part if total is None else total + part
    if total is None:
        total = _nothing(model)
    total = total.clone()  # no longer an inference tensor: a reduction may write into it
    return _scores(total if reduce is None else reduce(total))


def _sums(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sums of one batch as one float64 vector, in the order ``_scores`` reads them."""
    if logits.device.type == "mps":  # has no float64
        logits = logits.cpu()
    labels = labels.to(logits.device).long()
    classes = logits.shape[1]
    broken, foreign = not_finite(logits), out_of_range(labels, classes)
    labels = labels.clamp(0, classes - 1)  # an accelerator would die of a bad index
    before = rank(logits, labels)
    confidence = logits.double().softmax(dim=1).amax(dim=1)
    bins = reliability(confidence, before == 0, bins=BINS)
    ones = torch.ones_like(confidence)
    rows = (ones, ones * classes, broken, foreign, before < 1, before < 5, surprise(logits, labels))
    heads = torch.stack([row.double().sum() for row in rows])
    return torch.cat([heads, bins.count, bins.confidence, bins.correct])


def _nothing(model: nn.Module) -> Tensor:
    """Return the sums of no images, where the model's other sums would be."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return torch.zeros(
        7 + 3 * BINS, dtype=torch.float64, device="cpu" if device.type == "mps" else device
    )


def _scores(total: Tensor) -> Scores:
    """Turn sums into scores; the one place where values are read."""
    count, classes, broken, foreign, first, five, surprises = total[:7].tolist()
    if count == 0:
        raise ValueError("evaluate: no images at all; expected at least one batch.")
    refuse(int(broken), int(foreign), int(count), classes=round(classes / count))
    per_bin = total[7:].view(3, BINS)
    return Scores(
        top1=first / count,
        top5=five / count if classes / count > 5 else None,
        nll=surprises / count,
        ece=Reliability(count=per_bin[0], confidence=per_bin[1], correct=per_bin[2]).ece,
        count=int(count),
    )
