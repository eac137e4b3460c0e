"""The calibration error after temperature scaling, against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from torch import Tensor

from mixwright.lab.evaluation import ece, rescale


def drawn(count: int, *, scale: float, seed: int = 0, classes: int = 5) -> tuple[Tensor, Tensor]:
    """Logits that are ``scale`` times too sure of labels drawn from them."""
    rng = np.random.default_rng(seed)
    true = 2 * rng.normal(size=(count, classes))
    labels = [rng.choice(classes, p=softmax(row)) for row in true]
    return torch.tensor(scale * true, dtype=torch.float32), torch.tensor(labels)


def oracle_temperature(logits: Tensor, labels: Tensor) -> float:
    """The likeliest temperature by scipy's bracketed search in the inverse temperature."""
    scores, wanted = logits.double().numpy(), labels.numpy()

    def loss(cold: float) -> float:
        return -log_softmax(cold * scores, axis=1)[np.arange(len(wanted)), wanted].mean()

    found = minimize_scalar(loss, bounds=(1e-2, 1e2), method="bounded", options={"xatol": 1e-12})
    return 1 / found.x


def oracle_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """The error over 15 bins closed on the right, bin by bin."""
    total = 0.0
    for place in range(15):
        held = (confidence > place / 15) & (confidence <= (place + 1) / 15)
        if held.any():
            total += held.mean() * abs(right[held].mean() - confidence[held].mean())
    return total


@pytest.mark.parametrize("scale", [0.2, 1.0, 4.0])
def test_fitted_on_held_out_images_where_there_are_some(scale: float) -> None:
    logits, labels = drawn(400, scale=scale)
    held = drawn(300, scale=scale, seed=1)
    found = rescale(logits, labels, held_out=held)
    assert found.temperature == pytest.approx(oracle_temperature(*held), rel=1e-4)
    likely = softmax(logits.double().numpy() / found.temperature, axis=1)
    right = likely.argmax(axis=1) == labels.numpy()
    assert found.ece_scaled == pytest.approx(oracle_error(likely.max(axis=1), right), abs=1e-9)


def test_a_known_temperature_is_given_back() -> None:
    logits, labels = drawn(20_000, scale=1.0)
    for factor in (0.25, 1.0, 3.0):
        found = rescale(factor * logits, labels)
        assert found.temperature == pytest.approx(factor, rel=0.03)
        assert found.ece_scaled is not None
        assert found.ece_scaled < 0.012  # of drawn outcomes alone it is about that
    assert ece(3 * logits, labels) > 0.1
    both = [rescale(factor * logits, labels).ece_scaled for factor in (1.0, 3.0)]
    assert both[0] == pytest.approx(both[1], abs=1e-4)  # scaling away what was scaled


def test_halves_take_turns_within_a_class_and_are_scaled_by_the_other_one() -> None:
    """By hand: images of class 0 go to halves A, B, A, B, ...; the one of class 1 to A as well.

    Sorted by class the places are 0 1 2 3 4 5 (class 0), 6 7 (class 1): even ones are half A.
    """
    logits = torch.tensor([[2.0, 0.0]]).repeat(8, 1)
    labels = torch.tensor([0, 1, 0, 0, 1, 0, 0, 0])
    # Each half has 3 of 4 right: logit 2 / T is log(3), and 75 % sure is what it is.
    found = rescale(logits, labels)
    assert found.temperature == pytest.approx(2 / math.log(3))
    assert found.ece_scaled == pytest.approx(0, abs=1e-6)

    # Half A (images 0, 3, 6 and 1) is 4 times as sure: its own temperature is 4 times as high,
    # that of B is used, and the reverse.
    logits[[0, 3, 6, 1]] *= 4
    found = rescale(logits, labels)
    assert found.temperature == pytest.approx(2 * 2 / math.log(3))  # the geometric mean
    sure_a, sure_b = 3**4 / (3**4 + 1), 3**0.25 / (3**0.25 + 1)
    assert found.ece_scaled == pytest.approx((sure_a - 0.75) / 2 + (0.75 - sure_b) / 2)


def test_no_image_is_scaled_by_a_temperature_that_was_fitted_on_it() -> None:
    logits, labels = drawn(60, scale=3.0)
    by_class = labels.argsort(stable=True)
    wanted = logits.double().numpy().copy()
    for judged, fitted in ((by_class[::2], by_class[1::2]), (by_class[1::2], by_class[::2])):
        wanted[judged] /= oracle_temperature(logits[fitted], labels[fitted])
    likely = softmax(wanted, axis=1)
    right = likely.argmax(axis=1) == labels.numpy()
    found = rescale(logits, labels)
    assert found.ece_scaled == pytest.approx(oracle_error(likely.max(axis=1), right), abs=1e-5)


def test_a_single_image_is_no_two_halves() -> None:
    one = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    assert (rescale(*one).ece_scaled, rescale(*one).temperature) == (None, None)
    assert rescale(*one, held_out=drawn(50, scale=1.0, classes=2)).ece_scaled is not None


def test_what_cannot_be_judged_is_refused() -> None:
    logits, labels = drawn(10, scale=1.0)
    with pytest.raises(ValueError, match="logits of 1 of 10 images are NaN"):
        rescale(logits.index_fill(0, torch.tensor([3]), math.nan), labels)
    with pytest.raises(ValueError, match=r"labels are outside \[0, 5\)"):
        rescale(logits, labels, held_out=(logits, labels + 5))
