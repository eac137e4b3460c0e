"""Closed forms against all places counted by hand, and against drawn plans."""

from __future__ import annotations

import pytest
import torch

from mixwright.lab.evaluation.offset_maps import overlap
from mixwright.lab.theory.closed_forms import (
    box_moments,
    closed_form,
    mixup_coefficient,
    similar_boxes,
)
from mixwright.lab.theory.measured import measure_moments
from mixwright.masks.box import box_sides
from mixwright.mixers import CutMix, Cutout, GMix, MixUp

SIZE = (4, 5)


def places(sides, place):
    """All boxes of given sides with their chance, written out."""
    ranges = []
    for side, n in zip(sides, SIZE, strict=True):
        if place == "official":
            spans = [(max(0, c - side // 2), min(n, c + side // 2)) for c in range(n)]
        elif place == "fit":
            spans = [(c, c + side) for c in range(n - side + 1)]
        else:
            spans = (
                [(max(0, c), min(n, c + side)) for c in range(1 - side, n)] if side else [(0, 0)]
            )
        ranges.append(spans)
    chance = 1 / (len(ranges[0]) * len(ranges[1]))
    return [(chance, y, x) for y in ranges[0] for x in ranges[1]]


@pytest.mark.parametrize("place", ["official", "fit", "uniform"])
@pytest.mark.parametrize("weighed", [True, False])
def test_boxes_counted_one_by_one(place, weighed):
    law = [(0.25, (0, 0)), (0.5, (3, 2)), (0.25, (4, 4))]
    height, width = SIZE
    pairs = torch.zeros(20, 20).double()
    for weight, sides in law:
        for chance, (top, bottom), (left, right) in places(sides, place):
            inside = torch.zeros(SIZE).double()
            inside[top:bottom, left:right] = 1
            share, flat = float(inside.mean()), inside.flatten()
            one = torch.outer(flat, flat)
            two = torch.outer(1 - flat, 1 - flat)
            pairs += weight * chance * ((1 - share) * one + share * two if weighed else one)
    found = torch.zeros(7, 9).double()
    for j in range(20):
        for k in range(20):
            dy, dx = k // width - j // width, k % width - j % width
            found[dy + height - 1, dx + width - 1] += pairs[j, k]
    a, mean = box_moments(law, SIZE, placing=place, weighed=weighed)
    torch.testing.assert_close(a, found / overlap(SIZE), atol=1e-12, rtol=0)
    assert mean == pytest.approx(float(pairs.mean()), abs=1e-12)


def test_the_law_of_sides_is_that_of_the_boxes():
    law = similar_boxes(lambda share: share, (6, 9))
    assert sum(chance for chance, _ in law) == pytest.approx(1)
    shares = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    sides = box_sides(shares, (6, 9))
    for chance, (rows, columns) in law:
        drawn = ((sides[:, 0] == rows) & (sides[:, 1] == columns)).double().mean()
        assert abs(float(drawn) - chance) < 3e-5


@pytest.mark.parametrize(
    ("mixer", "mode"),
    [
        (CutMix(), "exact"),
        (CutMix(), "paper"),
        (CutMix(alpha=0.3, box="fit"), "exact"),
        (CutMix(alpha=2.0, box="uniform"), "paper"),
        (CutMix(minmax=(0.2, 0.7)), "exact"),
        (CutMix(lam=0.6), "exact"),
        (Cutout(length=5), "exact"),
        (MixUp(alpha=0.2), "exact"),
        (MixUp(alpha=2.0), "paper"),
    ],
)
def test_drawn_plans_agree_within_their_error(mixer, mode):
    found = measure_moments(mixer, torch.zeros(64, 1, 10, 8), mode=mode, count=4096, seed=3)
    assert 0 < found.summary["closed"]["deviation"] < 2.5
    closed, error = found.summary["closed"], found.summary["mean_error"]
    assert abs(found.summary["mean"] - closed["mean"]) < 3.5 * error + 1e-6
    assert abs(found.summary["a0"] - closed["a0"]) < 3.5 * found.summary["a0_error"] + 1e-6


def test_known_numbers():
    assert mixup_coefficient(1.0) == pytest.approx(0.16667, abs=1e-5)
    assert mixup_coefficient(0.2) == pytest.approx(0.07143, abs=1e-5)
    assert mixup_coefficient(2.0) == pytest.approx(0.2)
    assert mixup_coefficient(0.0) == 0
    # Boxes that keep their area, were it not for whole pixels: E[lam (1 - lam)] = 1/6.
    fitted = closed_form(CutMix(box="fit"), (128, 128))
    assert fitted is not None
    assert fitted.mean == pytest.approx(1 / 6, abs=3e-3)
    assert float(fitted.a[127, 127]) == pytest.approx(1 / 3, abs=5e-3)
    official = closed_form(CutMix(), (32, 32))
    assert official is not None
    assert float(official.a[31, 31]) == pytest.approx(0.353, abs=1e-3)
    assert float(official.a[62, 62]) == pytest.approx(0.211, abs=5e-3)
    nothing = closed_form(CutMix(alpha=0), (8, 8))
    assert nothing is not None
    assert nothing.mean == 0


def test_mean_over_pairs_is_that_of_the_map():
    for mixer in (CutMix(), CutMix(box="uniform"), Cutout(length=3)):
        found = closed_form(mixer, (6, 9))
        assert found is not None
        pairs = overlap((6, 9))
        assert float((found.a * pairs).sum() / pairs.sum()) == pytest.approx(found.mean, abs=1e-12)


def test_methods_without_one():
    assert closed_form(GMix(), (8, 8)) is None
    assert closed_form(Cutout(holes=2), (8, 8)) is None
    assert closed_form(MixUp(lam=0.5), (8, 8), mode="paper") is None
    assert closed_form(CutMix(minmax=(0.2, 0.4)), (8, 8), mode="paper") is None
    assert closed_form(Cutout(), (8, 8), mode="paper") is None
