"""What every mixer promises, run for every row of the table."""

from __future__ import annotations

import dataclasses
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from accelerator import CUDA, Accelerator
from cases import CASES, Case, cases
from mixwright.masks.blocks import upsample_blocks
from mixwright.mixers import CARDS, MIXERS, Mixer
from mixwright.plan import MixPlan
from mixwright.sampling import stream
from probe import Probe

DTYPES = (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64)


def draw(count: int, *size: int, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, *size, generator=stream(seed, count, *size))


def same(a: MixPlan, b: MixPlan) -> bool:
    pairs = [(a.index, b.index), (a.weight, b.weight), (a.mask, b.mask)]
    return all(x.shape == y.shape and torch.equal(x, y) for x, y in pairs)


def full_mask(plan: MixPlan, size: tuple[int, ...]) -> Tensor:
    """The own share of each pixel, ``(B, 1, *size)``, whatever the plan holds."""
    me = torch.arange(len(plan))[:, None]
    mine = (plan.index == me).view(*plan.index.shape, *([1] * len(size)))
    return upsample_blocks((plan.mask * mine).sum(dim=1, keepdim=True), size)


# ------------------------------------------------------------------ the table itself


def test_every_mixer_has_a_row_a_name_and_a_card():
    rows = {type(case.mixer) for case in CASES}
    missing = [mixer.__name__ for mixer in MIXERS.values() if mixer not in rows]
    assert missing == [], f"no row in tests/cases.py for {', '.join(missing)}"
    assert list(CARDS) == list(MIXERS)
    for name, mixer in MIXERS.items():
        assert CARDS[name].title == mixer.__name__
        assert mixer.__name__.lower() == name
    for case in CASES:
        card = getattr(case.mixer, "card", None)
        assert card is None or (card.dims == "any") == (3 in case.dims), case.name


@cases()
def test_mixers_are_frozen_values(case: Case):
    mixer = case.mixer
    assert isinstance(mixer, Mixer)
    assert case.build() == mixer
    assert hash(case.build()) == hash(mixer)
    assert pickle.loads(pickle.dumps(mixer)) == mixer
    with pytest.raises(dataclasses.FrozenInstanceError):
        mixer.per = "batch"  # type: ignore[attr-defined]


# ------------------------------------------------------------------ labels and pixels


@cases(labels_follow_pixels=True)
@settings(max_examples=8)
@given(b=st.integers(1, 6), h=st.integers(1, 17), w=st.integers(1, 17), seed=st.integers(0, 99))
def test_labels_say_what_the_pixels_show(case, b, h, w, seed):
    who = torch.eye(b)  # sample k is the only one that lights channel k
    images = who[:, :, None, None].expand(b, b, h, w)
    plan = case.plan(images, torch.arange(b), generator=stream(seed)).check()
    shown = plan.images(images).mean(dim=(2, 3))
    torch.testing.assert_close(shown, plan.targets(who), atol=1e-5, rtol=0)
    torch.testing.assert_close(plan.weight.sum(dim=1), torch.ones(b))


@cases(partner=True)
def test_every_pixel_can_come_from_the_partner(case):
    images = draw(64, 8, 8)
    generator = stream(1)
    least = torch.ones(8, 8)
    for _ in range(8):
        own = full_mask(case.plan(images, generator=generator), (8, 8))
        least = torch.minimum(least, own.amin(dim=(0, 1)))
    assert least.max() < 0.999


@cases(binary=True, partner=True, resampled=False)
def test_binary_masks_copy_pixels_bit_by_bit(case):
    images = torch.randn(6, 2, 9, 7, generator=stream(0)) * 1e20
    plan = case.plan(images, generator=stream(1))
    own, other = images[plan.index[:, 0]], images[plan.index[:, 1]]
    mixed = plan.images(images)
    assert ((mixed == own) | (mixed == other)).all()
    assert plan.mask_form.binary


@cases(partner=True, self_mixing=False)
def test_nobody_meets_itself(case):
    for seed in range(5):
        plan = case.plan(draw(7, 8, 8), generator=stream(seed))
        assert (plan.index[:, 1] != torch.arange(7)).all()


# ------------------------------------------------------------------ shares


@cases(lam=True)
def test_lam_of_one_gives_the_images_back(case):
    images = draw(6, 9, 7)
    plan = case.plan(images, generator=stream(0), lam=1.0).check()
    assert torch.equal(plan.images(images), images)
    assert torch.equal(plan.weight[:, 0], torch.ones(6)) or not case.labels_follow_pixels


@cases(lam=True, labels_follow_pixels=True)
@pytest.mark.parametrize("lam", [0.0, 1e-8, 0.5, 1 - 1e-8])
def test_any_lam_makes_a_valid_plan(case, lam):
    plan = case.plan(draw(6, 8, 8), generator=stream(0), lam=lam).check()
    assert plan.lam is not None
    torch.testing.assert_close(plan.lam, torch.full((6,), lam))
    assert plan.weight.isfinite().all()


