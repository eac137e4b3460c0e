"""MixUp and CutMix: laws, boxes and options against hand-worked cases and known statistics."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mixwright.masks.box import box_sides, clipped_box, fitted_box, uniform_box
from mixwright.mixers import CutMix, MixUp
from mixwright.sampling import stream

MANY = torch.empty(4000, 1, 32, 32)


def _own(mixer: CutMix | MixUp, images: Tensor = MANY, seed: int = 0) -> Tensor:
    return mixer.plan(images, generator=stream(seed)).weight[:, 0].double()


@pytest.mark.parametrize("alpha", [0.2, 1, 2.0])
def test_mixup_shares_have_the_moments_of_their_law(alpha):
    own = _own(MixUp(alpha=alpha))
    variance = 1 / (4 * (2 * alpha + 1))
    assert own.mean().item() == pytest.approx(0.5, abs=4 * math.sqrt(variance / len(own)))
    assert own.var().item() == pytest.approx(variance, rel=0.08)


@pytest.mark.parametrize(("side", "mean"), [(32, 0.701), (64, 0.688), (224, 0.683)])
def test_official_boxes_keep_more_than_half_on_average(side, mean):
    """Clipping at the border; the figures are those of the authors' procedure at alpha 1."""
    own = _own(CutMix(), torch.empty(4000, 1, side, side))
    assert own.mean().item() == pytest.approx(mean, abs=0.013)


def test_small_alpha_leaves_many_boxes_empty():
    own = _own(CutMix(alpha=0.2))
    rate = own.eq(1).double().mean().item()
    assert rate == pytest.approx(0.18, abs=4 * math.sqrt(0.18 * 0.82 / len(own)))


def test_fitted_boxes_have_the_area_of_their_floored_sides():
    plan = CutMix(box="fit").plan(MANY, generator=stream(1))
    side = (32 * (1 - plan.lam.double()).sqrt()).floor()
    torch.testing.assert_close(plan.weight[:, 1].double(), side**2 / 1024, atol=1e-6, rtol=0)


def test_official_boxes_by_hand():
    # lam 0.75 of 8 x 6: sides 4 and 3, half sides 2 and 1; centres at pixels (1, 5) and (7, 0).
    sides = box_sides(torch.tensor([0.25, 0.25]), (8, 6))
    assert sides.tolist() == [[4, 3], [4, 3]]
    place = torch.tensor([[0.2, 0.9], [0.99, 0.0]])
    assert clipped_box(sides, place, (8, 6)).tolist() == [[[0, 3], [4, 6]], [[5, 8], [0, 1]]]
    assert fitted_box(sides, place, (8, 6)).tolist() == [[[1, 5], [3, 6]], [[4, 8], [0, 3]]]


def test_uniform_boxes_cover_every_pixel_equally_often():
    count = 60_000
    sides = torch.full((count, 1), 3)
    place = torch.rand(count, 1, generator=stream(2))
    edges = uniform_box(sides, place, (8,))[:, 0]
    pixel = torch.arange(8)
    hit = ((pixel >= edges[:, :1]) & (pixel < edges[:, 1:])).double().mean(dim=0)
    bound = 4 * math.sqrt(0.3 * 0.7 / count)
    assert (hit - 3 / 10).abs().max() < bound  # 10 places touch the image, 3 cover each pixel
    assert uniform_box(torch.zeros(1, 2).long(), torch.rand(1, 2), (8, 8)).sum() == 0


def test_official_centres_are_uniform_over_pixels():
    count = 16_000
    edges = clipped_box(torch.full((count, 1), 2), torch.rand(count, 1, generator=stream(3)), (8,))
    centre = (edges[:, 0, 1] - 1).bincount(minlength=8).double() / count
    assert (centre - 1 / 8).abs().max() < 4 * math.sqrt(1 / 8 * 7 / 8 / count)


def test_minmax_draws_both_sides_within_their_limits():
    plan = CutMix(minmax=(0.25, 0.5)).plan(MANY, generator=stream(4))
    assert plan.boxes is not None
    sides = plan.boxes[..., 1] - plan.boxes[..., 0]
    assert sides.min() == 8
    assert sides.max() in (15, 16)
    assert (sides[:, 0] != sides[:, 1]).any()
    assert plan.lam is None
    fixed = CutMix(minmax=(0.25, 0.5), lam=0.75, box="fit").plan(MANY, generator=stream(4))
    assert fixed.weight[:, 0].unique().tolist() == [0.75]


@pytest.mark.parametrize("minmax", [(0.5, 0.2), (0.0, 0.5), (0.5, 1.0), (0.5,)])
def test_limits_out_of_order_are_named(minmax):
    with pytest.raises(ValueError, match=r"minmax is .*expected (two numbers, )?\(low, high\)"):
        CutMix(minmax=minmax)


def test_height_and_width_are_not_confused():
    plan = CutMix(lam=0.5).plan(torch.empty(500, 1, 4, 40), generator=stream(5))
    assert plan.boxes is not None
    assert plan.boxes[:, 0].max() <= 4
    assert plan.boxes[:, 1].max() > 30


def test_vectors_are_for_mixup():
    with pytest.raises(ValueError, match="MixUp mixes vectors"):
        CutMix().plan(torch.zeros(4, 10), generator=stream(0))
