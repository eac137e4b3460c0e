"""Other bins, the noise floor, and temperature scaling: known answers and slow versions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mixwright.lab.evaluation import ece, nll, reliability
from mixwright.lab.evaluation.calibration.reliability import (
    adaptive_ece,
    classwise_ece,
    entropy,
    noise_floor,
)
from mixwright.lab.evaluation.calibration.temperature import fit_temperature
from mixwright.lab.evaluation.predictions import topk_accuracy


def noisy(n: int = 400, classes: int = 5, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Logits that are too sure: labels are drawn as if they were a third of that."""
    generator = torch.Generator().manual_seed(4)
    logits = scale * torch.randn(n, classes, generator=generator)
    labels = (logits / 3).softmax(1).multinomial(1, generator=generator).squeeze(1)
    return logits, labels


def two_classes(*groups: tuple[int, float, int]) -> tuple[Tensor, Tensor]:
    """Groups of (images, confidence of class 0, right ones)."""
    sure = torch.tensor([p for n, p, _ in groups for _ in range(n)], dtype=torch.float64)
    labels = torch.tensor([int(i >= right) for n, _, right in groups for i in range(n)])
    return torch.stack([sure, 1 - sure], dim=1).log(), labels


def test_equal_mass_known_answers() -> None:
    logits, labels = two_classes((10, 0.55, 6), (10, 0.95, 8))
    assert adaptive_ece(logits, labels, bins=2) == pytest.approx(0.10)
    assert adaptive_ece(logits, labels) == pytest.approx(0.10)  # ties share a bin
    assert adaptive_ece(logits, labels, bins=1) == pytest.approx(abs(0.75 - 0.70))
    # Equal width puts all of these into one bin, where their gaps cancel out.
    close = two_classes((10, 0.941, 8), (10, 0.999, 10))
    assert ece(*close, bins=10) == pytest.approx(abs(0.97 - 0.9))
    assert adaptive_ece(*close, bins=2) == pytest.approx((1.41 + 0.01) / 20)


def test_equal_mass_bins_hold_equal_numbers_and_follow_no_order() -> None:
    logits, labels = noisy(n=103)
    confidence, guess = logits.double().softmax(1).max(1)
    order = confidence.argsort()
    gap = (guess == labels).double()[order] - confidence[order]
    ends = [math.ceil((b + 1) * 103 / 15) for b in range(15)]
    slow = sum(abs(float(gap[low:high].sum())) for low, high in zip([0, *ends], ends, strict=False))
    assert adaptive_ece(logits, labels) == pytest.approx(slow / 103)
    mixed = torch.randperm(103, generator=torch.Generator().manual_seed(0))
    assert adaptive_ece(logits[mixed], labels[mixed]) == pytest.approx(slow / 103)


def test_classwise_follows_the_definition() -> None:
    logits, labels = noisy()
    likely = logits.double().softmax(1)
    total = 0.0
    for k in range(5):
        for b in range(15):
            inside = (likely[:, k] > b / 15) & (likely[:, k] <= (b + 1) / 15)
            if inside.any():
                total += abs(float(((labels == k).double() - likely[:, k])[inside].sum())) / 400
    assert classwise_ece(logits, labels) == pytest.approx(total / 5)
    # Of two classes, either one's error is the other's.
    logits, labels = two_classes((10, 0.55, 6), (10, 0.95, 8))
    assert classwise_ece(logits, labels) == pytest.approx(0.10)


def test_root_mean_square_agrees_with_torchmetrics() -> None:
    from torchmetrics.functional.classification import multiclass_calibration_error

    logits, labels = noisy()
    confidence, guess = logits.double().softmax(1).max(1)
    record = reliability(confidence, guess == labels)
    for norm, ours in (("l1", record.ece), ("l2", record.rms), ("max", record.mce)):
        oracle = multiclass_calibration_error(
            logits.double().softmax(1), labels, num_classes=5, n_bins=15, norm=norm
        )
        assert ours == pytest.approx(float(oracle), abs=1e-6)
    assert record.ece <= record.rms <= record.mce
    hand = reliability(*(torch.tensor(x) for x in ([0.55] * 10 + [0.9] * 30, [1] * 6 + [0] * 34)))
    assert hand.rms == pytest.approx(math.sqrt(0.25 * 0.05**2 + 0.75 * 0.9**2))