@cases(lam_exact=True)
@pytest.mark.parametrize("lam", [0.0, 0.3, 0.5, 0.75])
def test_labels_have_the_lam_that_was_asked_for(case, lam):
    plan = case.plan(draw(32, 8, 8), generator=stream(0), lam=lam)
    worst = (plan.weight[:, 0] - lam).abs().max()
    assert worst <= 1 / 64 + 1e-6


@cases(alpha=True)
def test_alpha_of_zero_mixes_nothing(case):
    images = draw(5, 6, 11)
    plan = case.plan(images, generator=stream(0), alpha=0.0)
    assert torch.equal(plan.images(images), images)


# ------------------------------------------------------------------ randomness


@cases()
def test_one_seed_gives_one_plan_and_another_seed_another(case):
    images = draw(16, 8, 8)
    a, b, c = (case.plan(images, generator=stream(seed)) for seed in (1, 1, 2))
    assert same(a, b)
    assert same(a, c) != case.random
    assert torch.equal(a.images(images), b.images(images))


@cases()
def test_the_inputs_and_the_global_generator_are_untouched(case):
    images, labels = draw(6, 8, 8), torch.arange(6)
    kept, state = images.clone(), torch.random.get_rng_state()
    plan = case.plan(images, labels, generator=stream(3))
    mixed = plan.images(images)
    plan.targets(labels, 6)
    assert torch.equal(images, kept)
    assert torch.equal(labels, torch.arange(6))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert mixed.data_ptr() != images.data_ptr()


@cases()
def test_samples_have_masks_of_their_own(case):
    plan = case.plan(draw(16, 8, 8), generator=stream(0))
    assert len(plan.mask[:, 0].flatten(1).unique(dim=0)) >= case.distinct


@cases(shared=True)
def test_per_batch_shares_one_mask(case):
    for seed in range(3):
        plan = case.plan(draw(6, 8, 8), generator=stream(seed), per="batch").check()
        assert torch.equal(plan.mask, plan.mask[:1].expand_as(plan.mask))
        if case.partner:
            assert len(plan.index[:, 1].unique()) > 1


# ------------------------------------------------------------------ shapes, dtypes, formats


@cases()
@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (2, 1, 1, 1), (3, 4, 33, 17), (5, 3, 24, 40)])
def test_any_batch_and_size_will_do(case, shape):
    images = torch.rand(shape, generator=stream(0))
    plan = case.plan(images, torch.arange(shape[0]), generator=stream(1)).check()
    assert plan.images(images).shape == shape
    if shape[0] == 1 and case.partner:
        assert torch.equal(plan.images(images), images)


@cases()
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtype_and_format_survive(case, dtype):
    images = (draw(4, 8, 8) * 255).to(dtype)
    plan = case.plan(images, generator=stream(0))
    mixed = plan.images(images)
    assert mixed.dtype == dtype
    assert plan.weight.dtype == torch.float32
    last = images.contiguous(memory_format=torch.channels_last)
    again = case.plan(last, generator=stream(0)).images(last)
    assert again.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(again, mixed)
    wide = plan.images(images.double())
    step = {torch.uint8: 0.5, torch.float16: 0.1, torch.bfloat16: 1.0}.get(dtype, 1e-4)
    torch.testing.assert_close(mixed.double(), wide, atol=step + 1e-4, rtol=0)


@cases(model=False)  # autocast is for the networks that the others look through
def test_autocast_does_not_reach_masks_or_pixels(case):
    images, labels = draw(4, 8, 6), torch.arange(4)
    plan = case.plan(images, labels, generator=stream(0))
    mixed, small = plan.images(images), plan.at(4, 3).mask
    with torch.autocast("cpu", torch.bfloat16):
        again = case.plan(images, labels, generator=stream(0))
        assert same(again, plan)
        assert torch.equal(again.images(images), mixed)
        assert torch.equal(again.at(4, 3).mask, small)


@cases()
def test_numbers_of_dimensions_are_as_declared(case):
    for dims in range(4):
        images = draw(4, *((6, 5, 4)[:dims]))
        if dims in case.dims:
            plan = case.plan(images, generator=stream(0)).check()
            assert plan.images(images).shape == images.shape
        else:
            with pytest.raises(ValueError, match=type(case.mixer).__name__):
                case.plan(images, generator=stream(0))


ONE_EACH = {type(case.mixer): case for case in reversed(CASES)}.values()


