"""Whether a classifier's confidence can be believed: calibration errors, NLL and Brier score."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mixwright.arguments import check_arguments, check_whole
from mixwright.lab.evaluation.predictions import check_logits, rank


@dataclass(frozen=True)
class Reliability:
    """Confidences sorted into bins of equal width: all that a calibration error needs.

    Everything is a sum, so records of parts of a test set (of ranks, of batches) add up.

    Attributes:
        count: ``(bins,)`` float64, images in each bin.
        confidence: ``(bins,)`` float64, sum of their confidences.
        correct: ``(bins,)`` float64, how many of them were right.
    """

    count: Tensor
    confidence: Tensor
    correct: Tensor

    @property
    def edges(self) -> Tensor:
        """The ``bins + 1`` edges in [0, 1]; bin b holds what lies in (edge b, edge b + 1]."""
        return _edges(len(self.count))

    @property
    def ece(self) -> float:
        """Expected calibration error in [0, 1]: the gap of each bin, weighted by its images."""
        gap = (self.correct - self.confidence).abs().sum()
        return float(gap / self.count.sum())

    @property
    def ece_sorted(self) -> float:
        """What published tables give as ECE, in [0, 1]: no calibration error.

        Accuracies and mean confidences of the bins are sorted each by itself, the counts are not,
        so that a bin's images weigh the gap between the accuracy of one bin and the confidence of
        another. The same as ``ece`` where every bin holds images and accuracy rises with
        confidence; 0 is possible for a model that is badly calibrated.

        Source: the code of OpenMixup and of AdAutoMix, whose tables have 10 bins.
        """
        held = self.count.clamp_min(1)  # an empty bin has accuracy and confidence 0
        accuracy, confidence = (self.correct / held).sort().values, (self.confidence / held).sort()
        gap = (accuracy - confidence.values).abs()
        return float((self.count * gap).sum() / self.count.sum())

    @property
    def mce(self) -> float:
        """Largest gap between accuracy and mean confidence of a bin that holds images."""
        filled = self.count > 0
        gap = (self.correct - self.confidence)[filled].abs() / self.count[filled]
        return float(gap.max())

    @property
    def rms(self) -> float:
        """Root of the mean squared gap of the bins, weighted by their images; at least the ECE."""
        filled = self.count > 0
        squares = (self.correct - self.confidence)[filled].square() / self.count[filled]
        return float((squares.sum() / self.count.sum()).sqrt())

    @property
    def overconfidence(self) -> float:
        """Mean confidence minus accuracy, above 0 where the model promises too much."""
        return float((self.confidence - self.correct).sum() / self.count.sum())

    def __add__(self, other: Reliability) -> Reliability:
        """Return the record of both sets of images together."""
        return Reliability(
            count=self.count + other.count,
            confidence=self.confidence + other.confidence,
            correct=self.correct + other.correct,
        )


MOST_BINS = 1_000_000


@check_arguments
def reliability(confidence: Tensor, correct: Tensor, *, bins: int = 15) -> Reliability:
    """Sort confidences into bins of equal width on [0, 1].

    Bins are closed on the right, ``(e_b, e_b+1]``, and the first takes 0 too; the edges are
    ``linspace(0, 1, bins + 1)`` in float64. A confidence of exactly 1 belongs to the last bin.

    Args:
        confidence: ``(M,)`` floating in [0, 1].
        correct: ``(M,)`` bool or {0, 1}.
        bins: number of bins, at least 1.

    Raises:
        ValueError: shapes differ, or ``bins`` is below 1.

    Example:
        >>> sure = torch.tensor([0.55] * 10 + [0.95] * 10)
        >>> right = torch.tensor([1] * 6 + [0] * 4 + [1] * 8 + [0] * 2)
        >>> round(reliability(sure, right).ece, 6)
        0.1

    Source: Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599.

    Departs from the code of OpenMixup, which sorts accuracies and confidences of the bins each by
    itself (``ece_sorted`` does as it), and from torchmetrics, which closes bins on the left and
    puts 1.0 into one of its own.
    """
    check_whole("reliability", "bins", bins, low=1, high=MOST_BINS)
    if confidence.ndim != 1 or confidence.shape != correct.shape:
        raise ValueError(
            f"reliability: confidence has shape {tuple(confidence.shape)} and correct "
            f"{tuple(correct.shape)}; expected (M,) and (M,)."
        )
    sure = confidence.double()
    edges = _edges(bins).to(sure.device)
    index = (torch.searchsorted(edges, sure) - 1).clamp(0, bins - 1)
    zeros = sure.new_zeros(bins)
    return Reliability(
        count=zeros.index_add(0, index, torch.ones_like(sure)),
        confidence=zeros.index_add(0, index, sure),
        correct=zeros.index_add(0, index, correct.to(sure.dtype)),
    )


@check_arguments
def ece(logits: Tensor, labels: Tensor, *, bins: int = 15) -> float:
    """Return the expected calibration error of the most likely class, a fraction in [0, 1].

    Args:
        logits: ``(M, K)`` finite logits, never probabilities: give those by their logarithm.
        labels: ``(M,)`` integers in ``[0, K)``.
        bins: bins of equal width; see ``reliability`` for their edges.

    Raises:
        ValueError: what ``check_logits`` refuses, or ``bins`` below 1.
    """
    check_logits(logits, labels)
    confidence = logits.double().softmax(dim=1).amax(dim=1)
    return reliability(confidence, rank(logits, labels) == 0, bins=bins).ece


@check_arguments
def nll(logits: Tensor, labels: Tensor) -> float:
    """Return the mean negative log-likelihood of the right classes, in nats per image.

    From a log-softmax in float64: nothing is clipped. Arguments and errors are those of ``ece``.

    Example:
        >>> round(nll(torch.zeros(1, 100), torch.tensor([7])), 5)
        4.60517
    """
    check_logits(logits, labels)
    return float(surprise(logits, labels).mean())


def surprise(logits: Tensor, labels: Tensor) -> Tensor:
    """Return ``(M,)`` float64, the negative log-likelihood of each image's class in nats."""
    likely = logits.double().log_softmax(dim=1)
    return -likely.gather(1, labels.long()[:, None]).squeeze(1)