def test_noise_floor_has_its_known_answers() -> None:
    beta = torch.distributions.Beta(5.0, 1.5)
    torch.manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        sure = beta.sample((10_000,))
    for count, bins, floor, draws in ((10_000, 10, 0.0085, 40), (10_000, 15, 0.0099, 40),
                                      (1000, 10, 0.025, 150), (1000, 15, 0.030, 150)):  # fmt: skip
        generator = torch.Generator().manual_seed(1)
        found = noise_floor(sure[:count], generator=generator, bins=bins, draws=draws)
        assert found == pytest.approx(floor, rel=0.06)


def test_entropy() -> None:
    logits = torch.tensor(
        [[0.0, 0.0, 0.0, 0.0], [1e4, 0.0, 0.0, 0.0], [math.log(3), 0.0, -1e4, -1e4]]
    )
    expected = [math.log(4), 0.0, -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))]
    assert entropy(logits).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_the_temperature_is_the_minimum_of_the_likelihood(scale: float) -> None:
    logits, labels = noisy(scale=3.0)
    logits = scale * logits
    best = fit_temperature(logits, labels)
    assert best == pytest.approx(scale * fit_temperature(logits / scale, labels), rel=1e-5)
    least = nll(logits.double() / best, labels)
    assert least < min(nll(logits.double() / (f * best), labels) for f in (0.98, 1.02))
    step = 1e-5 * best
    below, above = (nll(logits.double() / (best + s), labels) for s in (-step, step))
    assert (above - below) / (2 * step) == pytest.approx(0, abs=1e-6 / scale)
    assert topk_accuracy(logits / best, labels) == topk_accuracy(logits, labels)


def test_the_temperature_undoes_what_was_too_sure() -> None:
    logits, labels = noisy(n=20_000)
    assert fit_temperature(logits, labels) == pytest.approx(3.0, rel=0.05)
    assert ece(logits / 3, labels) < 0.02 < ece(logits, labels)
    sure = torch.tensor([[2.0, 0.0]]).repeat(4, 1)
    assert fit_temperature(sure, torch.tensor([0, 0, 0, 1])) == pytest.approx(2 / math.log(3))


def test_the_temperature_of_few_images_is_found_too() -> None:
    small = torch.tensor([[-0.046458370983600616, 0.010375775396823883]])  # of a real run
    assert fit_temperature(small, torch.tensor([1])) == 0.01  # right: the surer the likelier
    assert fit_temperature(small, torch.tensor([0])) == 100.0  # wrong
    assert fit_temperature(torch.zeros(3, 2), torch.tensor([0, 1, 1])) == 1.0  # all the same
    assert fit_temperature(torch.tensor([[1e3, 0.0]]), torch.tensor([0])) == 1.0  # sure enough
    few = torch.tensor([[0.02, 0.0]]).repeat(4, 1)  # right in 3 of 4: log(3) = 0.02 / temperature
    labels = torch.tensor([0, 0, 0, 1])
    assert fit_temperature(few, labels) == pytest.approx(0.02 / math.log(3), rel=1e-6)
    assert fit_temperature(few / 2, labels) == 0.01  # half of it is out of range


def test_no_temperature_is_likelier_for_a_model_that_knows_nothing() -> None:
    """Its logits are small and its guesses wrong, so the likelihood hardly depends on it."""
    draws = torch.Generator().manual_seed(0)
    tried = torch.logspace(-2, 2, 60, dtype=torch.float64).tolist()
    for _ in range(60):
        logits = 0.02 * torch.randn(10, 3, generator=draws)
        labels = torch.randint(3, (10,), generator=draws)
        found = nll(logits.double() / fit_temperature(logits, labels), labels)
        assert found <= min(nll(logits.double() / one, labels) for one in tried) + 1e-12


def test_temperatures_stay_finite() -> None:
    labels = torch.arange(5)
    perfect = fit_temperature(torch.eye(5), labels)
    assert 0.01 <= perfect < 0.1  # the likelihood rises as it falls, without end
    opposite = fit_temperature(-4 * torch.eye(5), labels)
    assert 10 < opposite <= 100
    with torch.inference_mode():
        assert fit_temperature(*noisy()) == pytest.approx(fit_temperature(*noisy()))
    logits, _ = noisy()
    assert logits.grad is None


def test_bad_arguments() -> None:
    logits, labels = noisy()
    with pytest.raises(ValueError, match="bins is 0"):
        adaptive_ece(logits, labels, bins=0)
    with pytest.raises(ValueError, match="bins is 0"):
        classwise_ece(logits, labels, bins=0)
    with pytest.raises(ValueError, match="draws is 0"):
        noise_floor(torch.rand(3), generator=torch.Generator(), draws=0)
    for measure in (adaptive_ece, classwise_ece, fit_temperature):
        with pytest.raises(ValueError, match="NaN"):
            measure(logits * math.nan, labels)
