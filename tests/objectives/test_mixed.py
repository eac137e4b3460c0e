"""The common objective and its criteria."""

from __future__ import annotations

import copy
from math import exp, log1p

import pytest
import torch
import torch.nn.functional as F

from mixwright.mixers import CutMix, MiAMix, MixUp, OneOf, Scheduled
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


# ------------------------------------------------------------------ with a loss on whole images


class _Seen(torch.nn.Module):
    """A model that keeps the batches it was given; its last layer is the images' first pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(2.0))
        self.batches: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.batches.append(images)
        logit = self.slope * images[:, 0, 0, 0]
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


@pytest.mark.parametrize("clean", [0.5, 1.0, 4.0])
def test_the_loss_on_whole_images_by_hand(clean: float) -> None:
    """Two images of the pixels 0 and 1, labels 0 and 1, mixed three to one; logits (0, 2 x)."""

    def loss(pixel: float, label: int) -> float:
        return log1p(exp(2 * pixel if label == 0 else -2 * pixel))

    mixed = (0.75 * loss(0.25, 0) + 0.25 * loss(0.25, 1)) / 2
    mixed += (0.75 * loss(0.75, 1) + 0.25 * loss(0.75, 0)) / 2
    whole = (loss(0.0, 0) + loss(1.0, 1)) / 2
    model, images = _Seen(), torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    losses = Mixed(MixUp(lam=0.75), clean=clean)(
        model, images, torch.tensor([0, 1]), generator=stream(3), progress=0.0
    )
    assert losses.total.item() == pytest.approx((mixed + clean * whole) / (1 + clean), rel=1e-6)
    assert losses.terms["mixed"].item() == pytest.approx(mixed / (1 + clean), rel=1e-6)
    assert losses.terms["clean"].item() == pytest.approx(clean * whole / (1 + clean), rel=1e-6)
    (batch,) = model.batches  # one forward for both
    assert batch.flatten().tolist() == [0.0, 1.0, 0.25, 0.75]
    assert losses.logits[:, 1].tolist() == [0.5, 1.5]  # of the mixed images, for metrics
    assert losses.plan is not None
    assert losses.plan.accuracy(losses.logits, torch.tensor([0, 1])).item() == 0.5


def test_a_weight_of_zero_sees_no_whole_image() -> None:
    for clean in (0.0, lambda progress: 1 - progress):
        model = _Seen()
        Mixed(CutMix(), clean=clean)(model, IMAGES, LABELS % 2, generator=stream(3), progress=1.0)
        assert [len(batch) for batch in model.batches] == [6]


def test_the_weight_follows_a_schedule() -> None:
    objective, model = Mixed(MixUp(lam=0.5), clean=lambda progress: 4 * progress - 1), _model()
    losses = objective(model, IMAGES, LABELS, generator=stream(3), progress=1.0)
    whole = F.cross_entropy(model(IMAGES), LABELS).item()
    assert losses.terms["clean"].item() == pytest.approx(0.75 * whole, rel=1e-6)  # 3 / (1 + 3)
    with pytest.raises(ValueError, match=r"clean is -1\.0; expected a finite number at least 0"):
        objective(model, IMAGES, LABELS, generator=stream(3), progress=0.0)


def test_whole_images_are_the_first_views() -> None:
    views, model = torch.cat([IMAGES, 1 - IMAGES]), _Seen()
    Mixed(OneOf(MiAMix(views=2), CutMix()), clean=1.0)(
        model, views, (LABELS % 2).repeat(2), generator=stream(3), progress=0.0
    )
    (batch,) = model.batches
    assert len(batch) == 12
    assert torch.equal(batch[:6], IMAGES)


@pytest.mark.parametrize("clean", [-0.5, float("inf"), float("nan"), "one", True])
def test_weights_that_are_none(clean: float) -> None:
    with pytest.raises(ValueError, match="clean is"):
        Mixed(MixUp(), clean=clean)


def test_regmixup_is_the_authors_step() -> None:
    """A step of SGD as the authors' loop makes it, written anew: a batch of both, one mean.

    Running statistics of batch normalisation are those of that batch.
    """
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(16, 3),
    )  # fmt: skip
    theirs = copy.deepcopy(model)
    mixer = MixUp(alpha=20.0, per="batch", pairing="perm")
    plan = mixer.plan(IMAGES, generator=stream(5))
    lam, order = plan.weight[0, 0].item(), plan.index[:, 1].tolist()
    assert 0.2 < lam < 0.8
    mixed = [lam * IMAGES[i] + (1 - lam) * IMAGES[j] for i, j in enumerate(order)]
    first, second = [*LABELS.tolist()] * 2, [*LABELS.tolist(), *(int(LABELS[j]) for j in order)]
    chance = theirs(torch.stack([*IMAGES, *mixed])).log_softmax(dim=1)
    losses = [
        -lam * chance[row, a] - (1 - lam) * chance[row, b]
        for row, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    expected = torch.stack(losses).mean()
    expected.backward()
    total = Mixed(mixer, clean=1.0)(model, IMAGES, LABELS, generator=stream(5), progress=0.0).total
    total.backward()
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    for net in (theirs, model):
        torch.optim.SGD(net.parameters(), lr=0.5).step()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name], rtol=1e-5, atol=1e-7)
