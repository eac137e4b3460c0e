"""Plans beside torch's modes: inference mode, ``torch.func``, forward derivatives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from cases import CASES, Case
from mixwright.masks.mask_forms import Box
from mixwright.plan import MixPlan
from mixwright.sampling import stream
from mixwright.warps import Rect
from probe import CLASSES

# Of torch's own rules of forward derivatives, which it compiles when the first is asked for.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")

LABELS = torch.arange(3) % CLASSES
SIZES = (16, 120)  # a batch at once, and one by one


def rand(size: int, seed: int) -> Tensor:
    return torch.rand(3, 3, size, size, generator=stream(seed))


def fits(case: Case, size: int) -> bool:
    return size == 16 or not case.model  # looking through models of large images takes time


SIZED = [
    pytest.param(case, size, id=f"{case.name}-{size}")
    for case in CASES
    for size in SIZES
    if fits(case, size)
]


def slope(plan: MixPlan, tangent: Tensor) -> Tensor:
    """What a plan makes of a change of the images: the same, but nothing of a constant fill."""
    bare = plan if plan.fill is None else plan.replace(fill=torch.tensor(0.0))
    return bare.images(tangent)


@pytest.mark.parametrize(("case", "size"), SIZED)
def test_derivatives_of_every_kind(case: Case, size: int) -> None:
    images, tangent = rand(size, 1), rand(size, 2)
    plan = case.plan(images, LABELS, generator=stream(0))
    expected, change = plan.images(images), slope(plan, tangent)
    for primal, direction in (
        (images, tangent),
        (images.contiguous(memory_format=torch.channels_last), tangent),
    ):
        mixed, moved = torch.func.jvp(plan.images, (primal,), (direction,))
        torch.testing.assert_close(mixed, expected)
        torch.testing.assert_close(moved, change)
    with forward_ad.dual_level():
        dual = forward_ad.unpack_dual(plan.images(forward_ad.make_dual(images, tangent)))
        torch.testing.assert_close(dual.tangent, change)
    _, back = torch.func.vjp(plan.images, images)
    # A linear map and its transpose: <J t, u> = <t, J' u>.
    other = rand(size, 3)
    torch.testing.assert_close((back(other)[0] * tangent).sum(), (change * other).sum())
    both = torch.vmap(plan.images)(torch.stack([images, tangent]))
    torch.testing.assert_close(both, torch.stack([expected, plan.images(tangent)]))
    moved = torch.vmap(lambda t: torch.func.jvp(plan.images, (images,), (t,))[1])(tangent[None])
    torch.testing.assert_close(moved[0], change)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_forward_derivatives_in_other_precisions(dtype: torch.dtype, size: int) -> None:
    images, tangent = rand(size, 1).to(dtype), rand(size, 2).to(dtype)
    for case in CASES:
        if case.name not in ("mixup", "cutmix", "gmix", "fmix", "smoothmix", "miamix", "hmix"):
            continue
        plan = case.plan(images, generator=stream(0))
        mixed, moved = torch.func.jvp(plan.images, (images,), (tangent,))
        assert mixed.dtype == moved.dtype == dtype
        torch.testing.assert_close(mixed, plan.images(images))
        torch.testing.assert_close(moved, plan.images(tangent))


@pytest.mark.parametrize("size", SIZES)
def test_derivatives_of_learned_masks(size: int) -> None:
    images, partner = rand(size, 1), torch.tensor([1, 2, 0])
    keep, change = rand(size, 4)[:, :1], rand(size, 5)[:, :1]

    def mixed(keep: Tensor) -> Tensor:
        return MixPlan.pair(partner, keep).images(images)

    _, moved = torch.func.jvp(mixed, (keep,), (change,))
    torch.testing.assert_close(moved, change * (images - images[partner]))
    rows = torch.vmap(mixed)(torch.stack([keep, change]))
    torch.testing.assert_close(rows[1], mixed(change))


def test_whole_numbers_under_vmap() -> None:
    pool = (torch.stack([rand(120, 1), rand(120, 2)]) * 255).byte()
    for case in CASES:
        if case.name in ("cutmix", "mixup"):
            plan = case.plan(pool[0], generator=stream(0))
            rows = torch.vmap(plan.images)(pool)
            assert torch.equal(rows, torch.stack([plan.images(images) for images in pool]))


def gradient_saliency(case: Case) -> bool:
    """Whether a mixer takes gradients while it draws, which inference mode does not let it."""
    saliency = getattr(case.mixer, "saliency", None)
    return case.model and saliency == "gradient"


DRAWN = [case for case in CASES if not gradient_saliency(case)]


@pytest.mark.parametrize("case", DRAWN, ids=lambda case: case.name)
def test_plans_of_inference_mode_serve_in_a_later_backward(case: Case) -> None:
    images = rand(16, 1)
    with torch.inference_mode():
        plan = case.plan(images, LABELS, generator=stream(0))
        half = plan.where(torch.tensor([True, False, True]), MixPlan.identity(images))
        coarse = None if plan.fill is not None else plan.at(8, 8)
    expected = case.plan(images, LABELS, generator=stream(0))
    found = []
    for drawn in (plan, expected):
        pixels = images.clone().requires_grad_()
        logits = torch.ones(3, CLASSES, requires_grad=True)
        loss = drawn.loss(nn.CrossEntropyLoss(reduction="none"), logits, LABELS)
        (drawn.images(pixels).square().sum() + loss).backward()
        found.append((pixels.grad, logits.grad))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))  # type: ignore[arg-type]
    pixels = images.clone().requires_grad_()
    half.images(pixels).sum().backward()
    weight = torch.ones(3, CLASSES, requires_grad=True)
    (plan.targets(LABELS, CLASSES) * weight).sum().backward()
    if coarse is not None:
        coarse.images(torch.ones(3, 2, 8, 8, requires_grad=True)).sum().backward()
    outside = torch.ones_like(plan.mask, requires_grad=True)
    (plan.mask * outside).sum().backward()
    assert not plan.index.is_inference()


def test_parts_made_in_inference_mode_are_copied() -> None:
    with torch.inference_mode():
        partner, keep = torch.tensor([1, 0]), torch.rand(2, 1, 4, 4)
    plan = MixPlan.pair(partner, keep)
    images = torch.rand(2, 3, 4, 4, requires_grad=True)
    plan.images(images).sum().backward()
    assert images.grad is not None


def test_parts_of_records_and_warps_made_in_inference_mode_are_copied() -> None:
    with torch.inference_mode():
        edges = torch.tensor([[[0, 2], [0, 2]]] * 2)
        whole = torch.tensor([[[0.0, 4.0], [0.0, 4.0]]] * 2)
    box = Box(edges, (4, 4), outside=torch.ones(2))
    warp = (None, Rect(source=whole, target=torch.ones(2, 2, 2), size=(4, 4)))
    plan = MixPlan.pair(torch.tensor([1, 0]), box, warp=warp)
    assert isinstance(plan.mask_form, Box)
    assert plan.warp is not None
    assert isinstance(plan.warp[1], Rect)
    assert not plan.mask_form.edges.is_inference()
    assert not plan.warp[1].source.is_inference()
    assert plan.mask_form.edges.tolist() == edges.tolist()
    assert plan.warp[1].size == (4, 4)


def test_gradient_saliency_in_inference_mode_says_so() -> None:
    case = next(case for case in CASES if gradient_saliency(case))
    with torch.inference_mode(), pytest.raises(ValueError, match=r"in torch\.inference_mode"):
        case.plan(rand(16, 1), LABELS, generator=stream(0))