@pytest.mark.parametrize("case", ONE_EACH, ids=lambda case: case.name)
def test_pixels_and_targets_compile_as_one_graph(case):
    images, labels = draw(4, 8, 6), torch.arange(4)
    plan = case.plan(images, labels, generator=stream(0))

    def apply(plan: MixPlan, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return plan.images(images), plan.targets(labels, 4)

    torch._dynamo.reset()
    compiled = torch.compile(apply, fullgraph=True, backend="eager")
    for got, wanted in zip(
        compiled(plan, images, labels), apply(plan, images, labels), strict=True
    ):
        torch.testing.assert_close(got, wanted)


@cases()
def test_nothing_waits_for_the_device(case):
    quick = {"iterations": 2} if hasattr(case.mixer, "iterations") else {}
    mixer = case.build(**quick)
    with Accelerator() as device:
        images = torch.rand(4, 3, 8, 6, device=CUDA)
        labels = torch.zeros(4, dtype=torch.int64, device=CUDA)
        model = Probe().to(CUDA) if case.model else None
        device.waits.clear()  # the model has been moved
        plan = mixer.plan(images, labels, generator=stream(0), model=model)
        mixed, smaller, targets = plan.images(images), plan.at(4, 3).mask, plan.targets(labels, 4)
        logits = torch.rand(4, 4, device=CUDA)
        loss = plan.loss(torch.nn.CrossEntropyLoss(reduction="none"), logits, labels)
        share = plan.accuracy(logits, labels)
    assert device.waits == []
    assert {value.device for value in (mixed, smaller, targets, loss, share)} == {CUDA}


# ------------------------------------------------------------------ models and saliency

WITH_SALIENCY = [case for case in CASES if hasattr(case.mixer, "saliency")]


@cases(model=True)
def test_the_model_is_left_as_it_was(case):
    model = Probe()
    model.fc.eval()  # a part that its owner has frozen
    model.fc.weight.requires_grad_(False)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    images, labels = draw(5, 8, 8), torch.arange(5)
    with torch.no_grad():
        a = case.mixer.plan(images, labels, generator=stream(0), model=model)
    model.conv.bias.grad = torch.ones(4)
    b = case.mixer.plan(images, labels, generator=stream(0), model=model)
    assert same(a, b)
    assert not b.weight.requires_grad
    assert model.training
    assert model.norm.training
    assert not model.fc.training
    assert torch.equal(model.conv.bias.grad, torch.ones(4))
    assert model.conv.weight.grad is None
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[name]), name
    assert not any(module._forward_hooks for module in model.modules())


@cases(model=True)
def test_a_model_that_fails_gets_its_modes_back(case):
    class Broken(Probe):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("broken")

    model = Broken()
    with pytest.raises(RuntimeError, match="broken"):
        case.mixer.plan(draw(4, 8, 8), torch.arange(4), generator=stream(0), model=model)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


@cases(model=True)
def test_what_is_missing_is_named(case):
    name = type(case.mixer).__name__
    with pytest.raises(ValueError, match=rf"{name}: model"):
        case.mixer.plan(draw(4, 8, 8), torch.arange(4), generator=stream(0))


@pytest.mark.parametrize("case", WITH_SALIENCY, ids=lambda case: case.name)
@pytest.mark.parametrize("value", [0.0, math.nan, math.inf, -1.0])
def test_a_saliency_that_says_nothing_is_even(case, value):
    images, labels = draw(5, 8, 8), torch.arange(5)

    def nothing(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
        return torch.full((len(images), *images.shape[2:]), value)

    def even(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
        return torch.ones(len(images), *images.shape[2:])

    a, b = (
        case.build(saliency=one).plan(images, labels, generator=stream(0)).check()
        for one in (nothing, even)
    )
    assert same(a, b)


@pytest.mark.parametrize("case", WITH_SALIENCY, ids=lambda case: case.name)
def test_a_saliency_of_another_shape_or_word_is_refused(case):
    def flat(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
        return torch.ones(len(images), 3)

    name = type(case.mixer).__name__
    with pytest.raises(ValueError, match=f"{name}: the saliency has shape"):
        case.build(saliency=flat).plan(draw(4, 8, 8), torch.arange(4), generator=stream(0))
    with pytest.raises(ValueError, match=f"{name}: saliency is 'x'"):
        case.build(saliency="x")


# ------------------------------------------------------------------ bad arguments


@cases()
def test_wrong_batches_are_refused(case):
    name = type(case.mixer).__name__
    for images, labels in (
        (torch.rand(4), None),
        (torch.rand(0, 3, 8, 8), None),
        (torch.rand(4, 3, 0, 8), None),
        (torch.rand(4, 3, 8, 8), torch.arange(3)),
        (torch.rand(4, 3, 8, 8), torch.tensor(1)),
    ):
        with pytest.raises(ValueError, match=name):
            case.plan(images, labels, generator=stream(0))


@cases()
@pytest.mark.parametrize("value", [-0.5, math.nan, math.inf, True, "1", None])
def test_numbers_out_of_range_are_refused(case, value):
    taken = [one for one in ("alpha", "lam") if hasattr(case.mixer, one)]
    for argument in taken:
        if value is not None or getattr(type(case.mixer), argument) is not None:  # the default
            with pytest.raises(ValueError, match=f"{type(case.mixer).__name__}: {argument} is"):
                case.build(**{argument: value})


@cases()
def test_unknown_words_are_refused(case):
    name = type(case.mixer).__name__
    for argument in ("per", "pairing"):
        if hasattr(case.mixer, argument):
            with pytest.raises(ValueError, match=f"{name}: {argument} is 'x'"):
                case.build(**{argument: "x"})
    if hasattr(case.mixer, "lam"):
        with pytest.raises(ValueError, match=f"{name}: lam is 1.5"):
            case.build(lam=1.5)
