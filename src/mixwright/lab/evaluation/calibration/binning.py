"""Calibration errors with other bins, of equal mass or per class, and the one that is noise."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from mixwright.lab.evaluation.calibration.reliability import reliability
from mixwright.lab.evaluation.predictions import check_logits, rank


def adaptive_ece(logits: Tensor, labels: Tensor, *, bins: int = 15) -> float:
    """Return the calibration error, in [0, 1], over bins that hold the same number of images each.

    Bins of equal width put most images of a good model into the last; these follow the images.
    The edges are confidences that occur, closed on the right, so images of equal confidence share
    a bin and their order does not matter; bins differ in size where many are equal. Arguments and
    errors are those of ``ece``.

    Example:
        >>> sure = torch.tensor([0.55] * 10 + [0.95] * 10)
        >>> logits = torch.stack([sure, 1 - sure], dim=1).log()
        >>> labels = torch.tensor([0] * 6 + [1] * 4 + [0] * 8 + [1] * 2)
        >>> round(adaptive_ece(logits, labels), 6)
        0.1

    Source: Nguyen and O'Connor 2015; Nixon et al. 2019, arXiv:1904.01685.
    """
    check_logits(logits, labels)
    if bins < 1:
        raise ValueError(f"adaptive_ece: bins is {bins}; expected at least 1.")
    confidence = logits.double().softmax(dim=1).amax(dim=1)
    gap = (rank(logits, labels) == 0).double() - confidence
    count = len(confidence)
    # An edge is the confidence of the last image of each bin; -(-a // b) rounds up.
    last = torch.tensor([-(-(b + 1) * count // bins) - 1 for b in range(bins)])
    edges = confidence.sort().values[last.to(confidence.device)]
    index = torch.searchsorted(edges, confidence)
    return float(gap.new_zeros(bins).index_add(0, index, gap).abs().sum() / count)


def classwise_ece(logits: Tensor, labels: Tensor, *, bins: int = 15) -> float:
    """Return the calibration error, in [0, 1], of every class's probability, averaged over classes.

    The error of the most likely class says nothing of the others; this one takes each class as a
    question of its own, is it this one or not. With many classes most probabilities are near 0,
    and the mean is small. Arguments and errors are those of ``ece``.

    Example:
        >>> logits = torch.zeros(4, 2)  # one half each
        >>> classwise_ece(logits, torch.tensor([0, 0, 0, 1]))
        0.25

    Source: Kull et al. 2019, arXiv:1910.12656.
    """
    check_logits(logits, labels)
    likely = logits.double().softmax(dim=1).T.contiguous()
    errors = [reliability(own, labels == k, bins=bins).ece for k, own in enumerate(likely)]
    return sum(errors) / len(errors)


def noise_floor(
    confidence: Tensor, *, generator: Generator, bins: int = 15, draws: int = 200
) -> float:
    """Return the calibration error that a perfectly calibrated model would show by chance.

    Outcomes are drawn that are right as often as the confidences ``(M,)`` say, ``draws`` times;
    what error they show on average is due to the finite number of images. Errors near it cannot be
    told from none.

    Example:
        >>> sure = torch.full((10000,), 0.5)
        >>> rng = torch.Generator().manual_seed(0)
        >>> round(noise_floor(sure, generator=rng), 3)  # sqrt(2 / pi) * 0.5 / sqrt(10000)
        0.004
    """
    if draws < 1:
        raise ValueError(f"noise_floor: draws is {draws}; expected at least 1.")
    sure = confidence.double().cpu()
    errors = [
        reliability(
            sure,
            torch.rand(len(sure), generator=generator, dtype=torch.float64) < sure,
            bins=bins,
        ).ece
        for _ in range(draws)
    ]
    return sum(errors) / draws


def entropy(logits: Tensor) -> Tensor:
    """Return ``(M,)`` float64 in nats, from 0 for one class alone to ``ln K`` for all alike."""
    likely = logits.double().log_softmax(dim=1)
    return -(likely.exp() * likely).nan_to_num(0.0).sum(dim=1)
