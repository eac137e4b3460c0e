"""Gradients by pixels: products of two at an offset, norms, and curvature."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lab.evaluation.judged import Counting, images_and_labels, small, subject
from mixwright.lab.evaluation.gradients import gradients, offsets
from mixwright.lab.evaluation.gradients.gradients import Gradients
from mixwright.lab.evaluation.gradients.offsets import (
    mean_products,
    near_and_far,
    offset_maxima,
    offset_means,
    pixel_sizes,
    pooled,
)
from mixwright.lab.evaluation.gradients.pixel_gradient import (
    every_gradient,
    gradient_norms,
    hessian_trace,
    pixel_gradient,
    value_of,
)
from mixwright.lab.evaluation.offset_maps import overlap, profile
from mixwright.sampling import stream


def judged(*, smooth: bool = False) -> tuple[nn.Module, Tensor, Tensor]:
    images, labels = images_and_labels(9)
    return small(smooth=smooth), images.float() / 255, labels


def slow_products(one: Tensor) -> dict[tuple[int, int], list[float]]:
    """All products of an image's pixels, by offset."""
    height, width = one.shape
    found: dict[tuple[int, int], list[float]] = {}
    for y in range(height):
        for x in range(width):
            for v in range(height):
                for u in range(width):
                    product = float(one[y, x]) * float(one[v, u])
                    found.setdefault((v - y, u - x), []).append(product)
    return found


def test_a_linear_model_of_two_pixels() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 5 * 6, 2, bias=False))
    weight = torch.zeros(3, 5, 6)
    weight[0, 1, 4], weight[2, 3, 2] = 3.0, -2.0
    model[1].weight.data = torch.stack([weight.flatten(), torch.zeros(90)])
    images = torch.rand(2, 3, 5, 6)
    gradient, _ = pixel_gradient(model, images, value_of("true", torch.tensor([0, 0])))
    found = offset_maxima(pixel_sizes(gradient)).highest
    expected = torch.zeros(9, 11, dtype=torch.float64)
    expected[4, 5], expected[4 + 2, 5 - 2], expected[4 - 2, 5 + 2] = 9.0, 6.0, 6.0
    torch.testing.assert_close(found, expected)


