"""Cutout: how much is cut, what shows there, and whose gradient is gone."""

from __future__ import annotations

import pytest
import torch

from mixwright.mixers import Cutout
from mixwright.sampling import stream


@pytest.mark.parametrize(("length", "side"), [(4, 4), (5, 4), (0.5, 8), (0.3, 4)])
def test_holes_are_squares_of_the_length_clipped_at_the_border(length, side):
    images = torch.ones(200, 1, 16, 20)
    cut = Cutout(length=length).plan(images, generator=stream(0)).images(images) == 0
    area = cut.sum(dim=(1, 2, 3))
    assert area.max() == side**2
    assert area.min() < side**2
    rows, columns = cut.any(dim=3).sum(dim=(1, 2)), cut.any(dim=2).sum(dim=(1, 2))
    assert torch.equal(area, rows * columns)


def test_several_holes_are_several_draws():
    images = torch.ones(100, 1, 32, 32)
    one, four = (
        1 - Cutout(length=6, holes=n).plan(images, generator=stream(0)).mask[:, 0] for n in (1, 4)
    )
    assert four.sum(dim=(1, 2)).max() <= 4 * 36
    assert four.mean() > 3 * one.mean()


def test_middle_pixels_are_cut_more_often_than_corners():
    plan = Cutout(length=8).plan(torch.ones(4000, 1, 16, 16), generator=stream(0))
    chance = 1 - plan.mask[:, 0].mean(dim=0)
    # A pixel is cut by centres in 8 x 8 places around it, fewer than 4 x 5 of them at a corner.
    assert chance[8, 8].item() == pytest.approx(64 / 256, abs=0.03)
    assert chance[0, 0].item() == pytest.approx(25 / 256, abs=0.02)
    assert chance[15, 15].item() == pytest.approx(16 / 256, abs=0.02)


def test_labels_are_untouched_and_nothing_flows_back_from_a_hole():
    images = torch.rand(5, 3, 8, 8, generator=stream(0)).requires_grad_()
    plan = Cutout().plan(images, torch.arange(5), generator=stream(1))
    assert torch.equal(plan.targets(torch.arange(5), 5), torch.eye(5))
    plan.images(images).sum().backward()
    assert images.grad is not None
    assert torch.equal(images.grad, plan.mask[:, :1].expand_as(images))


@pytest.mark.parametrize("fill", [0.0, -1.5, (0.1, 0.2, 0.3)])
def test_a_hole_shows_the_fill(fill):
    images = torch.full((6, 3, 8, 8), 7.0)
    plan = Cutout(fill=fill).plan(images, generator=stream(0))
    mixed, hole = plan.images(images), plan.mask[:, 1] == 1
    colour = torch.tensor(fill).expand(3)
    for channel in range(3):
        assert (mixed[:, channel][hole] == colour[channel]).all()
        assert (mixed[:, channel][~hole] == 7).all()


def test_noise_fills_with_normal_numbers_of_its_own_for_each_sample():
    images = torch.full((64, 3, 16, 16), 7.0)
    plan = Cutout(length=12, fill="noise").plan(images, generator=stream(0))
    shown = plan.images(images)[plan.mask[:, 1:].expand_as(images) == 1]
    assert shown.mean().item() == pytest.approx(0, abs=0.05)
    assert shown.std().item() == pytest.approx(1, abs=0.05)
    assert len(shown.unique()) > 0.99 * len(shown)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 0}, "length is 0"),
        ({"length": 1.0}, "length is 1.0"),
        ({"length": 1.5}, "length is 1.5"),
        ({"holes": 0}, "holes is 0"),
        ({"holes": 1.5}, "holes is 1.5"),
        ({"fill": "red"}, "fill is 'red'"),
        ({"fill": (0.0, float("nan"))}, r"fill is \(0\.0, nan\)"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=f"Cutout: {message}"):
        Cutout(**settings)


def test_a_fill_of_other_channels_is_refused():
    with pytest.raises(ValueError, match="fill has 2 numbers, images have 3 channels"):
        Cutout(fill=(0.0, 1.0)).plan(torch.rand(2, 3, 8, 8), generator=stream(0))
