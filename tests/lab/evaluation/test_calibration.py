"""Calibration error, likelihood and Brier score: hand-worked cases and oracles."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mixwright.lab.evaluation import brier, ece, nll, reliability


def sure(*groups: tuple[int, float, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Groups of (images, confidence, right ones) as confidences and outcomes."""
    confidence = [value for count, value, _ in groups for _ in range(count)]
    correct = [place < right for count, _, right in groups for place in range(count)]
    return torch.tensor(confidence, dtype=torch.float64), torch.tensor(correct)


@pytest.mark.parametrize("bins", [10, 15])
def test_hand_worked_errors(bins: int) -> None:
    assert reliability(*sure((10, 0.55, 6), (10, 0.95, 8)), bins=bins).ece == pytest.approx(0.10)
    # Sorting accuracies and confidences each by itself, as some code does, returns 0 here.
    crossed = reliability(*sure((10, 0.35, 9), (10, 0.55, 2), (80, 0.95, 76)), bins=bins)
    assert crossed.ece == pytest.approx(0.09)
    assert crossed.mce == pytest.approx(0.55)
    assert crossed.overconfidence == pytest.approx(0.85 - 0.87)


def test_the_published_error_pairs_what_does_not_belong_together() -> None:
    # Of ten bins the last two means, 0.6 and 0.8 against 0.55 and 0.95, move to the last two
    # places; the count of the sixth bin stays and weighs nothing: 10 of 20 times |0.8 - 0.95|.
    assert reliability(*sure((10, 0.55, 6), (10, 0.95, 8)), bins=10).ece_sorted == pytest.approx(
        0.075
    )
    # 0.2, 0.9 and 0.95 against 0.35, 0.55 and 0.95: only the last one has a count, and no gap.
    crossed = reliability(*sure((10, 0.35, 9), (10, 0.55, 2), (80, 0.95, 76)), bins=10)
    assert crossed.ece_sorted == pytest.approx(0.0, abs=1e-12)
    assert crossed.ece == pytest.approx(0.09)
    # Without an empty bin, and accuracy rising with confidence, nothing is exchanged.
    tidy = sure(*((10, (b + 0.5) / 10, b) for b in range(10)))
    assert reliability(*tidy, bins=10).ece_sorted == pytest.approx(0.05)
    assert reliability(*tidy, bins=10).ece == pytest.approx(0.05)