@check_arguments
def brier(logits: Tensor, labels: Tensor) -> float:
    """Return the mean squared distance between the class probabilities and the right class.

    A number in [0, 2], the sum over classes, not halved. Arguments and errors are those of ``ece``.

    Example:
        >>> brier(torch.zeros(1, 4), torch.tensor([0]))
        0.75

    Source: Brier 1950.
    """
    check_logits(logits, labels)
    likely = logits.double().softmax(dim=1)
    own = likely.gather(1, labels.long()[:, None]).squeeze(1)
    return float((likely.square().sum(dim=1) - 2 * own + 1).mean())


@check_arguments
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
    check_whole("adaptive_ece", "bins", bins, low=1, high=MOST_BINS)
    confidence = logits.double().softmax(dim=1).amax(dim=1)
    gap = (rank(logits, labels) == 0).double() - confidence
    count = len(confidence)
    # An edge is the confidence of the last image of each bin; -(-a // b) rounds up.
    last = torch.tensor([-(-(b + 1) * count // bins) - 1 for b in range(bins)])
    edges = confidence.sort().values[last.to(confidence.device)]
    index = torch.searchsorted(edges, confidence)
    return float(gap.new_zeros(bins).index_add(0, index, gap).abs().sum() / count)


@check_arguments
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


@check_arguments
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


def _edges(bins: int) -> Tensor:
    """Return the edges of equal bins on [0, 1], float64."""
    return torch.linspace(0, 1, bins + 1, dtype=torch.float64)
