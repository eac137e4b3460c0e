"""Does a training underfit or overfit? By hand-made curves and accuracies."""

from __future__ import annotations

import math

import pytest

from lab.reports.pages import made_group
from mixwright.lab.analysis.curves import Curve, Curves
from mixwright.lab.analysis.diagnosis import fit, fits, last_rise
from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.measures import with_statistics


def group(method: str, top1: float, clean: float | None = None) -> Group:
    summary = {"top1": top1} | ({} if clean is None else {"clean_train": {"top1": clean}})
    (found,) = with_statistics([made_group(method, "raw", [summary], baseline=method == "none")])
    return found


def curves(train: float, *ema: float) -> Curves:
    """Of ten epochs, the test accuracy evaluated in the last ones."""
    epochs = tuple(range(11 - len(ema), 11))
    one = Curve(epochs=(10,), mean=(train,), low=(train,), high=(train,))
    return Curves(train=one, test={"raw": Curve(), "ema": Curve(epochs=epochs, mean=ema)})


@pytest.mark.parametrize(
    ("train", "test", "state"),
    [
        (1.00, 0.642, "overfits"),
        (0.95, 0.86, "overfits"),
        (0.99, 0.95, "fits"),
        (0.94, 0.70, "begins"),
        (0.67, 0.64, "underfits"),
    ],
)
def test_the_four_ways_to_fit(train: float, test: float, state: str) -> None:
    found = fit(group("none", test, train), None)
    assert (found.state, found.clean) == (state, True)
    assert (found.train, found.gap) == (train, pytest.approx(train - test))
    assert math.isnan(found.rise)
    assert not found.rising


def test_training_batches_stand_in_for_the_baseline_alone() -> None:
    base = fit(group("none", 0.64), curves(1.0))
    assert (base.state, base.clean, base.train) == ("overfits", False, 1.0)
    mixed = fit(group("cutmix", 0.64), curves(0.5))  # of mixed images, which say nothing
    assert (mixed.state, mixed.clean) == ("unknown", False)
    assert math.isnan(mixed.train)
    assert fit(group("none", 0.64), None).state == "unknown"
    measured = fit(group("none", 0.64, 0.7), curves(1.0))
    assert (measured.state, measured.train, measured.clean) == ("underfits", 0.7, True)


def test_one_run_without_clean_images_leaves_them_out() -> None:
    summaries = [{"top1": 0.6, "clean_train": {"top1": 0.99}}, {"top1": 0.6}]
    (mixed,) = with_statistics([made_group("none", "raw", summaries, baseline=True)])
    assert fit(mixed, None).state == "unknown"


def test_the_rise_is_that_of_averaged_weights_over_the_last_fifth() -> None:
    assert fit(group("none", 0.6), curves(0.5, 0.3, 0.5, 0.52, 0.6)).rise == pytest.approx(0.1)
    assert fit(group("none", 0.6), curves(0.5, 0.5, 0.505, 0.508)).rising is False
    assert math.isnan(fit(group("none", 0.6), curves(0.5, 0.6)).rise)
    raw = Curve(epochs=(8, 9, 10), mean=(0.5, 0.6, 0.7))
    alone = Curves(train=Curve(), test={"raw": raw, "ema": Curve()})
    assert fit(group("none", 0.7), alone).rise == pytest.approx(0.2)
    flat = Curve(epochs=(8, 9, 10), mean=(0.7, 0.7, 0.7))
    both = Curves(train=Curve(), test={"raw": raw, "ema": flat})
    assert fit(group("none", 0.7), both).rise == 0.0
    # Of six values and more, thirds: (0.5 + 0.6) / 2 less (0.0 + 0.1) / 2.
    six = Curve(epochs=tuple(range(25, 31)), mean=(0.0, 0.1, 0.2, 0.3, 0.5, 0.6))
    assert last_rise(six) == pytest.approx(0.5)
    assert math.isnan(last_rise(Curve()))


def test_the_baseline_comes_first() -> None:
    found = fits([group("cutmix", 0.6), group("none", 0.5)], {})
    assert [one.method for one in found] == ["none", "cutmix"]
