"""SaliencyMix: the box lies around the partner's most salient pixel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mixwright.mixers.saliencymix import SaliencyMix
from mixwright.plan import MixPlan
from mixwright.sampling import stream


def brightest(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
    """The images themselves as saliency."""
    return images.float().mean(dim=1)


def with_peaks(count: int, height: int, width: int) -> tuple[Tensor, list[tuple[int, int]]]:
    """Dark images with one bright pixel each."""
    place = torch.randint(height * width, (count,), generator=stream(9)).tolist()
    images = torch.zeros(count, 3, height, width)
    for image, where in zip(images, place, strict=True):
        image[:, where // width, where % width] = 1.0
    return images, [divmod(where, width) for where in place]


def edges(plan: MixPlan) -> list[list[list[int]]]:
    assert plan.boxes is not None
    return plan.boxes.tolist()


def around(peak: tuple[int, int], lam: float, size: tuple[int, int]) -> list[list[int]]:
    """The box of the authors: half sides rounded down, clipped at the border."""
    sides = [int(length * (1 - lam) ** 0.5) for length in size]
    return [
        [max(at - side // 2, 0), min(at + side // 2, length)]
        for at, side, length in zip(peak, sides, size, strict=True)
    ]


@pytest.mark.parametrize("size", [(16, 16), (12, 21), (31, 8)])
@pytest.mark.parametrize("lam", [0.0, 0.3, 0.75, 0.97])
def test_each_box_lies_around_the_peak_of_the_partner(size, lam):
    images, peaks = with_peaks(24, *size)
    plan = SaliencyMix(saliency=brightest, lam=lam).plan(images, generator=stream(0)).check()
    for b, box in enumerate(edges(plan)):
        wanted = around(peaks[plan.index[b, 1]], lam, size)
        assert box == wanted
        (top, bottom), (left, right) = wanted
        area = (bottom - top) * (right - left) / (size[0] * size[1])
        assert plan.weight[b, 1].item() == pytest.approx(area, abs=1e-6)


def test_the_pasted_pixels_hold_the_peak_at_the_same_place():
    images, peaks = with_peaks(12, 16, 16)
    plan = SaliencyMix(saliency=brightest, lam=0.8).plan(images, generator=stream(0))
    mixed = plan.images(images)
    for b, partner in enumerate(plan.index[:, 1].tolist()):
        row, column = peaks[partner]
        assert mixed[b, 0, row, column] == 1.0


def test_per_batch_there_is_one_box_around_the_peak_of_the_first_partner():
    images, peaks = with_peaks(16, 20, 12)
    for seed in range(5):
        mixer = SaliencyMix(saliency=brightest, lam=0.6, per="batch", pairing="perm")
        plan = mixer.plan(images, generator=stream(seed)).check()
        wanted = around(peaks[plan.index[0, 1]], 0.6, (20, 12))
        assert edges(plan) == [wanted] * 16


def test_per_batch_one_image_alone_is_looked_at():
    seen: list[tuple[int, ...]] = []

    def counting(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
        assert labels is not None
        seen.append((len(images), len(labels)))
        return brightest(images)

    SaliencyMix(saliency=counting, per="batch").plan(
        torch.rand(6, 3, 8, 8), torch.arange(6), generator=stream(0)
    )
    assert seen == [(1, 1)]


@pytest.mark.parametrize("value", [0.0, 1.0, torch.nan, torch.inf])
def test_maps_without_a_peak_make_a_valid_plan(value):
    images = torch.rand(4, 3, 8, 8, generator=stream(0))

    def flat(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
        return torch.full((len(images), 8, 8), value)

    a, b = (SaliencyMix(saliency=flat).plan(images, generator=stream(0)).check() for _ in range(2))
    assert edges(a) == edges(b)
    assert a.images(images).isfinite().all()


def test_shares_follow_the_beta_law():
    images = torch.zeros(4000, 1, 2, 2)
    lam = SaliencyMix(saliency=brightest, alpha=1.0).plan(images, generator=stream(0)).lam
    assert lam is not None
    assert float(lam.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(lam.var()) == pytest.approx(1 / 12, abs=0.005)


def test_gradient_saliency_finds_what_the_model_looks_at():
    class Corner(nn.Module):
        """Looks at one pixel only."""

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(images[:, :, 5, 9])

    model = Corner()
    images, labels = torch.rand(6, 3, 16, 16, generator=stream(0)), torch.arange(6) % 2
    plan = SaliencyMix(lam=0.9).plan(images, labels, generator=stream(1), model=model)
    assert edges(plan) == [around((5, 9), 0.9, (16, 16))] * 6
    assert model.head.weight.grad is None
    with pytest.raises(ValueError, match="SaliencyMix: model missing"):
        SaliencyMix().plan(images, labels, generator=stream(1))
    with pytest.raises(ValueError, match="SaliencyMix: labels missing"):
        SaliencyMix().plan(images, generator=stream(1), model=model)


def test_unknown_saliency_is_refused():
    with pytest.raises(ValueError, match="SaliencyMix: saliency is 'spectrum'"):
        SaliencyMix(saliency="spectrum")  # type: ignore[arg-type]
