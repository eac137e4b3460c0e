"""CoMixup: groups, fallbacks and the doors, beyond the promises that every mixer keeps."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixwright.mixers.comixup import CoMixup
from mixwright.plan import MixPlan
from mixwright.sampling import dirichlet, stream


def draw(count: int, height: int, width: int, *, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, height, width, generator=stream(seed, count, height, width))


def spots(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
    """A saliency that is one bright spot a row, at another place in each."""
    count, _, height, width = images.shape
    cell = torch.arange(count, device=images.device) * 7 % (height * width)
    row, column = cell // width, cell % width
    far = (torch.arange(height)[None, :, None] - row[:, None, None]).square()
    far = far + (torch.arange(width) - column[:, None, None]).square()
    return torch.exp(-far / 20) + 0.02


def mix(images: Tensor, *, seed: int = 0, **options: Any) -> MixPlan:
    return CoMixup(**({"saliency": spots} | options)).plan(images, generator=stream(seed))


def full_weights(plan: MixPlan) -> Tensor:
    """Weights by row of the batch, ``(B, B)``."""
    count = len(plan)
    return torch.zeros(count, count).scatter_add_(1, plan.index, plan.weight)


@pytest.mark.parametrize("half_labels", [True, False])
def test_blocks_show_one_image_or_two_and_labels_follow(half_labels):
    plan = mix(draw(40, 16, 24), half_labels=half_labels).check()
    assert plan.mask.shape == (40, 17, 4, 4)
    levels = [0.0, 0.5, 1.0] if half_labels else [0.0, 1.0]
    assert plan.mask.unique().tolist() == levels
    assert plan.mask_form.binary is not half_labels
    assert torch.equal(plan.mask.sum(dim=1), torch.ones(40, 4, 4))
    assert torch.equal(plan.weight, plan.mask.mean(dim=(2, 3)))
    assert torch.equal(plan.weight.sum(dim=1), torch.ones(40))
    assert (plan.weight.diff(dim=1) <= 0).all()
    assert plan.weight[:, -1].max() == 0
    assert 1.5 < (plan.weight > 0).sum(dim=1).float().mean() < 5
    assert not plan.self_first
    assert plan.lam is None


def test_how_many_images_an_output_shows_depends_on_the_saliency() -> None:
    """As the docstring says. In ``flat`` a block gains at most 0.25 / 16 by showing another image,
    and each of its two to four sides costs 0.32 / 16."""

    def flat(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
        blocks = 1 + 0.25 * torch.rand(len(images), 1, 4, 4, generator=stream(1))
        return nn.functional.interpolate(blocks, images.shape[2:])[:, 0]

    def shown(saliency: Any) -> Tensor:
        plan = mix(draw(100, 16, 16), saliency=saliency)
        return (plan.weight > 0).sum(dim=1).bincount(minlength=6) / 100

    assert shown(flat)[1] == 1
    several = shown(spots)
    assert several[2] + several[3] > 0.6
    assert several[1] < 0.2


@pytest.mark.parametrize(("count", "group"), [(2, 20), (3, 3), (5, 3), (6, 4), (7, 3), (4, 1)])
def test_outputs_show_their_own_group_only(count, group):
    images = draw(count, 8, 8)
    plan = mix(images, group=group).check()
    weight = full_weights(plan)
    torch.testing.assert_close(weight.sum(dim=1), torch.ones(count))
    number = torch.arange(count) // group
    assert weight[number[:, None] != number].sum() == 0
    assert (number[plan.index] == number[:, None]).all()
    if count % group == 1 or group == 1:
        assert torch.equal(plan.images(images)[-1], images[-1])


def test_one_image_stays_as_it_is():
    images = draw(1, 8, 8)
    assert torch.equal(CoMixup().plan(images, generator=stream(0)).images(images), images)


def test_an_image_without_a_common_divisor_is_one_block():
    """Then images are dealt out whole, each to one output."""
    plan = mix(draw(6, 9, 7)).check()
    assert plan.mask.shape[2:] == (1, 1)
    weight = full_weights(plan)
    assert torch.equal(weight.sum(dim=0), torch.ones(6))
    assert torch.equal(weight.amax(dim=1), torch.ones(6))


def test_what_is_salient_is_kept_more_than_by_chance():
    images = draw(60, 16, 16)
    plan = mix(images)
    maps = spots(images)
    maps = maps / maps.sum(dim=(1, 2), keepdim=True)
    mask = plan.mask.repeat_interleave(4, 2).repeat_interleave(4, 3)
    kept = (mask * maps[plan.index]).sum(dim=(1, 2, 3))
    assert kept.mean() > 1.5  # 1 by chance


def test_outputs_of_a_group_differ_by_the_price_of_repetition():
    images = draw(40, 16, 16)
    share = {}
    for gamma in (0.0, 1.0):
        weight = full_weights(mix(images, gamma=gamma))
        share[gamma] = weight.sum(
            dim=0
        )  # how much of the batch each image is seen in, 1 on average
    assert share[1.0].max() < 2.2
    assert share[0.0].max() > 3
    assert share[1.0].min() > 0.1
    assert share[0.0].min() == 0


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_useless_saliency_is_as_good_as_none(value):
    images = draw(8, 8, 8)

    def constant(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
        return torch.full_like(images[:, 0], value)

    def even(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
        return torch.ones_like(images[:, 0])

    got, wanted = (mix(images, saliency=one).check() for one in (constant, even))
    assert torch.equal(full_weights(got), full_weights(wanted))
    assert got.weight.isfinite().all()


def test_each_setting_does_what_it_says():
    images = draw(12, 16, 16)
    usual = mix(images)
    for options in (
        {"group": 6},
        {"block": 2},
        {"beta": 1.0},
        {"gamma": 0.1},
        {"tau": 0.4},
        {"eta": 1.0},
        {"omega": 0.9},
        {"alpha": 0.1},
        {"iters": 2},
        {"half_labels": False},
    ):
        changed = mix(images, **options)
        same = changed.mask.shape == usual.mask.shape and torch.equal(changed.mask, usual.mask)
        assert not same, options
    one = full_weights(mix(images, beta=50.0, half_labels=False))
    assert one.max(dim=1).values.min() == 1
    fond = full_weights(mix(images, eta=100.0, gamma=0.0)).sum(dim=0)
    assert fond.max() == 12  # everybody shows the image that chance prefers
    liked = dirichlet(torch.full((1, 12), 2.0), generator=stream(0))
    assert fond.argmax() == liked.argmax()


def test_the_gradient_of_the_model_is_looked_at_and_left_alone():
    images, labels = draw(6, 8, 8), torch.arange(6) % 4
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 4))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        plan = CoMixup().plan(images, labels, generator=stream(0), model=model).check()
    assert plan.mask.shape == (6, 6, 4, 4)
    assert all(one.grad is None for one in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert model.training
    for options, word in (({"model": model}, "labels"), ({"labels": labels}, "model")):
        with pytest.raises(ValueError, match=f"CoMixup: {word}"):
            CoMixup().plan(images, generator=stream(0), **options)


def test_no_value_is_read(monkeypatch):
    monkeypatch.setattr("mixwright.sampling._on", lambda device, generator: None)
    images = torch.empty(7, 3, 8, 8, device="meta")

    def even(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
        return torch.ones_like(images[:, 0])

    plan = mix(images, group=4, saliency=even, iters=2)  # slow, tensors without data
    assert plan.images(images).device.type == "meta"
    assert plan.targets(torch.empty(7, dtype=torch.int64, device="meta"), 3).shape == (7, 3)


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("group", [0, 2.0, True, None]),
        ("block", [0, (4,), -1]),
        ("iters", [0, "4"]),
        ("beta", [-0.1, math.nan, True]),
        ("gamma", [-1, math.inf]),
        ("tau", [-0.5, None]),
        ("eta", [-1.0]),
        ("omega", [-0.1, 1.1]),
        ("alpha", [0, -1.0, math.inf]),
        ("set_resolve", ["yes", None]),
        ("half_labels", ["no"]),
        ("saliency", ["gradients", 3, None]),
    ],
)
def test_settings_out_of_range_are_refused(argument, values):
    for value in values:
        with pytest.raises(ValueError, match=f"CoMixup: {argument} is"):
            CoMixup(**{argument: value})


@pytest.mark.parametrize("shape", [(4, 3, 8), (4, 3, 8, 8, 8), (0, 3, 8, 8), (4, 3, 0, 8)])
def test_other_than_images_is_refused(shape):
    with pytest.raises(ValueError, match="CoMixup: images have shape"):
        mix(torch.zeros(shape))
