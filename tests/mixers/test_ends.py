"""The ends of what is swept: where a method becomes a simpler one, exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cases import cases
from mixwright.mixers import AGMix, CutMix, FMix, GridMix, HMix, MiAMix, MixUp
from mixwright.objectives import AdAutoMix
from mixwright.sampling import stream


@pytest.mark.parametrize("views", [1, 2])
def test_a_self_mix_has_the_label_of_the_sample_exactly(views):
    labels = torch.arange(24) % 5
    mixer = MiAMix(p_self=1.0, views=views)
    both = labels.repeat(views)
    plan = mixer.plan(torch.rand(24 * views, 3, 16, 16), generator=stream(0))
    targets = plan.targets(both, 5)
    assert torch.equal(targets, torch.nn.functional.one_hot(labels, 5).float())


class Listening:
    """A pair mixer that notes with what it was asked for masks."""

    def __init__(self, mixer):
        self.mixer, self.asked = mixer, []

    def __getattr__(self, name):
        return getattr(self.mixer, name)

    def keep(self, lam, *, size, generator):
        own = torch.Generator()
        own.set_state(generator.get_state())
        self.asked.append((lam, own))
        return self.mixer.keep(lam, size=size, generator=generator)


@pytest.mark.parametrize("merge", ["sequential", "sum"])
@pytest.mark.parametrize("method", [MixUp(), CutMix(), FMix(), GridMix(), HMix(), AGMix()])
def test_one_layer_is_the_single_method(method, merge):
    """From where its mask is drawn on: before that MiAMix draws self-mixes and its choices."""
    heard = Listening(method)
    mixer = MiAMix(
        methods=(heard,), weights=(1.0,), layers=1, merge=merge,
        p_self=0.0, p_smooth=0.0, p_rotate=0.0, p_shear=0.0,
    )  # fmt: skip
    plan = mixer.plan(torch.rand(8, 3, 16, 16), generator=stream(0))
    ((lam, generator),) = heard.asked
    alone = method.keep(lam, size=(16, 16), generator=generator).first()[:, 0].float()
    found = plan.mask[:, 0]
    if method in (CutMix(), FMix(), GridMix()):  # masks of 0 and 1
        assert torch.equal(found, alone.expand(-1, 16, 16))
    else:  # 1 - (1 - x) rounds once
        torch.testing.assert_close(found, alone.expand(-1, 16, 16), atol=1.2e-7, rtol=0)


@cases(alpha=True, labels_follow_pixels=True, model=False)
def test_a_share_of_one_leaves_images_and_labels(case):
    images, labels = torch.rand(6, 3, 16, 16), torch.arange(6)
    options = {"alpha": 0.0} | ({"p_self": 0.0} if case.self_mixing else {})
    plan = replace(case.mixer, **options).plan(images, labels, generator=stream(0))
    assert torch.equal(plan.images(images), images)
    assert torch.equal(plan.targets(labels, 6), torch.eye(6))


def test_one_image_is_no_mixture():
    with pytest.raises(ValueError, match="at least 2"):
        AdAutoMix(sources=1)
