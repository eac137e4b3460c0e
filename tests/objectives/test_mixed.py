"""The common objective and its criteria."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mixwright.mixers import CutMix, MixUp, Scheduled
from mixwright.objectives import BinaryCrossEntropy, CrossEntropy, Mixed
from mixwright.sampling import stream

IMAGES = torch.rand(6, 3, 4, 4, generator=stream(1))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def _model() -> torch.nn.Module:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3))
    torch.nn.init.normal_(model[1].weight, generator=stream(2))
    return model


def test_mixed_is_the_loss_of_mixed_images_on_mixed_targets() -> None:
    model = _model()
    losses = Mixed(CutMix(), CrossEntropy(0.1))(
        model, IMAGES, LABELS, generator=stream(3), progress=0.0
    )
    plan = CutMix().plan(IMAGES, LABELS, generator=stream(3))
    logits = model(plan.images(IMAGES))
    expected = F.cross_entropy(logits, plan.targets(LABELS, 3), label_smoothing=0.1)
    torch.testing.assert_close(losses.total, expected)
    torch.testing.assert_close(losses.logits, logits)
    assert losses.plan is not None
    assert torch.equal(losses.plan.weight, plan.weight)
    assert losses.terms["loss"].item() == losses.total.item()
    losses.total.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_no_mixer_is_plain_training() -> None:
    model = _model()
    losses = Mixed()(model, IMAGES, LABELS, generator=stream(3), progress=0.0)
    torch.testing.assert_close(losses.total, F.cross_entropy(model(IMAGES), LABELS))
    assert losses.plan is None


def test_progress_reaches_schedules() -> None:
    objective = Mixed(Scheduled(lambda p: MixUp(lam=1 - p)))
    losses = objective(_model(), IMAGES, LABELS, generator=stream(3), progress=0.75)
    assert losses.plan is not None
    assert losses.plan.weight[:, 0].unique().tolist() == [0.25]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_criteria_take_indices_and_distributions_alike(smoothing: float) -> None:
    logits = torch.randn(6, 3, generator=stream(4))
    dense = F.one_hot(LABELS, 3).float()
    for kind in (CrossEntropy, BinaryCrossEntropy):
        criterion = kind(smoothing)
        each = criterion(logits, LABELS)
        assert each.shape == (6,)
        torch.testing.assert_close(each, criterion(logits, dense))
    smooth = dense * (1 - smoothing) + smoothing / 3
    torch.testing.assert_close(
        CrossEntropy(smoothing)(logits, LABELS), -(smooth * logits.log_softmax(1)).sum(1)
    )
    chance = logits.sigmoid()
    by_hand = -(smooth * chance.log() + (1 - smooth) * (1 - chance).log()).mean(1)
    torch.testing.assert_close(BinaryCrossEntropy(smoothing)(logits, LABELS), by_hand)


def test_criteria_are_computed_in_float32() -> None:
    assert CrossEntropy()(torch.randn(6, 3).bfloat16(), LABELS).dtype == torch.float32


@pytest.mark.parametrize("bad", [-0.1, 1.0, float("nan")])
def test_smoothing_out_of_range_is_named(bad: float) -> None:
    for kind in (CrossEntropy, BinaryCrossEntropy):
        with pytest.raises(ValueError, match="label_smoothing is"):
            kind(bad)
