"""What must hold on every device, on the one that ``--device`` names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases import CASES, Case, cases
from lab.training.tiny import recipe, tiny_data, tiny_net
from mixwright import sampling
from mixwright.adapters.mix import Mix
from mixwright.lab.data.augment import Augment, ResizedCrop
from mixwright.lab.evaluation.scores import Scores, evaluate
from mixwright.lab.training.loop import train
from mixwright.masks.blocks import upsample_blocks
from mixwright.mixers import CutMix, MiAMix, PuzzleMix
from mixwright.objectives import AdAutoMix, Mixed
from mixwright.objectives.objective import Objective
from mixwright.plan import MixPlan
from mixwright.sampling import stream
from objectives.test_promises import MAKERS, batch, made, step
from probe import Probe

SIZE = (8, 6)
FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def drawn(case: Case, device: torch.device, seed: int = 0) -> tuple[MixPlan, Tensor, Tensor]:
    images = torch.rand(6, 3, *SIZE, generator=stream(seed, 1)).to(device)
    labels = (torch.arange(6) % 4).to(device)
    model = Probe().to(device) if case.model else None
    return case.mixer.plan(images, labels, generator=stream(seed), model=model), images, labels


# ------------------------------------------------------------------ mixers and plans


@cases()
def test_pixels_are_mixed_as_the_plan_says(case: Case, device: torch.device) -> None:
    plan, images, _ = drawn(case, device)
    plan.check()
    mixed = plan.images(images)
    assert mixed.device == device
    if plan.warp is not None or not case.partner:
        assert mixed.isfinite().all()
        return
    mask = upsample_blocks(plan.mask, SIZE).cpu()
    sources = images.cpu()[plan.index.cpu()]  # (B, N, C, H, W)
    expected = (mask[:, :, None] * sources).sum(dim=1)
    torch.testing.assert_close(mixed.cpu(), expected, atol=1e-5, rtol=0)


@cases(labels_follow_pixels=True, model=False)
def test_labels_say_what_the_pixels_show(case: Case, device: torch.device) -> None:
    who = torch.eye(6, device=device)  # sample k is the only one that lights channel k
    images = who[:, :, None, None].expand(6, 6, *SIZE)
    plan = case.mixer.plan(images, torch.arange(6, device=device), generator=stream(3))
    shown = plan.images(images).mean(dim=(2, 3))
    torch.testing.assert_close(shown, plan.targets(who), atol=1e-5, rtol=0)


@cases(model=False)  # derivatives may differ in their last bits from one time to the next
def test_one_seed_is_one_plan(case: Case, device: torch.device) -> None:
    first, *_ = drawn(case, device)
    again, *_ = drawn(case, device)
    for one, other in ((first.index, again.index), (first.weight, again.weight)):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.uint8, *FLOATING])
@pytest.mark.parametrize("name", ["mixup", "cutmix", "hmix", "fmix-soft", "resizemix", "miamix"])
def test_pixels_of_every_dtype(name: str, dtype: torch.dtype, device: torch.device) -> None:
    (case,) = (case for case in CASES if case.name == name)
    plan, images, _ = drawn(case, device)
    exact = (images * 255).round()
    mixed = plan.images((exact if dtype == torch.uint8 else exact / 255).to(dtype))
    assert (mixed.dtype, mixed.device) == (dtype, device)
    wanted = plan.images(exact.double() if dtype == torch.uint8 else exact.double() / 255)
    step_of = {torch.uint8: 1.0, torch.float16: 2e-3, torch.bfloat16: 1e-2}.get(dtype, 1e-5)
    torch.testing.assert_close(mixed.double(), wanted, atol=step_of, rtol=0)


@pytest.mark.parametrize("name", ["mixup", "cutmix", "gridmix", "fmix", "miamix"])
def test_targets_loss_and_accuracy_are_those_of_the_cpu(name: str, device: torch.device) -> None:
    (case,) = (case for case in CASES if case.name == name)
    plan, _, labels = drawn(case, device)
    logits = torch.randn(6, 4, generator=stream(5)).to(device)
    index, weight = plan.index.cpu(), plan.weight.cpu()
    dense = (F.one_hot(labels.cpu()[index], 4) * weight[:, :, None]).sum(dim=1)
    loss = -(dense * logits.cpu().log_softmax(dim=1)).sum(dim=1).mean()
    right = (logits.cpu().argmax(dim=1)[:, None] == labels.cpu()[index]) * weight
    torch.testing.assert_close(plan.targets(labels, 4).cpu(), dense)
    found = plan.loss(nn.CrossEntropyLoss(reduction="none"), logits, labels)
    torch.testing.assert_close(found.cpu(), loss)
    accuracy = plan.accuracy(logits, labels)
    torch.testing.assert_close(accuracy.cpu(), right.sum() / weight.sum())


@pytest.mark.parametrize("name", ["mixup", "cutmix", "hmix", "puzzlemix"])
def test_gradients_reach_the_sources(name: str, device: torch.device) -> None:
    (case,) = (case for case in CASES if case.name == name)
    plan, images, _ = drawn(case, device)
    pixels = images.clone().requires_grad_()
    plan.images(pixels).sum().backward()
    assert pixels.grad is not None
    if plan.warp is None:
        shares = torch.zeros(6, *SIZE)
        mask = upsample_blocks(plan.mask, SIZE).cpu()
        for n in range(mask.shape[1]):
            shares.index_add_(0, plan.index.cpu()[:, n], mask[:, n])
        torch.testing.assert_close(pixels.grad.cpu()[:, 0], shares)


# ------------------------------------------------------------------ draws


def test_draws_keep_their_laws(device: torch.device) -> None:
    lam = sampling.beta(2.0, 20_000, device=device, generator=stream(1)).cpu()
    assert abs(lam.mean() - 0.5) < 0.01
    assert abs(lam.var() - 1 / 20) < 0.002  # ab / ((a + b)^2 (a + b + 1))
    normal = sampling.normal((20_000,), device=device, generator=stream(2)).cpu()
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.02
    order = sampling.partners(50, device=device, generator=stream(3)).cpu()
    assert sorted(order.tolist()) == list(range(50))
    assert not (order == torch.arange(50)).any()
    white = sampling.noise((20_000,), device=device, generator=stream(4)).cpu()
    assert abs(white.mean()) < 700  # its deviation is 18,918
    assert white.abs().max() <= 2**15


def test_augmentation_does_what_the_cpu_does(device: torch.device) -> None:
    images = torch.randint(256, (5, 3, 9, 9), dtype=torch.uint8, generator=stream(0))
    for change in (Augment(crop_padding=2), ResizedCrop(scale=0.4)):
        here = change(images.to(device), generator=stream(1)).cpu()
        there = change(images, generator=stream(1))
        assert (here.int() - there.int()).abs().max() <= 1  # rounding of halves


def test_the_adapter_resumes_on_the_device(device: torch.device) -> None:
    images, labels = torch.rand(4, 3, *SIZE).to(device), torch.arange(4).to(device)
    mix = Mix(CutMix(), num_classes=4, seed=3)
    mix(images, labels)
    state = mix.state_dict()
    expected, targets = mix(images, labels)
    other = Mix(CutMix(), num_classes=4, seed=0)
    other.load_state_dict(state)
    again, same = other(images, labels)
    assert torch.equal(again, expected)
    assert torch.equal(same, targets)
    assert expected.device == device


# ------------------------------------------------------------------ learning


@pytest.mark.parametrize("name", MAKERS)
def test_objectives_learn_on_the_device(name: str, device: torch.device) -> None:
    objective, model = made(name)
    model.to(device)
    objective.to(device)
    images, labels = (part.to(device) for part in batch())
    losses = step(objective, model, images, labels)
    losses.total.backward()
    objective.after_step(model)
    assert losses.total.device == device
    assert losses.total.isfinite()
    slopes = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert slopes
    assert all(slope.isfinite().all() for slope in slopes)


LEARNERS: dict[str, Callable[[], Objective]] = {
    "none": lambda: Mixed(None),
    "miamix": lambda: Mixed(MiAMix()),
    "puzzlemix": lambda: Mixed(PuzzleMix(iterations=10)),
    "adautomix": AdAutoMix,
}


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_ends_with_scores(
    name: str, precision: str, device: torch.device, tmp_path: Path
) -> None:
    result = train(
        recipe(epochs=2, precision=precision, channels_last=True, grad_clip=1.0),
        model=tiny_net(), objective=LEARNERS[name](), data=tiny_data(), evaluate=evaluate,
        folder=tmp_path / "run", device=device,
    )  # fmt: skip
    assert set(result.scores) >= {"raw", "ema"}
    assert 0 < result.scores["raw"]["nll"] < 100


def test_scores_are_those_of_the_cpu(device: torch.device) -> None:
    images, labels = torch.rand(40, 3, 8, 8, generator=stream(0)), torch.arange(40) % 3
    model = tiny_net().eval()

    def scores(where: torch.device) -> Scores:
        parts = zip(images.split(16), labels.split(16), strict=True)
        return evaluate(model.to(where), [(x.to(where), y.to(where)) for x, y in parts])

    here, there = scores(device), scores(torch.device("cpu"))
    assert here.nll == pytest.approx(there.nll, rel=1e-3)  # convolutions may run in TF32
    assert here.ece == pytest.approx(there.ece, abs=1e-2)
    assert abs(here.top1 - there.top1) <= 1 / 40 + 1e-9