@given(n=st.integers(1, 4), h=st.integers(1, 5), w=st.integers(1, 5), seed=st.integers(0, 99))
def test_maxima_and_means_by_a_slow_version(n: int, h: int, w: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    gradient = torch.randn(n, 2, h, w, generator=generator, dtype=torch.float64)
    sizes = pixel_sizes(gradient)
    maxima, means = offset_maxima(sizes), offset_means(gradient)
    unit = sizes / sizes.square().mean(dim=(1, 2), keepdim=True).sqrt()
    slow = [slow_products(one) for one in sizes]
    slow_unit = [slow_products(one) for one in unit]
    signed = [[slow_products(channel) for channel in one] for one in gradient]
    for y in range(-(h - 1), h):
        for x in range(-(w - 1), w):
            place, p = (y + h - 1, x + w - 1), (y, x)
            peaks = torch.tensor([max(one[p]) for one in slow], dtype=torch.float64)
            assert float(maxima.highest[place]) == pytest.approx(float(peaks.max()), rel=1e-12)
            assert float(maxima.q99[place]) == pytest.approx(float(peaks.quantile(0.99)), rel=1e-12)
            mean = sum(sum(one[p]) / len(one[p]) for one in slow_unit) / n
            assert float(means.mean[place]) == pytest.approx(mean, abs=1e-10)
            both = sum(sum(c[p]) / len(c[p]) for one in signed for c in one) / n
            assert float(means.signed[place]) == pytest.approx(both, abs=1e-10)


def test_maps_are_symmetric_and_largest_in_the_middle() -> None:
    sizes = torch.rand(7, 6, 9, generator=torch.Generator().manual_seed(0))
    maxima = offset_maxima(sizes)
    sums = mean_products(sizes[:, None]) * overlap((6, 9))
    for found in (maxima.highest, maxima.q99, sums[0]):
        torch.testing.assert_close(found, found.flip(0, 1))
        assert float(found.max()) == pytest.approx(float(found[5, 8]), abs=1e-12)


def test_scale_goes_by_its_square_and_leaves_the_means() -> None:
    gradient = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0)).double()
    one, three = (offset_maxima(pixel_sizes(by * gradient)).highest for by in (1, 3))
    torch.testing.assert_close(three, 9 * one)
    first, other = offset_means(gradient), offset_means(3 * gradient)
    torch.testing.assert_close(first.mean, other.mean)
    torch.testing.assert_close(9 * first.signed, other.signed)
    assert float(first.mean[5, 5]) == pytest.approx(1.0)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    gradient = torch.randn(11, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    whole, means = offset_maxima(pixel_sizes(gradient)), offset_means(gradient)
    monkeypatch.setattr(offsets, "_NUMBERS", 70)
    monkeypatch.setattr(offsets, "_SPECTRUM", 900)
    parts = offset_maxima(pixel_sizes(gradient))
    assert torch.equal(whole.highest, parts.highest)
    assert torch.equal(whole.q99, parts.q99)
    several = offset_means(gradient)
    torch.testing.assert_close(several.mean, means.mean)
    torch.testing.assert_close(several.near, means.near)
    added = offset_means(gradient[:4]) + offset_means(gradient[4:])
    torch.testing.assert_close(added.mean, means.mean)
    torch.testing.assert_close(added.signed, means.signed)
    assert torch.equal(added.profiles, means.profiles)


def test_largest_channel_gives_the_largest_product_over_pairs_of_channels() -> None:
    gradient = torch.randn(1, 3, 3, 4, generator=torch.Generator().manual_seed(0))
    found = offset_maxima(pixel_sizes(gradient, "linf")).highest
    slow = 0.0
    for a in range(3):
        for b in range(3):
            for y in range(2):
                for x in range(4):
                    slow = max(slow, abs(float(gradient[0, a, y, x] * gradient[0, b, y + 1, x])))
    assert float(found[3, 3]) == pytest.approx(slow)
    torch.testing.assert_close(pixel_sizes(gradient), gradient.square().sum(dim=1).sqrt())
    with pytest.raises(ValueError, match="colour is 'l1'"):
        pixel_sizes(gradient, "l1")  # type: ignore[arg-type]


def test_near_far_and_profiles_are_means_over_rings() -> None:
    gradient = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    means = offset_means(gradient)
    rings = torch.maximum(torch.arange(-7, 8).abs()[:, None], torch.arange(-7, 8).abs()[None, :])
    assert near_and_far(8, 8) == (1, 3)
    assert float(means.near.mean()) == pytest.approx(float(means.mean[rings <= 1].mean()))
    assert float(means.far.mean()) == pytest.approx(float(means.mean[rings >= 3].mean()))
    slow = torch.stack([means.mean[rings == r].mean() for r in range(8)])
    torch.testing.assert_close(profile(means.mean), slow)
    torch.testing.assert_close(means.profiles.double().mean(dim=0), slow, atol=1e-6, rtol=1e-6)


def test_an_image_without_gradient_counts_in_no_mean() -> None:
    gradient = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    gradient[1] = 0
    means = offset_means(gradient)
    assert means.used.tolist() == [True, False, True]
    torch.testing.assert_close(means.mean, offset_means(gradient[[0, 2]]).mean)
    assert bool(means.mean.isfinite().all())


def test_large_maps_are_pooled_and_bound_the_exact_one() -> None:
    sizes = torch.rand(2, 128, 66, generator=torch.Generator().manual_seed(0))
    assert pooled(sizes).shape == (2, 56, 29)
    assert torch.equal(pooled(sizes[:, :64, :64]), sizes[:, :64, :64])
    found = offset_maxima(sizes).highest
    assert found.shape == (111, 57)
    assert float(found[55, 28]) == pytest.approx(float(sizes.max()) ** 2)


def test_what_is_differentiated_by_hand() -> None:
    logits, labels = torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([2])
    found = {of: float(value_of(of, labels)(logits)) for of in ("true", "predicted", "loss")}
    crossed = float(F.cross_entropy(logits, labels))
    assert found == pytest.approx({"true": 2.0, "predicted": 3.0, "loss": crossed})


@pytest.mark.parametrize("of", ["true", "predicted", "loss"])
def test_gradients_by_finite_differences(of: Any) -> None:
    model, images, labels = judged(smooth=True)
    model, images = model.double().eval(), images.double()
    value = value_of(of, labels)
    gradient, logits = pixel_gradient(model, images, value)
    torch.testing.assert_close(logits, model(images).detach())
    push = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)).double()
    ends = [value(model(images + sign * 1e-5 * push)) for sign in (1, -1)]
    slope = (ends[0] - ends[1]).detach() / 2e-5
    torch.testing.assert_close((gradient * push).sum(dim=(1, 2, 3)), slope, atol=1e-6, rtol=1e-6)


def test_all_logits_are_differentiated_class_by_class() -> None:
    model, images, _ = judged()
    found, _ = every_gradient(model, images)
    for k in range(4):
        one, _ = pixel_gradient(model, images, lambda logits, k=k: logits[:, k])
        torch.testing.assert_close(found[:, 3 * k : 3 * k + 3], one)


def test_words_nobody_knows() -> None:
    with pytest.raises(ValueError, match="of is 'all'"):
        value_of("all", torch.tensor([0]))
    with pytest.raises(ValueError, match="not finite"):
        offset_maxima(torch.full((1, 2, 2), torch.nan))


