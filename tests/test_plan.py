"""The plan: what it shows, what it says of labels, and how plans are joined."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mixwright.masks.mask_forms import Box, DenseMask, MaskForm, SeparableMask, share
from mixwright.plan import MixPlan
from mixwright.sampling import partners, stream
from mixwright.warps import Affine, Rect

COUNT, HEIGHT, WIDTH = 5, 6, 10


def _box(inside: Tensor | None = None, outside: Tensor | None = None) -> Box:
    rng = stream(1)
    start = torch.stack([torch.randint(0, n, (COUNT,), generator=rng) for n in (HEIGHT, WIDTH)], 1)
    long = torch.stack([torch.randint(0, n, (COUNT,), generator=rng) for n in (HEIGHT, WIDTH)], 1)
    stop = (start + long).minimum(torch.tensor([HEIGHT, WIDTH]))
    return Box(torch.stack([start, stop], 2), (HEIGHT, WIDTH), inside, outside)


def _rand(*shape: int, seed: int = 2) -> Tensor:
    return torch.rand(shape, generator=stream(seed))


FORMS: dict[str, Callable[[], MaskForm]] = {
    "share": lambda: share(_rand(COUNT), 2),
    "binary box": _box,
    "two-level box": lambda: _box(_rand(COUNT), _rand(COUNT, seed=3)),
    "grid": lambda: DenseMask(_rand(COUNT, 1, 3, 5)),
    "binary grid": lambda: DenseMask(_rand(COUNT, 1, 3, 5) > 0.5),
    "pixels": lambda: DenseMask(_rand(COUNT, 1, HEIGHT, WIDTH)),
    "binary pixels": lambda: DenseMask(_rand(COUNT, 1, HEIGHT, WIDTH) > 0.5),
    "product": lambda: SeparableMask(
        _rand(COUNT, HEIGHT), _rand(COUNT, WIDTH, seed=4), torch.zeros(COUNT), torch.ones(COUNT)
    ),
    "turned product": lambda: SeparableMask(
        _rand(COUNT, HEIGHT), _rand(COUNT, WIDTH, seed=4), torch.ones(COUNT), -torch.ones(COUNT)
    ),
}


def _pair(form: str, seed: int = 0) -> MixPlan:
    partner = partners(COUNT, device=torch.device("cpu"), generator=stream(seed))
    return MixPlan.pair(partner, FORMS[form](), lam=_rand(COUNT, seed=5))


def _slow(plan: MixPlan, images: Tensor) -> Tensor:
    """The definition, pixel by pixel: sum over sources of mask times pool row."""
    mask = plan.mask
    rows = []
    for b in range(len(plan)):
        total = torch.zeros(images.shape[1:], dtype=torch.float64)
        for n in range(plan.index.shape[1]):
            one = mask[b, n].double()
            for axis, length in enumerate(images.shape[2:]):
                one = one.repeat_interleave(length // one.shape[axis], dim=axis)
            total += one * images[plan.index[b, n]].double()
        rows.append(total)
    return torch.stack(rows)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale", [1, 60], ids=["batched", "by sample"])
def test_images_are_the_weighted_sum_of_their_sources(form: str, scale: int) -> None:
    """``scale`` repeats channels until samples are large enough for the way by slices."""
    images = _rand(COUNT, 5 * scale, HEIGHT, WIDTH, seed=6)
    plan = _pair(form)
    expected = _slow(plan, images)
    torch.testing.assert_close(plan.images(images).double(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_the_way_by_slices_and_the_way_of_the_batch_agree(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = _rand(COUNT, 3, HEIGHT, WIDTH, seed=6)
    plan = _pair(form)
    for dtype in (torch.uint8, torch.bfloat16, torch.float16, torch.float32, torch.float64):
        batch = (images * 255).byte() if dtype == torch.uint8 else images.to(dtype)
        monkeypatch.setattr("mixwright.plan.blending._LARGE_SAMPLE", 10**9)
        whole = plan.images(batch)
        monkeypatch.setattr("mixwright.plan.blending._LARGE_SAMPLE", 0)
        sliced = plan.images(batch)
        assert whole.dtype == sliced.dtype == dtype
        torch.testing.assert_close(sliced, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("form", [name for name in FORMS if "binary" in name])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("large", [0, 10**9], ids=["by sample", "batched"])
def test_binary_masks_copy_pixels_bit_by_bit(
    form: str, dtype: torch.dtype, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixwright.plan.blending._LARGE_SAMPLE", large)
    images = (_rand(COUNT, 3, HEIGHT, WIDTH, seed=7) * 255).to(dtype)
    plan = _pair(form)
    keep = plan.mask[:, :1]
    for axis, length in ((2, HEIGHT), (3, WIDTH)):
        keep = keep.repeat_interleave(length // keep.shape[axis], dim=axis)
    expected = torch.where(keep.bool(), images, images[plan.index[:, 1]])
    assert torch.equal(plan.images(images), expected)


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_the_mean_of_the_mask(form: str) -> None:
    plan = _pair(form)
    torch.testing.assert_close(plan.weight, plan.mask.flatten(2).mean(2), atol=1e-6, rtol=0)
    assert plan.check() is plan


def test_uint8_rounds_half_to_even() -> None:
    images = torch.tensor([0, 1, 2, 255], dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 2, 1, 1)
    plan = MixPlan.pair(torch.tensor([1, 2, 3, 0]), torch.full((4, 1, 1, 1), 0.5))
    # 0.5 -> 0, 1.5 -> 2, 128.5 -> 128, 127.5 -> 128
    assert plan.images(images)[:, 1].flatten().tolist() == [0, 2, 128, 128]


def test_many_sources_add_up() -> None:
    mask = _rand(4, 3, HEIGHT, WIDTH).softmax(dim=1)
    index = torch.randint(0, 7, (4, 3), generator=stream(8))
    plan = MixPlan(index=index, mask=mask, weight=mask.flatten(2).mean(2), pool=7).check()
    images = _rand(7, 2, HEIGHT, WIDTH, seed=9)
    torch.testing.assert_close(plan.images(images).double(), _slow(plan, images), atol=1e-6, rtol=0)
    whole = (images * 255).byte()
    assert (plan.images(whole).double() - _slow(plan, whole)).abs().max() <= 0.5 + 1e-4


@pytest.mark.parametrize("blocks", [1, 2, HEIGHT])
def test_sources_that_most_outputs_do_not_show_add_up(blocks: int) -> None:
    raw = _rand(4, 5, blocks, blocks)
    raw[1:, 1] = raw[:, 2] = raw[0, 3] = 0  # seldom seen, never seen
    index = torch.randint(0, 7, (4, 5), generator=stream(8))
    images = _rand(7, 2, HEIGHT, HEIGHT, seed=9)
    wanted = _rand(4, 2, HEIGHT, HEIGHT, seed=20)
    results = []
    for mix in (lambda plan, images: plan.images(images), _slow):
        leaf = raw.clone().requires_grad_()
        mask = leaf / leaf.sum(dim=1, keepdim=True)
        plan = MixPlan(index=index, mask=mask, weight=torch.ones(4, 5), pool=7)
        gradient = torch.autograd.grad((mix(plan, images) * wanted).sum(), leaf)[0]
        with torch.no_grad():
            results.append((mix(plan, images).double(), gradient))
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("fill", [torch.tensor(0.25), torch.tensor([0.1, 0.2]), "noise"])
def test_the_null_source_is_a_fill_without_label(fill: Tensor | str) -> None:
    value = _rand(COUNT, 2, HEIGHT, WIDTH, seed=3) if isinstance(fill, str) else fill
    index = torch.stack([torch.arange(COUNT), torch.full((COUNT,), -1)], dim=1)
    keep = _rand(COUNT, 1, HEIGHT, WIDTH) > 0.5
    weight = torch.tensor([[1.0, 0.0]]).expand(COUNT, 2)
    plan = MixPlan(index=index, mask=DenseMask(keep), weight=weight, pool=COUNT, fill=value).check()
    images = _rand(COUNT, 2, HEIGHT, WIDTH, seed=4)
    shown = value.view(1, 2, 1, 1) if value.ndim == 1 else value
    torch.testing.assert_close(plan.images(images), torch.where(keep, images, shown))
    labels = torch.arange(COUNT)
    assert torch.equal(plan.targets(labels, COUNT), torch.eye(COUNT))
    loss = F.cross_entropy(_rand(COUNT, COUNT), labels)
    got = plan.loss(torch.nn.CrossEntropyLoss(reduction="none"), _rand(COUNT, COUNT), labels)
    torch.testing.assert_close(got, loss)


def test_a_pool_may_be_larger_than_the_batch() -> None:
    me = torch.arange(2)
    plan = MixPlan.pair(me + 2, torch.full((2, 1, 1, 1), 0.25), pool=4)
    images = torch.arange(4.0).view(4, 1, 1, 1)
    assert plan.images(images).flatten().tolist() == [1.5, 2.5]
    assert plan.targets(me.repeat(2), 2).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    with pytest.raises(ValueError, match="expected 4 rows, the pool"):
        plan.images(images[:2])
    with pytest.raises(ValueError, match="expected 4 rows, the pool"):
        plan.targets(me, 2)


# ---------------------------------------------------------------------------------- labels


def _labels() -> tuple[MixPlan, Tensor, Tensor]:
    plan = _pair("pixels")
    labels = torch.tensor([2, 0, 1, 2, 3])
    return plan, labels, _rand(COUNT, 4, seed=11) * 4


def test_loss_on_labels_equals_loss_on_dense_targets() -> None:
    plan, labels, logits = _labels()
    dense = F.cross_entropy(logits, plan.targets(labels, 4))
    mixed = plan.loss(torch.nn.CrossEntropyLoss(reduction="none"), logits, labels)
    torch.testing.assert_close(mixed, dense)
    soft = F.one_hot(labels, 4).float()
    torch.testing.assert_close(plan.targets(soft), plan.targets(labels, 4))
    assert plan.targets(soft.double()).dtype == torch.float64


def test_the_pieces_give_the_usual_pair_of_losses() -> None:
    plan, labels, logits = _labels()
    a, b = plan.labels(labels).unbind(1)
    lam = plan.weight[:, 0]
    each = lam * F.cross_entropy(logits, a, reduction="none")
    each += (1 - lam) * F.cross_entropy(logits, b, reduction="none")
    torch.testing.assert_close(
        plan.loss(torch.nn.CrossEntropyLoss(reduction="none"), logits, labels), each.mean()
    )


def test_same_class_pairs_keep_a_whole_target() -> None:
    plan = MixPlan.pair(torch.tensor([1, 0]), torch.full((2, 1, 1, 1), 0.3))
    assert plan.targets(torch.tensor([3, 3]), 5)[:, 3].tolist() == pytest.approx([1.0, 1.0])


def test_multi_hot_targets_are_weighted() -> None:
    plan = MixPlan.pair(torch.tensor([1, 0]), torch.full((2, 1, 1, 1), 0.75))
    labels = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    assert plan.targets(labels).tolist() == [[0.75, 1.0, 0.25], [0.25, 1.0, 0.75]]


def test_accuracy_counts_hits_by_weight() -> None:
    plan = MixPlan.pair(torch.tensor([1, 0]), torch.tensor([0.75, 0.6]).view(2, 1, 1, 1))
    logits = torch.tensor([[9.0, 0, 0], [9.0, 0, 0]])  # both say class 0
    assert plan.accuracy(logits, torch.tensor([0, 1])).item() == pytest.approx((0.75 + 0.4) / 2)
    soft = torch.tensor([[1.0, 0, 0], [0.2, 0.8, 0]])
    expected = (0.75 + 0.25 * 0.2 + 0.6 * 0.2 + 0.4) / 2
    assert plan.accuracy(logits, soft).item() == pytest.approx(expected)


def test_accuracy_divides_by_the_sum_of_weights() -> None:
    index = torch.tensor([[0, 1], [1, 0]])
    plan = MixPlan(
        index=index, mask=torch.full((2, 2, 1, 1), 0.5), weight=torch.full((2, 2), 0.8), pool=2
    )
    logits = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert plan.accuracy(logits, torch.tensor([0, 0])).item() == pytest.approx(1.0)


def test_an_infinite_loss_at_weight_zero_does_not_count() -> None:
    plan = MixPlan.pair(torch.tensor([1, 0]), torch.ones(2, 1, 1, 1))

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        return torch.where(labels == torch.arange(2), 1.0, torch.inf)

    assert plan.loss(criterion, torch.zeros(2, 2), torch.arange(2)).item() == 1.0


# ---------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(3, 5), (2, 2), (1, 1), (4, 7), (12, 20)])
def test_at_keeps_the_mean_share(form: str, size: tuple[int, int]) -> None:
    plan = _pair(form)
    small = plan.at(*size)
    small.check()
    torch.testing.assert_close(
        small.mask.flatten(2).mean(2), plan.mask.flatten(2).mean(2), atol=1e-5, rtol=0
    )
    features = _rand(COUNT, 4, *size, seed=12)
    torch.testing.assert_close(
        small.images(features).double(), _slow(small, features), atol=1e-6, rtol=0
    )


def test_at_is_the_mean_over_blocks() -> None:
    plan = _pair("pixels")
    expected = F.avg_pool2d(plan.mask, (2, 5))
    torch.testing.assert_close(plan.at(3, 2).mask, expected)


def test_a_constant_share_mixes_features_of_any_rank() -> None:
    plan = _pair("share")
    for shape in ((COUNT, 7), (COUNT, 9, 8), (COUNT, 2, 3, 4, 5)):
        images = _rand(*shape)
        lam = plan.weight[:, 0].view(-1, *([1] * (len(shape) - 1)))
        expected = lam * images + (1 - lam) * images[plan.index[:, 1]]
        torch.testing.assert_close(plan.images(images), expected)


def test_a_box_shows_its_shares_inside_and_outside() -> None:
    edges = torch.tensor([[[0, 1], [1, 3]], [[1, 1], [0, 3]]])  # the second is empty
    half = torch.tensor([0.5, 0.25])
    inner = torch.tensor([[[0, 1, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]).bool()[:, None]
    for inside, outside in ((None, None), (None, half), (half, None), (half, half.flip(0))):
        shown = 0.0 if inside is None else inside.view(2, 1, 1, 1)
        around = 1.0 if outside is None else outside.view(2, 1, 1, 1)
        wanted = torch.where(inner, torch.as_tensor(shown), torch.as_tensor(around))
        assert torch.equal(Box(edges, (2, 3), inside, outside).first(), wanted)


def test_three_dimensional_boxes() -> None:
    edges = torch.tensor([[[0, 1], [1, 3], [2, 4]], [[1, 1], [0, 3], [0, 4]]])
    plan = MixPlan.pair(torch.tensor([1, 0]), Box(edges, (2, 3, 4))).check()
    assert plan.weight[:, 1].tolist() == pytest.approx([4 / 24, 0.0])
    images = _rand(2, 2, 2, 3, 4)
    expected = images.clone()
    expected[0, :, 0:1, 1:3, 2:4] = images[1, :, 0:1, 1:3, 2:4]
    assert torch.equal(plan.images(images), expected)
    assert plan.at(1, 1, 2).mask.shape == (2, 2, 1, 1, 2)


# ---------------------------------------------------------------------------------- joining


@pytest.mark.parametrize("second", [*FORMS, "identity"])
@pytest.mark.parametrize("first", FORMS)
def test_where_takes_rows_of_either(first: str, second: str) -> None:
    images = _rand(COUNT, 3, HEIGHT, WIDTH, seed=13)
    a = _pair(first, seed=1)
    b = MixPlan.identity(images) if second == "identity" else _pair(second, seed=2)
    select = torch.tensor([True, False, True, False, False])
    labels = torch.arange(COUNT)
    for one, other in ((a, b), (b, a)):
        joined = one.where(select, other).check()
        expected = torch.where(select.view(-1, 1, 1, 1), one.images(images), other.images(images))
        torch.testing.assert_close(joined.images(images), expected, atol=1e-6, rtol=0)
        targets = torch.where(
            select[:, None], one.targets(labels, COUNT), other.targets(labels, COUNT)
        )
        torch.testing.assert_close(joined.targets(labels, COUNT), targets)


def test_grids_that_do_not_divide_each_other_are_joined() -> None:
    images = _rand(2, 1, 12, 12)
    grids = [
        MixPlan.pair(torch.tensor([1, 0]), _rand(2, 1, side, side, seed=side) > 0.5)
        for side in (4, 6)
    ]
    select = torch.tensor([True, False])
    shown = grids[0].where(select, grids[1]).check().images(images)
    assert torch.equal(shown[0], grids[0].images(images)[0])
    assert torch.equal(shown[1], grids[1].images(images)[1])


def test_boxes_stay_boxes_when_joined_with_shares_and_identity() -> None:
    images = torch.zeros(COUNT, 1, HEIGHT, WIDTH)
    select = torch.tensor([True, False, True, False, True])
    sometimes = _pair("binary box").where(select, MixPlan.identity(images))
    assert isinstance(sometimes.mask_form, Box)
    assert sometimes.mask_form.binary
    assert isinstance(_pair("share").where(select, _pair("two-level box")).mask_form, Box)


def test_plans_with_warps_are_joined_side_by_side() -> None:
    images = _rand(COUNT, 3, HEIGHT, WIDTH, seed=14)
    full = torch.tensor([[0.0, HEIGHT], [0.0, WIDTH]]).expand(COUNT, 2, 2)
    mirrored = torch.tensor([[0.0, HEIGHT], [WIDTH, 0.0]]).expand(COUNT, 2, 2)
    flip = Rect(source=mirrored, target=full, size=(HEIGHT, WIDTH))
    warped = _pair("pixels", seed=1).replace(warp=(None, flip))
    plain = _pair("binary box", seed=2)
    select = torch.tensor([True, False, True, False, False])
    for one, other in ((warped, plain), (plain, warped), (warped, warped)):
        joined = one.where(select, other).check()
        assert joined.index.shape[1] == 4
        expected = torch.where(select.view(-1, 1, 1, 1), one.images(images), other.images(images))
        torch.testing.assert_close(joined.images(images), expected, atol=1e-6, rtol=0)
        labels = torch.arange(COUNT)
        targets = torch.where(
            select[:, None], one.targets(labels, COUNT), other.targets(labels, COUNT)
        )
        torch.testing.assert_close(joined.targets(labels, COUNT), targets)


def test_fills_are_joined_row_by_row() -> None:
    images = _rand(2, 3, 4, 4)
    index = torch.tensor([[0, -1], [1, -1]])
    hidden = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    weight = torch.tensor([[1.0, 0.0]]).expand(2, 2)
    plans = [
        MixPlan(index=index, mask=DenseMask(hidden), weight=weight, pool=2, fill=fill)
        for fill in (torch.tensor(0.5), torch.tensor([1.0, 2.0, 3.0]))
    ]
    shown = plans[0].where(torch.tensor([True, False]), plans[1]).images(images)
    assert shown[0].unique().tolist() == [0.5]
    assert shown[1, :, 0, 0].tolist() == [1.0, 2.0, 3.0]


def test_replace_changes_what_is_named_and_nothing_else() -> None:
    plan = _pair("binary box")
    heavy = plan.replace(weight=torch.full((COUNT, 2), 0.7))
    assert heavy.weight.unique().tolist() == pytest.approx([0.7])
    assert torch.equal(heavy.index, plan.index)
    assert heavy.mask_form is plan.mask_form
    assert heavy.self_first
    assert not plan.replace(index=plan.index.flip(0)).self_first
    with pytest.raises(TypeError):
        plan.replace(wieght=1)


# ---------------------------------------------------------------------------------- promises


@given(seed=st.integers(0, 50), channels_last=st.booleans(), large=st.booleans())
def test_memory_format_is_kept_and_the_input_is_not_written(
    seed: int, channels_last: bool, large: bool
) -> None:
    images = _rand(COUNT, 60 * 5 if large else 3, HEIGHT, WIDTH, seed=seed)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images = images.contiguous(memory_format=layout)
    before = images.clone()
    for form in FORMS:
        mixed = _pair(form).images(images)
        assert mixed.is_contiguous(memory_format=layout)
        assert mixed.data_ptr() != images.data_ptr()
    assert torch.equal(images, before)
    shown = MixPlan.identity(images).images(images)
    assert torch.equal(shown, images)
    assert shown.data_ptr() != images.data_ptr()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("large", [0, 10**9], ids=["by sample", "batched"])
def test_gradients_reach_the_sources_and_a_learned_mask(
    form: str, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixwright.plan.blending._LARGE_SAMPLE", large)
    plan = _pair(form)
    wanted = _rand(COUNT, 3, HEIGHT, WIDTH, seed=20)

    def gradients(learned: MixPlan, mix: Callable[[MixPlan, Tensor], Tensor]) -> list[Tensor]:
        images = _rand(COUNT, 3, HEIGHT, WIDTH, seed=6).requires_grad_()
        leaves = [images]
        if isinstance(learned.mask_form, DenseMask) and not learned.mask_form.binary:
            leaves.append(learned.mask_form.values.clone().requires_grad_())
            learned = learned.replace(mask=DenseMask(leaves[1]))
        return list(torch.autograd.grad((mix(learned, images) * wanted).sum(), leaves))

    got = gradients(plan, lambda plan, images: plan.images(images))
    expected = gradients(plan, _slow)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_plan_and_application_compile_to_one_graph(form: str) -> None:
    images = _rand(COUNT, 3, HEIGHT, WIDTH)
    labels = torch.arange(COUNT)
    plan = _pair(form)

    def apply(plan: MixPlan, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        again = MixPlan.pair(plan.index[:, 1], plan.mask_form)
        logits = again.images(images).flatten(1)[:, :COUNT]
        loss = again.loss(torch.nn.CrossEntropyLoss(reduction="none"), logits, labels)
        return again.targets(labels, COUNT), logits, loss, plan.accuracy(logits, labels)

    torch._dynamo.reset()
    compiled = torch.compile(apply, fullgraph=True, backend="eager")
    for got, expected in zip(
        compiled(plan, images, labels), apply(plan, images, labels), strict=True
    ):
        torch.testing.assert_close(got, expected)


def test_a_plan_survives_pickling_and_says_what_it_is() -> None:
    plan = _pair("binary box")
    again = pickle.loads(pickle.dumps(plan))
    images = _rand(COUNT, 1, HEIGHT, WIDTH)
    assert torch.equal(again.images(images), plan.images(images))
    assert repr(plan) == "MixPlan(B=5, N=2, mask=Box, pool=5, device=cpu)"
    assert plan.boxes is not None
    assert plan.boxes.shape == (COUNT, 2, 2)
    assert _pair("share").boxes is None
    with pytest.raises(AttributeError):
        plan.pool = 3  # type: ignore[misc]


def test_affine_identity_shows_the_source() -> None:
    theta = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).expand(COUNT, 2, 3)
    plan = _pair("share").replace(warp=(None, Affine(theta=theta)))
    images = _rand(COUNT, 2, HEIGHT, WIDTH)
    torch.testing.assert_close(
        plan.images(images), _pair("share").images(images), atol=1e-5, rtol=0
    )


# ---------------------------------------------------------------------------------- bad input


def test_bad_shapes_are_named() -> None:
    keep = torch.ones(2, 1, 4, 4)
    partner = torch.tensor([1, 0])
    with pytest.raises(ValueError, match=r"partner has shape \(2, 1\).*expected an int64"):
        MixPlan.pair(partner[:, None], keep)
    with pytest.raises(ValueError, match=r"keep has shape \(4, 4\); expected \(2, 1"):
        MixPlan.pair(partner, keep[0, 0])
    plan = MixPlan.pair(partner, keep)
    with pytest.raises(ValueError, match=r"dtype torch\.int64; expected one of uint8"):
        plan.images(torch.zeros(2, 1, 4, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"masks of spatial size \(4, 4\) do not fit"):
        plan.images(torch.zeros(2, 1, 6, 6))
    with pytest.raises(ValueError, match=r"the plan was drawn for \(6, 10\)"):
        _pair("binary box").images(torch.zeros(COUNT, 1, 10, 6))
    with pytest.raises(ValueError, match="index names 2 sources"):
        MixPlan(index=torch.zeros(2, 2).long(), mask=keep, weight=torch.ones(2, 2), pool=2)
    with pytest.raises(ValueError, match=r"weight has shape \(2,\)"):
        MixPlan(index=torch.zeros(2, 2).long(), mask=keep, weight=torch.ones(2), pool=2)
    with pytest.raises(ValueError, match="expected the same pool"):
        plan.where(torch.tensor([True, True]), plan.replace(pool=3))


def test_bad_labels_are_named() -> None:
    plan, labels, logits = _labels()
    with pytest.raises(ValueError, match="num_classes is missing"):
        plan.targets(labels)
    with pytest.raises(ValueError, match="labels run from 0 to 3; expected 0 to 2"):
        plan.targets(labels, 3)
    with pytest.raises(ValueError, match="labels run from -1 to"):
        plan.targets(labels - 1, 4)
    with pytest.raises(ValueError, match="4 columns but num_classes is 5"):
        plan.targets(F.one_hot(labels).float(), 5)
    with pytest.raises(ValueError, match=r"soft or multi-hot labels \(pool, K\) floating"):
        plan.targets(F.one_hot(labels))
    with pytest.raises(ValueError, match='reduction="none"'):
        plan.loss(torch.nn.CrossEntropyLoss(), logits, labels)
    with pytest.raises(ValueError, match="logits have 4 rows"):
        plan.loss(torch.nn.CrossEntropyLoss(reduction="none"), logits[:4], labels)


def test_a_null_source_without_fill_is_named() -> None:
    index = torch.stack([torch.arange(COUNT), torch.full((COUNT,), -1)], dim=1)
    plan = MixPlan(
        index=index, mask=FORMS["pixels"](), weight=torch.full((COUNT, 2), 0.5), pool=COUNT
    )
    for channels in (1, 600):
        with pytest.raises(ValueError, match="the null source, -1, and the plan has no fill"):
            plan.images(_rand(COUNT, channels, HEIGHT, WIDTH))


def test_a_null_source_among_many_without_fill_is_named() -> None:
    index = torch.tensor([[0, 1, 2], [1, 2, -1], [2, 0, 1]])
    third = torch.full((3, 3), 1 / 3)
    plan = MixPlan(index=index, mask=third[..., None, None], weight=third, pool=3)
    with pytest.raises(ValueError, match="the null source, -1, and the plan has no fill"):
        plan.images(torch.rand(3, 3, 4, 4))


def test_sizes_of_feature_maps_are_checked() -> None:
    plan = _pair("pixels")
    for bad in ((3,), (0, 2), (2.5, 1), ((3, 5),), (1, 1, 1)):
        with pytest.raises(ValueError, match="expected 2 whole numbers from 1"):
            plan.at(*bad)  # type: ignore[arg-type]
    noisy = plan.replace(fill=_rand(COUNT, 3, HEIGHT, WIDTH))
    with pytest.raises(ValueError, match="the fill has shape"):
        noisy.at(3, 5)


def test_a_constant_share_brings_its_warp_to_feature_maps() -> None:
    full = torch.tensor([[0.0, HEIGHT], [0.0, WIDTH]]).expand(COUNT, 2, 2)
    flip = Rect(source=full.flip(2), target=full, size=(HEIGHT, WIDTH))
    small = _pair("share").replace(warp=(None, flip)).at(3, 5)
    features = _rand(COUNT, 2, 3, 5)
    flipped = features.flip(2, 3)[small.index[:, 1]]
    lam = small.weight[:, 0].view(-1, 1, 1, 1)
    torch.testing.assert_close(small.images(features), lam * features + (1 - lam) * flipped)


def test_check_reads_labels_too() -> None:
    plan, labels, _ = _labels()
    plan.check(labels, 4)
    plan.check(F.one_hot(labels).float())
    with pytest.raises(ValueError, match="labels run from 0 to 3; expected 0 to 2"):
        plan.check(labels, 3)
    with pytest.raises(ValueError, match="expected 5 rows"):
        plan.check(labels[:2], 4)


def test_check_reads_values() -> None:
    plan = _pair("pixels")
    with pytest.raises(ValueError, match="index runs from 0 to 9"):
        plan.replace(index=plan.index.clone().fill_(9).scatter_(0, plan.index[:1] * 0, 0)).check()
    with pytest.raises(ValueError, match="index runs from -1"):
        plan.replace(index=plan.index - 1).check()
    with pytest.raises(ValueError, match=r"sum over sources is off by 0\.5"):
        plan.replace(mask=torch.full((COUNT, 2, 1, 1), 0.75)).check()
    with pytest.raises(ValueError, match="masks run from nan"):
        plan.replace(mask=DenseMask(torch.full((COUNT, 1, 1, 1), torch.nan))).check()
    with pytest.raises(ValueError, match=r"weights run from -0\.5"):
        plan.replace(weight=torch.full((COUNT, 2), -0.5)).check()
