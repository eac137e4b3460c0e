"""TokenMix: blocks of tokens, and labels by what is seen of each class."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mixwright.lab.models import build_model
from mixwright.masks.token_blocks import block_tokens, random_tokens
from mixwright.objectives import BinaryCrossEntropy, CrossEntropy
from mixwright.objectives.tokenmix import TokenBlocks, TokenMix, smoothed, with_activation_weights
from mixwright.plan import MixPlan
from mixwright.saliency import ClassActivation, salience
from mixwright.sampling import stream
from objectives.transformers import batch, learned, step, vit

# ------------------------------------------------------------------ masks


def test_blocks_cover_what_is_asked_for_and_never_more():
    generator = stream(0)
    counts = [int(block_tokens((14, 14), 112, generator=generator).sum()) for _ in range(200)]
    assert max(counts) == 112
    assert min(counts) > 100
    assert sum(count == 112 for count in counts) > 180  # as often as in the authors' code
    small = [int(block_tokens((14, 14), 5, generator=generator).sum()) for _ in range(50)]
    assert set(small) == {5}
    assert not block_tokens((14, 14), 0, generator=generator).any()
    assert not block_tokens((1, 1), 1, generator=generator).any()  # no block is smaller than this


def test_blocks_hang_together():
    generator = stream(0)

    def borders(mask: torch.Tensor) -> int:
        return int((mask[1:] ^ mask[:-1]).sum() + (mask[:, 1:] ^ mask[:, :-1]).sum())

    blocks = sum(borders(block_tokens((14, 14), 98, generator=generator)) for _ in range(40))
    loose = sum(borders(random_tokens((14, 14), 98, generator=generator)) for _ in range(40))
    assert blocks < loose / 2
    assert loose / 40 == pytest.approx(182, abs=10)  # half of the 364 borders


def test_every_token_can_be_taken():
    generator = stream(0)
    for draw in (block_tokens, random_tokens):
        taken = sum(draw((8, 8), 32, generator=generator).float() for _ in range(150)) / 150
        assert taken.min() > 0.08
        assert taken.max() < 0.95


@pytest.mark.parametrize(("lam", "count"), [(0.5, 112), (0.0, 196), (0.9, 33), (1.0, 0)])
def test_tokens_of_the_partner_are_counted_as_the_authors_count(lam: float, count: int):
    mixer = TokenBlocks(lam=lam, patch=16, kind="random", pairing="flip")
    plan = mixer.plan(torch.zeros(3, 3, 224, 224), generator=stream(0)).check()
    assert plan.mask.shape == (3, 2, 14, 14)
    assert plan.mask[:, 1].sum(dim=(1, 2)).tolist() == [count] * 3
    assert torch.equal(plan.mask[0], plan.mask[2])  # one mask a batch
    assert plan.index[:, 1].tolist() == [2, 1, 0]


def test_tokens_are_the_models_patches():
    images = torch.zeros(2, 3, 32, 32)
    plan = TokenBlocks().plan(images, generator=stream(0), model=vit(image_size=32))
    assert plan.mask.shape[-1] == 8
    assert TokenBlocks().plan(images, generator=stream(0)).mask.shape[-1] == 8
    assert TokenBlocks(patch=16).plan(images, generator=stream(0)).mask.shape[-1] == 2
    odd = TokenBlocks(patch=5).plan(torch.zeros(2, 3, 13, 9), generator=stream(0)).check()
    assert odd.mask.shape[-2:] == (13, 9)
    for size in ((1, 1), (3, 5)):
        plan = TokenBlocks().plan(torch.zeros(2, 3, *size), generator=stream(0)).check()
        assert torch.equal(plan.weight[:, 0], torch.ones(2))


# ------------------------------------------------------------------ labels


def test_weights_are_the_masses_that_are_seen():
    keep = torch.rand(2, 1, 4, 4, generator=stream(0)) < 0.5
    plan = MixPlan.pair(torch.tensor([1, 0]), keep)
    maps = torch.rand(2, 16, 16, generator=stream(1))
    maps = maps / maps.sum(dim=(1, 2), keepdim=True)
    weight = with_activation_weights(plan, maps).weight
    for b in range(2):
        own = other = 0.0
        for r in range(16):
            for c in range(16):
                mine = bool(keep[b, 0, r // 4, c // 4])
                own += maps[b, r, c].item() * mine
                other += maps[1 - b, r, c].item() * (not mine)
        assert weight[b].tolist() == pytest.approx([own, other], abs=1e-5)
    assert (weight.sum(dim=1) - 1).abs().max() > 1e-3


def test_an_unmixed_image_keeps_its_label():
    maps = torch.full((2, 8, 8), 1 / 64)
    plan = MixPlan.pair(torch.tensor([1, 0]), torch.ones(2, 1, 4, 4))
    torch.testing.assert_close(
        with_activation_weights(plan, maps).weight, torch.tensor([[1.0, 0.0]] * 2)
    )
    plan = MixPlan.pair(torch.tensor([1, 0]), torch.zeros(2, 1, 8, 8))
    torch.testing.assert_close(
        with_activation_weights(plan, maps).weight, torch.tensor([[0.0, 1.0]] * 2)
    )


def test_smoothing_is_taken_in_halves():
    labels = torch.tensor([0, 2])
    plan = MixPlan.pair(torch.tensor([1, 0]), torch.ones(2, 1, 1, 1))
    plan = plan.replace(weight=torch.tensor([[0.6, 0.3], [0.02, 0.9]]))
    found = smoothed(plan.targets(labels, 4), plan, labels, 0.1)
    off, half = 0.1 / 4, 0.05
    expected = [[0.6 - half + off, off, 0.3 - half + off, off]]
    expected += [[0.9 - half + off, off, max(0.02 - half + off, 0.0), off]]
    torch.testing.assert_close(found, torch.tensor(expected))
    assert torch.equal(smoothed(found, plan, labels, 0.0), found)
    twice = plan.replace(weight=torch.tensor([[0.9, 0.8], [0.5, 0.4]]))
    same = torch.tensor([2, 2])  # one class may be seen more than once, yet is no more than sure
    found = smoothed(twice.targets(same, 4), twice, same, 0.0)
    torch.testing.assert_close(found[:, 2], torch.tensor([1.0, 0.9]))


def test_a_whole_step_is_the_formula():
    model, (images, labels) = vit(sharp=0.3), batch()
    losses = step(TokenMix(p=1.0, pairing="flip"), model)
    assert losses.plan is not None
    maps = salience(ClassActivation(), images, labels, model=model, name="")
    keep = losses.plan.mask[:, :1]
    full = keep.repeat_interleave(4, 2).repeat_interleave(4, 3)[:, 0].expand(6, -1, -1)
    own, other = (maps * full).sum((1, 2)), (maps.flip(0) * (1 - full)).sum((1, 2))
    torch.testing.assert_close(losses.plan.weight, torch.stack([own, other], 1))
    hot = torch.eye(3)[labels]
    target = (own[:, None] * hot + other[:, None] * hot.flip(0)).clamp_max(1)
    mixed = images * full[:, None] + images.flip(0) * (1 - full[:, None])
    logits = model(mixed)
    each = F.binary_cross_entropy_with_logits(logits, target)  # targets need not sum to 1
    torch.testing.assert_close(losses.total, each)


def test_looking_at_the_unmixed_images_leaves_no_trace():
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = build_model("smallconv", num_classes=3, image_size=16)
            self.drop = nn.Dropout(0.5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.body(self.drop(images))

    model = Noisy()
    model.body.layer1.bn.eval()  # frozen by the user
    before = {name: value.clone() for name, value in model.body.layer2.bn.state_dict().items()}
    step(TokenMix(p=1.0), model).total.backward()
    assert int(model.body.layer2.bn.num_batches_tracked) - int(before["num_batches_tracked"]) == 1
    assert not model.body.layer1.bn.training
    assert model.drop.training
    assert model.body.layer2.bn.training


@pytest.mark.parametrize("kind", ["block", "random"])
def test_convolutional_models_and_teachers(kind: Any):
    model = build_model("smallconv", num_classes=3, image_size=16)
    teacher = vit(sharp=0.3)
    objective = TokenMix(teacher=teacher, p=1.0, kind=kind)
    assert not any(parameter.requires_grad for parameter in objective.parameters())
    assert all(parameter.requires_grad for parameter in teacher.parameters())
    assert objective.param_groups(None) == []
    losses = step(objective, model)
    losses.total.backward()
    images, labels = batch()
    maps = salience(ClassActivation(), images, labels, model=teacher, name="")
    torch.testing.assert_close(
        losses.plan.weight, with_activation_weights(losses.plan, maps).weight
    )


def test_any_saliency_counts():
    losses = step(TokenMix(teacher=lambda images, labels, model: images[:, 0], p=1.0), vit())
    images = batch()[0][:, 0]
    maps = images / images.sum(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(
        losses.plan.weight, with_activation_weights(losses.plan, maps).weight
    )
    assert step(TokenMix(teacher="spectral", p=1.0), vit()).total.isfinite()


def test_other_batches_and_a_batch_of_one():
    model = vit()
    losses = step(TokenMix(p=0.0), model)
    torch.testing.assert_close(losses.plan.weight.sum(dim=1), torch.ones(6))
    images, labels = batch()
    logits = model(losses.plan.images(images))
    expected = losses.plan.loss(BinaryCrossEntropy(), logits, labels)
    torch.testing.assert_close(losses.total, expected)
    one = step(TokenMix(p=1.0), model, count=1)
    torch.testing.assert_close(one.plan.weight, torch.tensor([[1.0, 0.0]]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lam": 2.0}, "TokenMix, in its TokenBlocks: lam is 2.0"),
        ({"kind": "box"}, "TokenMix: kind is 'box'"),
        ({"teacher": "gradcam"}, "TokenMix: teacher is 'gradcam'"),
        ({"smoothing": -0.1}, "TokenMix: smoothing is -0.1"),
        ({"patch": 0}, "TokenMix, in its TokenBlocks: patch is 0"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        TokenMix(**options)


def test_a_tiny_batch_is_learned():
    assert learned(TokenMix(criterion=CrossEntropy()))
