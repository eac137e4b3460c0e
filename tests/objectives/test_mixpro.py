"""MixPro: exact cells, and labels between area and attention."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mixwright.lab.models import build_model
from mixwright.masks.cells import cell_grid, cell_planes
from mixwright.objectives import CrossEntropy
from mixwright.objectives.attention_shares import keep_at, own_share
from mixwright.objectives.mixpro import MaskMix, MixPro, confidence
from mixwright.sampling import stream
from mixwright.taps.attention import attending
from mixwright.taps.sites import patch_side
from objectives.transformers import batch, learned, step, vit

# ------------------------------------------------------------------ MaskMix


@pytest.mark.parametrize("lam", [0.0, 0.01, 0.25, 0.3, 7 / 16, 0.999, 1.0])
def test_cells_kept_are_the_share_rounded_up(lam: float):
    plan = MaskMix(lam=lam, patch=4).plan(torch.zeros(5, 3, 16, 16), generator=stream(0))
    kept = plan.mask[:, 0].flatten(1).sum(dim=1)
    assert kept.tolist() == [math.ceil(16 * lam)] * 5
    assert plan.mask.shape == (5, 2, 4, 4)
    torch.testing.assert_close(plan.weight[:, 0], kept / 16)


def test_cells_are_each_samples_own_and_every_cell_can_be_either():
    plan = MaskMix(lam=0.5, per="batch", patch=4).plan(
        torch.zeros(64, 3, 16, 16), generator=stream(0)
    )
    kept = plan.mask[:, 0].flatten(1)
    assert len({tuple(row) for row in kept.tolist()}) > 60
    assert kept.mean(dim=0).min() > 0.25
    assert kept.mean(dim=0).max() < 0.75
    shares = MaskMix(per="batch", patch=4).plan(torch.zeros(8, 3, 16, 16), generator=stream(0))
    assert len(set(shares.weight[:, 0].tolist())) == 1
    shares = MaskMix(patch=4).plan(torch.zeros(8, 3, 16, 16), generator=stream(0))
    assert len(set(shares.weight[:, 0].tolist())) > 2


def test_cells_at_the_border_are_cut():
    assert cell_grid((10, 7), 4) == (3, 2)
    keep = torch.tensor([[[[1, 0], [0, 1], [1, 1]]]]).bool()
    held = cell_planes(keep, side=4, size=(10, 7))
    slow = [[bool(keep[0, 0, r // 4, c // 4]) for c in range(7)] for r in range(10)]
    assert held.values[0, 0].tolist() == slow
    plan = MaskMix(lam=0.5, patch=4).plan(torch.rand(4, 3, 10, 7), generator=stream(0)).check()
    shown = plan.images(torch.eye(4)[:, :, None, None].expand(4, 4, 10, 7)).mean(dim=(2, 3))
    torch.testing.assert_close(shown, plan.targets(torch.arange(4), 4))


def test_masks_are_drawn_as_asked_for():
    objective = MixPro(alpha=2.0, patch=4, lam=0.25, per="batch", pairing="flip")
    assert objective.mixer == MaskMix(alpha=2.0, patch=4, lam=0.25, per="batch", pairing="flip")


def test_default_cells_are_a_quarter_in_whole_patches():
    model = vit()  # patches of 4
    assert patch_side(model) == 4
    assert patch_side(nn.DataParallel(model)) == 4
    assert patch_side(build_model("smallconv", num_classes=2, image_size=32)) is None
    assert patch_side(nn.Linear(2, 2)) is None
    mixer = MaskMix(lam=0.5)
    cases = ((32, None, 4), (32, model, 4), (24, None, 4), (24, model, 3), (40, model, 4))
    for side, given, cells in cases:  # 24 / 4 = 6 pixels are two patches of 4
        plan = mixer.plan(torch.zeros(2, 3, side, side), generator=stream(0), model=given)
        found = plan.mask.shape[-1] if side != 40 else len(set(_borders(plan.mask)))
        assert found == cells
    plan = mixer.plan(torch.zeros(2, 3, 1, 1), generator=stream(0))
    assert plan.mask.shape == (2, 2, 1, 1)


def _borders(mask: torch.Tensor) -> list[int]:
    return [0, 12, 24, 36] if mask.shape[-1] == 40 else []  # 40 / 4 = 10 pixels, rounded to 12


@pytest.mark.parametrize(
    ("options", "message"),
    [({"patch": 0}, "MaskMix: patch is 0"), ({"lam": 2.0}, "MaskMix: lam is 2.0")],
)
def test_bad_arguments_of_the_mixer(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        MaskMix(**options)
    with pytest.raises(ValueError, match=f"MixPro, in its {message}"):
        MixPro(**options)


# ------------------------------------------------------------------ labels


def test_confidence_is_the_cosine():
    logits, targets = torch.randn(4, 5, generator=stream(0)), torch.eye(5)[:4]
    smooth = 0.9 * targets + 0.1 / 5
    probable = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    slow = (smooth * probable).sum(1) / (smooth.norm(dim=1) * probable.norm(dim=1))
    torch.testing.assert_close(confidence(logits, targets, smoothing=0.1), slow)
    sure = confidence(targets * 60, targets, smoothing=0.0)
    torch.testing.assert_close(sure, torch.ones(4))


def plan_of(monkeypatch: pytest.MonkeyPatch, trust: float):
    """The plan of a step in which the model is trusted so much, and what it attends to."""
    import mixwright.objectives.mixpro as module

    monkeypatch.setattr(
        module, "confidence", lambda logits, targets, smoothing: torch.full((6,), trust)
    )
    model = vit(sharp=0.3)
    losses = step(MixPro(p=1.0, patch=4), model)
    assert losses.plan is not None
    with attending(model) as seen:
        model(losses.plan.images(batch()[0]))
    return losses.plan, own_share(seen.class_row(), keep_at(losses.plan, (4, 4)))


def test_no_confidence_gives_area_and_full_confidence_attention(monkeypatch: pytest.MonkeyPatch):
    plan, attended = plan_of(monkeypatch, 0.0)
    area = plan.mask[:, 0].mean(dim=(1, 2))
    torch.testing.assert_close(plan.weight[:, 0], area)
    plan, attended = plan_of(monkeypatch, 1.0)
    torch.testing.assert_close(plan.weight[:, 0], attended)
    assert (attended - area).abs().max() > 1e-3
    plan, attended = plan_of(monkeypatch, 0.25)
    torch.testing.assert_close(plan.weight[:, 0], 0.25 * attended + 0.75 * area)


def test_tokens_of_kept_cells_are_kept_exactly():
    mixer = MaskMix(lam=0.5, patch=8)
    plan = mixer.plan(torch.zeros(3, 3, 32, 32), generator=stream(0))
    keep = keep_at(plan, (8, 8)).view(3, 8, 8)
    assert set(keep.flatten().tolist()) == {0.0, 1.0}
    slow = plan.mask[:, 0].repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(keep, slow)
    coarse = keep_at(plan, (1, 1))  # the tokens of a last Swin stage
    torch.testing.assert_close(coarse[:, 0], plan.weight[:, 0])


def test_a_whole_step_is_the_formula():
    model, (images, labels) = vit(sharp=0.3), batch()
    losses = step(MixPro(p=1.0, patch=4), model)
    assert losses.plan is not None
    partner, area = losses.plan.index[:, 1], losses.plan.mask[:, 0].mean(dim=(1, 2))
    with attending(model) as seen:
        logits = model(losses.plan.images(images))
    a, keep = seen.class_row(), losses.plan.mask[:, 0].flatten(1)
    attended = (a * keep).sum(1) / a.sum(1)
    hot = torch.eye(3)
    target = area[:, None] * hot[labels] + (1 - area)[:, None] * hot[labels[partner]]
    trust = F.cosine_similarity(0.9 * target + 0.1 / 3, logits.softmax(1), dim=1)
    lam = trust * attended + (1 - trust) * area
    own, other = (F.cross_entropy(logits, y, reduction="none") for y in (labels, labels[partner]))
    torch.testing.assert_close(losses.total, (lam * own + (1 - lam) * other).mean())
    torch.testing.assert_close(losses.plan.weight[:, 0], lam.detach())


def test_gradients_through_the_confidence_only_where_asked_for():
    model = vit(sharp=0.3)
    grads = []
    for detach in (True, False):
        model.zero_grad()
        losses = step(MixPro(p=1.0, patch=4, pal_detach=detach), model)
        assert not losses.plan.weight.requires_grad
        losses.total.backward()
        grads.append(model.fc.weight.grad.clone())
        if detach:
            model.zero_grad()
            fixed, (images, labels) = losses.plan, batch()
            fixed.loss(CrossEntropy(), model(fixed.images(images)), labels).backward()
            torch.testing.assert_close(model.fc.weight.grad, grads[0])
    assert not torch.allclose(grads[0], grads[1], atol=1e-5)


def test_without_attention_labels_any_model_will_do():
    model = build_model("smallconv", num_classes=3, image_size=16)
    objective = MixPro(p=1.0, pal=False, patch=4)
    objective.build(model, 3)
    losses = step(objective, model)
    torch.testing.assert_close(losses.plan.weight[:, 0], losses.plan.mask[:, 0].mean(dim=(1, 2)))
    with pytest.raises(ValueError, match="SmallConv has no attention"):
        MixPro().build(model, 3)


def test_other_batches_are_mixup_or_cutmix():
    model, objective, generator = vit(depth=1), MixPro(p=0.0), stream(0)
    seen = []
    for _ in range(20):
        losses = objective(model, *batch(2), generator=generator, progress=0.0)
        seen.append(losses.plan.boxes is None)
    assert {True, False} == set(seen)
    one = step(MixPro(p=1.0), model, count=1)
    assert one.plan.weight.tolist() == [[1.0, 0.0]]


def test_a_tiny_batch_is_learned():
    assert learned(MixPro())