class Quadratic(nn.Module):
    """``x^T A x / 2`` and nothing."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix = matrix

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        first = ((flat @ self.matrix) * flat).sum(dim=1) / 2
        return torch.stack([first, 0 * first], dim=1)


def test_the_trace_of_a_quadratic_form() -> None:
    images, labels = torch.rand(5, 1, 2, 3), torch.zeros(5, dtype=torch.long)
    even = Quadratic(torch.diag(torch.arange(1.0, 7.0)))
    exact = hessian_trace(even, images, value_of("true", labels), probes=1, generator=stream(0))
    assert exact.tolist() == pytest.approx([21.0] * 5)  # no variance without off-diagonals
    matrix = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    matrix = matrix + matrix.T
    found = hessian_trace(
        Quadratic(matrix), images, value_of("true", labels), probes=2000, generator=stream(0)
    )
    assert found.mean().item() == pytest.approx(float(matrix.trace()), abs=0.4)


def test_the_trace_of_a_network_by_the_whole_hessian() -> None:
    model, images, labels = judged(smooth=True)
    model = model.double().eval()
    images, labels = images[:2, :, :4, :4].double(), labels[:2]
    found = hessian_trace(model, images, value_of("loss", labels), probes=400, generator=stream(0))
    for b in range(2):
        hessian = torch.autograd.functional.hessian(
            lambda x, b=b: F.cross_entropy(model(x.view(1, 3, 4, 4)), labels[b : b + 1]),
            images[b].flatten(),
        )
        spread = float((hessian - hessian.diag().diag()).square().sum() * 2 / 400) ** 0.5
        assert float(found[b]) == pytest.approx(float(hessian.trace()), abs=4 * spread)
    assert all(weight.grad is None for weight in model.parameters())


def test_the_trace_of_what_is_piecewise_linear() -> None:
    model, images, labels = judged()
    found = hessian_trace(model, images, value_of("true", labels), probes=2, generator=stream(0))
    assert found.tolist() == [0.0] * 9
    with pytest.raises(ValueError, match="probes is 0"):
        hessian_trace(model, images, value_of("true", labels), probes=0, generator=stream(0))


def test_norms() -> None:
    gradient = torch.randn(3, 2, 4, 4)
    l1, l2 = gradient_norms(gradient)
    torch.testing.assert_close(l1, gradient.abs().flatten(1).sum(dim=1).double())
    torch.testing.assert_close(l2, gradient.flatten(1).norm(dim=1).double())


@pytest.mark.parametrize(
    ("of", "mebibytes"),
    [("true", 64), ("predicted", 64), ("loss", 64), ("norm", 64), ("norm", 0)],
)
def test_the_part_reports_what_the_functions_say(
    of: Any, mebibytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients, "_MEBIBYTES", mebibytes)  # 0: one image at a time
    model, cache = small(), Counting()
    judge = subject(model, cache=cache)
    part = Gradients(of=of, probes=2, traced=10)
    found = part.measure(judge)
    json.dumps(found.summary)
    images, labels = images_and_labels()
    pixels = images.float() / 255
    if of == "norm":
        gradient, _ = every_gradient(model, pixels)
    else:
        gradient, _ = pixel_gradient(model, pixels, value_of(of, labels))
    maxima, means = offset_maxima(pixel_sizes(gradient)), offset_means(gradient)
    torch.testing.assert_close(found.arrays["highest"], maxima.highest, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(found.arrays["mean"], means.mean, rtol=1e-4, atol=1e-6)
    assert found.summary["l1"] == pytest.approx(float(gradient_norms(gradient)[0].mean()))
    ratio = float(means.near.mean() / means.far.mean())
    assert found.summary["near_far"] == pytest.approx(ratio, rel=1e-4)
    assert found.summary["profile_highest"][0] == 1.0
    assert found.summary["traced"] == len(found.arrays["trace"]) == 10
    assert found.summary["trace"] == pytest.approx(float(found.arrays["trace"].mean()))
    assert found.summary["count"] == len(found.arrays["near"]) == 20
    assert found.summary["no_gradient"] == 0
    assert len(cache.made) == 3
    assert part.measure(judge).summary == found.summary
    assert len(cache.made) == 3


def test_counts_and_no_trace() -> None:
    found = Gradients(count=9, probes=0).measure(subject(small()))
    assert found.summary["count"] == 9
    assert found.summary["trace"] is None
    assert len(found.arrays["trace"]) == 0


@pytest.mark.parametrize(
    "options", [{"of": "all"}, {"colour": "l1"}, {"count": -1}, {"probes": -1}]
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Gradients: "):
        Gradients(**options)


def test_the_trace_of_a_model_with_fused_attention() -> None:
    from mixwright.lab.evaluation.gradients.pixel_gradient import hessian_trace
    from mixwright.lab.models.build import build_model

    torch.manual_seed(0)
    model = build_model("smallvit", num_classes=3, image_size=8).eval()
    images = torch.rand(2, 3, 8, 8)
    found = hessian_trace(
        model,
        images,
        lambda logits: logits.logsumexp(dim=1),
        probes=1,
        generator=torch.Generator().manual_seed(0),
    )
    assert found.isfinite().all()