@given(n=st.integers(1, 60), bins=st.integers(1, 20), seed=st.integers(0, 99))
def test_the_published_error_follows_its_code(n: int, bins: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    confidence = torch.rand(n, generator=generator, dtype=torch.float64).tolist()
    correct = (torch.rand(n, generator=generator) < 0.6).tolist()
    counts, accuracies, confidences = [0] * bins, [0.0] * bins, [0.0] * bins
    for place in range(bins):
        for value, right in zip(confidence, correct, strict=True):
            if place / bins < value <= (place + 1) / bins:
                counts[place] += 1
                accuracies[place] += right
                confidences[place] += value
        if counts[place]:
            accuracies[place] /= counts[place]
            confidences[place] /= counts[place]
    accuracies.sort()
    confidences.sort()
    wanted = sum(
        count * abs(accuracy - mean)
        for count, accuracy, mean in zip(counts, accuracies, confidences, strict=True)
    ) / sum(counts)
    values = torch.tensor(confidence, dtype=torch.float64)
    record = reliability(values, torch.tensor(correct), bins=bins)
    assert record.ece_sorted == pytest.approx(wanted, abs=1e-12)


def test_a_confidence_of_one_belongs_to_the_last_bin() -> None:
    record = reliability(*sure((10, 1.0, 5), (10, 0.95, 10)), bins=10)
    assert record.ece == pytest.approx(0.225)
    assert record.count.tolist() == [0.0] * 9 + [20.0]
    assert reliability(*sure((8, 1.0, 6))).ece == pytest.approx(0.25)
    assert reliability(*sure((8, 0.0, 6))).count[0] == 8


@pytest.mark.parametrize("bins", [10, 15, 49])
def test_bins_are_closed_on_the_right(bins: int) -> None:
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    record = reliability(edges[1:], torch.ones(bins), bins=bins)
    assert record.edges.tolist() == edges.tolist()
    assert record.count.tolist() == [1] * bins  # ceil(edge * bins) would be one too many at some
    above = torch.nextafter(edges[:-1], torch.ones(1, dtype=torch.float64))
    assert reliability(above, torch.ones(bins), bins=bins).count.tolist() == [1] * bins


def test_a_confidence_that_rounds_above_one_is_the_last_bins() -> None:
    over = torch.tensor([1 + 2**-52], dtype=torch.float64)
    assert reliability(over, torch.ones(1)).count[-1] == 1


@given(n=st.integers(1, 50), bins=st.integers(1, 20), seed=st.integers(0, 99))
def test_follows_the_definition(n: int, bins: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    confidence = torch.rand(n, generator=generator, dtype=torch.float64)
    correct = torch.rand(n, generator=generator) < 0.7
    edges = [b / bins for b in range(bins + 1)]
    gap = 0.0
    for low, high in pairwise(edges):
        inside = [i for i in range(n) if low < confidence[i] <= high or confidence[i] == low == 0]
        if inside:
            accuracy = sum(bool(correct[i]) for i in inside) / len(inside)
            mean = sum(confidence[i].item() for i in inside) / len(inside)
            gap += len(inside) / n * abs(accuracy - mean)
    record = reliability(confidence, correct, bins=bins)
    assert record.ece == pytest.approx(gap, abs=1e-12)
    half = n // 2
    parts = reliability(confidence[:half], correct[:half], bins=bins) + reliability(
        confidence[half:], correct[half:], bins=bins
    )
    assert parts.ece == pytest.approx(record.ece, abs=1e-12)
    assert record.count.sum() == n
    assert reliability(confidence, correct, bins=1).ece <= record.ece + 1e-12


def test_error_of_logits_agrees_with_torchmetrics() -> None:
    from torchmetrics.functional.classification import multiclass_calibration_error

    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(500, 10, generator=generator)
    labels = torch.randint(0, 10, (500,), generator=generator)
    labels = torch.where(torch.rand(500, generator=generator) < 0.5, logits.argmax(1), labels)
    for bins in (10, 15):
        oracle = multiclass_calibration_error(
            logits, labels, num_classes=10, n_bins=bins, norm="l1"
        )
        assert ece(logits, labels, bins=bins) == pytest.approx(oracle.item(), abs=1e-6)
    # Its probabilities may be given by their logarithms; a scale of [0, 1] is still logits.
    assert ece(logits.softmax(1).log(), labels) == pytest.approx(ece(logits, labels), abs=1e-6)
    assert ece(torch.eye(2), torch.tensor([0, 1])) == pytest.approx(1 - math.e / (1 + math.e))


def test_float32_does_not_hide_overconfidence() -> None:
    logits, wrong = torch.tensor([[120.0, 0.0]]), torch.tensor([1])
    assert nll(logits, wrong) == pytest.approx(120.0)
    assert brier(logits, wrong) == pytest.approx(2.0)
    assert ece(logits, wrong) == pytest.approx(1.0)


def test_known_answers_of_likelihood_and_brier() -> None:
    labels = torch.arange(100)
    assert nll(torch.zeros(100, 100), labels) == pytest.approx(math.log(100))
    assert brier(torch.zeros(4, 4), labels[:4]) == pytest.approx(0.75)
    assert nll(1000 * torch.eye(5), labels[:5]) == 0.0
    assert brier(1000 * torch.eye(5), labels[:5]) == 0.0
    odds = torch.tensor([[math.log(3.0), 0.0]])  # probabilities 3/4 and 1/4
    assert nll(odds, labels[:1]) == pytest.approx(math.log(4 / 3))
    assert brier(odds, labels[:1]) == pytest.approx(2 / 16)


def test_agrees_with_scikit_learn_and_torch() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sklearn.metrics import log_loss

    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(200, 7, generator=generator)
    labels = torch.randint(0, 7, (200,), generator=generator)
    likely = logits.double().softmax(1)
    assert nll(logits, labels) == pytest.approx(
        log_loss(labels.numpy(), likely.numpy(), labels=list(range(7))), abs=1e-9
    )
    exact = torch.nn.functional.one_hot(labels, 7)
    assert brier(logits, labels) == pytest.approx((likely - exact).square().sum(1).mean().item())


@pytest.mark.parametrize("score", [ece, nll, brier])
def test_broken_predictions_are_refused(score) -> None:
    with pytest.raises(ValueError, match="1 of 2 images are NaN"):
        score(torch.tensor([[0.0, 1.0], [torch.nan, 1.0]]), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="1 of 2 labels"):
        score(torch.zeros(2, 2), torch.tensor([0, 2]))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="bins is 0"):
        reliability(torch.rand(3), torch.ones(3), bins=0)
    with pytest.raises(ValueError, match=r"confidence has shape \(3,\) and correct \(2,\)"):
        reliability(torch.rand(3), torch.ones(2))
