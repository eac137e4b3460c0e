"""HMix: between MixUp and CutMix, with lam kept exactly."""

from __future__ import annotations

import pytest
import torch

from mixwright.masks.mask_forms import Box
from mixwright.mixers import CutMix, HMix
from mixwright.sampling import stream

IMAGES = torch.zeros(500, 1, 32, 32)


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.75, 1.0])
def test_the_mean_of_every_mask_is_lam(ratio):
    plan = HMix(ratio=ratio).plan(IMAGES, generator=stream(0))
    assert plan.lam is not None
    torch.testing.assert_close(plan.mask[:, 0].mean(dim=(1, 2)), plan.lam, atol=2e-6, rtol=0)
    torch.testing.assert_close(plan.weight[:, 0], plan.lam, atol=1e-6, rtol=0)


def test_masks_have_two_levels_zero_and_one_other():
    plan = HMix(lam=0.6).plan(IMAGES, generator=stream(0))
    for mask in plan.mask[:, 0]:
        levels = mask.unique()
        assert len(levels) == 2
        assert levels[0] == 0
        assert 0.6 < levels[1] <= 1


def test_ratio_zero_is_mixup():
    plan = HMix(ratio=0.0, lam=0.3).plan(IMAGES, generator=stream(0))
    torch.testing.assert_close(plan.mask[:, 0], torch.full((500, 32, 32), 0.3))


def test_ratio_one_is_cutmix_where_nothing_is_clipped():
    ours = HMix(ratio=1.0, lam=0.75).plan(IMAGES, generator=stream(0))
    theirs = CutMix(lam=0.75).plan(IMAGES, generator=stream(0))
    assert isinstance(ours.mask_form, Box)
    assert isinstance(theirs.mask_form, Box)
    assert torch.equal(ours.mask_form.edges, theirs.mask_form.edges)
    full = theirs.weight[:, 0] == 0.75
    assert 50 < full.sum() < 500
    torch.testing.assert_close(ours.mask[full], theirs.mask[full])
    # Where the border takes part of the box, the outside makes up for it.
    clipped = ours.mask[~full, 0]
    assert (clipped.amax(dim=(1, 2)) < 1).all()


def test_a_box_that_fills_the_image_leaves_nothing():
    plan = HMix(ratio=1.0, lam=0.0).plan(IMAGES, generator=stream(0)).check()
    assert plan.weight[:, 0].max() == 0


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_ratios_out_of_range_are_named(ratio):
    with pytest.raises(ValueError, match="HMix: ratio is"):
        HMix(ratio=ratio)
