"""TransMix: weights half of area and half of attention, from the forward that trains."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixwright.lab.models import Normalised
from mixwright.masks.mask_forms import Box
from mixwright.mixers import CutMix, MixUp
from mixwright.objectives import BinaryCrossEntropy, CrossEntropy
from mixwright.objectives.attention_shares import keep_at, own_share
from mixwright.objectives.transmix import TransMix
from mixwright.plan import MixPlan
from mixwright.sampling import stream
from mixwright.taps.attention import attending
from objectives.transformers import batch, learned, step, vit


def boxed(*edges: tuple[int, int, int, int], size: int = 16) -> MixPlan:
    """A plan whose partners show in boxes of (first row, last row + 1, first, last + 1)."""
    box = Box(torch.tensor(edges).view(-1, 2, 2), (size, size))
    return MixPlan.pair(torch.arange(len(edges)).flip(0), box)


def seen(attention: Tensor) -> Any:
    side = int(attention.shape[1] ** 0.5)
    return SimpleNamespace(grid=(side, side), class_row=lambda: attention)


def test_all_attention_in_the_box_gives_the_partner_half_of_what_it_has_not():
    plan = boxed((4, 12, 0, 8), (0, 8, 0, 8))
    attention = torch.zeros(2, 16)
    attention[:, 4] = 1.0  # row 1, column 0 of 4 x 4 tokens
    weight = TransMix().weighted(plan, seen(attention)).weight
    torch.testing.assert_close(weight[:, 1], torch.tensor([(0.25 + 1) / 2, (0.25 + 1) / 2]))
    attention = torch.zeros(2, 16)
    attention[:, 3] = 5.0  # outside of both
    weight = TransMix().weighted(plan, seen(attention)).weight
    torch.testing.assert_close(weight[:, 1], torch.tensor([0.125, 0.125]))
    torch.testing.assert_close(weight.sum(dim=1), torch.ones(2))


def test_even_attention_gives_the_area_on_the_grid():
    plan = boxed((3, 10, 1, 16))  # rows 4 and 8, columns 4, 8 and 12 begin inside
    even = torch.full((1, 16), 0.01)
    own = TransMix().weighted(plan, seen(even)).weight[0, 0].item()
    assert own == pytest.approx(((1 - 105 / 256) + (1 - 6 / 16)) / 2)
    own = TransMix(resize="area").weighted(plan, seen(even)).weight[0, 0].item()
    assert own == pytest.approx(1 - 105 / 256)


def test_shares_follow_the_formula_token_by_token():
    attention = torch.rand(3, 16, generator=stream(1))
    plan = boxed((0, 9, 2, 11), (5, 16, 5, 16), (7, 7, 0, 0))
    kept = TransMix().weighted(plan, seen(attention)).weight[:, 0]
    for b, (top, bottom, left, right) in enumerate([(0, 9, 2, 11), (5, 16, 5, 16), (7, 7, 0, 0)]):
        inside = sum(
            attention[b, 4 * r + c].item()
            for r in range(4)
            for c in range(4)
            if top <= 4 * r < bottom and left <= 4 * c < right
        )
        area = (bottom - top) * (right - left) / 256
        other = (area + inside / attention[b].sum().item()) / 2
        assert kept[b].item() == pytest.approx(1 - other, abs=1e-6)


def test_no_attention_at_all_counts_the_grid():
    keep = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    assert own_share(torch.zeros(1, 4), keep).item() == 0.25
    assert own_share(torch.full((1, 4), 1e-30), keep).item() == pytest.approx(0.25)


def test_masks_of_every_form_come_to_the_grid():
    images = torch.zeros(2, 3, 16, 16)
    plan = MixUp(lam=0.75).plan(images, generator=stream(0))
    for resize in ("nearest", "area"):
        torch.testing.assert_close(keep_at(plan, (4, 4), resize), torch.full((2, 16), 0.75))


def test_weights_come_from_the_forward_on_the_mixed_images():
    model, objective = vit(sharp=0.3), TransMix(p=1.0)
    losses = step(objective, model)
    assert losses.plan is not None
    images, labels = batch()
    with attending(model) as again:
        logits = model(losses.plan.images(images))
    expected = (
        losses.plan.mask_form.means()[:, 0]
        + own_share(again.class_row(), keep_at(losses.plan, (4, 4), "nearest"))
    ) / 2
    torch.testing.assert_close(losses.plan.weight[:, 0], expected)
    assert (losses.plan.weight[:, 0] - losses.plan.mask_form.means()[:, 0]).abs().max() > 1e-3
    torch.testing.assert_close(losses.logits, logits)
    torch.testing.assert_close(losses.total, losses.plan.loss(CrossEntropy(), logits, labels))
    flipped = step(TransMix(p=1.0, pairing="flip"), model).plan
    assert flipped.index[:, 1].tolist() == [5, 4, 3, 2, 1, 0]


def test_weights_are_numbers_to_the_gradient():
    model, objective = vit(sharp=0.3), TransMix(p=1.0)
    losses = step(objective, model)
    assert losses.plan is not None
    assert not losses.plan.weight.requires_grad
    losses.total.backward()
    found = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    images, labels = batch()
    weight = losses.plan.weight.clone()
    fixed = losses.plan.replace(weight=weight)
    fixed.loss(CrossEntropy(), model(fixed.images(images)), labels).backward()
    for mine, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad)


def test_p_is_the_rate_of_batches():
    model, objective = vit(depth=1), TransMix(p=0.7)
    generator = stream(0)
    boxes = 0
    for _ in range(150):
        losses = objective(model, *batch(2), generator=generator, progress=0.0)
        assert losses.plan is not None
        boxes += losses.plan.boxes is not None
    assert boxes == pytest.approx(105, abs=18)
    assert step(TransMix(p=0.0), model).plan.boxes is None
    other = step(TransMix(p=0.0, otherwise=CutMix(lam=0.5)), model).plan
    assert other.boxes is not None
    torch.testing.assert_close(other.lam, torch.full((6,), 0.5))


def test_the_layer_that_is_named_counts():
    model = vit(sharp=0.3)
    last, first = (step(TransMix(p=1.0, layer=at), model).plan.weight for at in (None, "blocks.0"))
    same = step(TransMix(p=1.0, layer="blocks.1.attn"), model).plan.weight
    assert torch.equal(last, same)
    assert not torch.equal(last, first)


def test_wrapped_models_and_a_batch_of_one():
    model = vit(sharp=0.3)
    wrapped = Normalised(model, [0.0] * 3, [1.0] * 3)
    plain = step(TransMix(p=1.0), model).plan.weight
    torch.testing.assert_close(step(TransMix(p=1.0), wrapped).plan.weight, plain)
    torch.testing.assert_close(step(TransMix(p=1.0), nn.DataParallel(model)).plan.weight, plain)
    one = step(TransMix(p=1.0), model, count=1)
    assert one.plan.weight.tolist() == [[1.0, 0.0]]
    assert one.total.isfinite()


def test_any_criterion_and_soft_labels():
    model, (images, labels) = vit(sharp=0.3), batch()
    objective = TransMix(p=1.0, criterion=BinaryCrossEntropy())
    soft = nn.functional.one_hot(labels, 3).float()
    hard = objective(model, images, labels, generator=stream(3), progress=0.0).total
    same = objective(model, images, soft, generator=stream(3), progress=0.0).total
    torch.testing.assert_close(hard, same)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1.0}, "TransMix, in its CutMix: alpha is -1.0"),
        ({"p": 1.5}, "TransMix: p is 1.5"),
        ({"resize": "cubic"}, "TransMix: resize is 'cubic'"),
        ({"otherwise": MixUp}, "TransMix: otherwise is <class .*an object with a plan"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        TransMix(**options)


def test_models_that_cannot_be_read():
    with pytest.raises(ValueError, match="has no attention that can be read"):
        TransMix().build(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), 3)
    with pytest.raises(ValueError, match=r"'blocks.9' is no attention layer"):
        TransMix(layer="blocks.9").build(vit(), 3)


def test_a_tiny_batch_is_learned():
    assert learned(TransMix())
