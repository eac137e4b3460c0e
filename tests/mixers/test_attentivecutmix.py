"""AttentiveCutMix: exactly the highest cells stay, and labels are what is seen."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor, nn

from mixwright.masks.blocks import upsample_blocks
from mixwright.masks.ranks import highest
from mixwright.mixers.attentivecutmix import AttentiveCutMix, cell_means
from mixwright.saliency import FeatureMean, salience
from mixwright.sampling import stream


class Given:
    """A provider that gives the maps that it was made with."""

    def __init__(self, maps: Tensor) -> None:
        self.maps = maps

    def __call__(
        self, images: Tensor, labels: Tensor | None = None, *, model: nn.Module | None = None
    ) -> Tensor:
        return self.maps


def brightness(
    images: Tensor, labels: Tensor | None = None, *, model: nn.Module | None = None
) -> Tensor:
    return images.float().mean(dim=1)


def slow_cells(one: Tensor, grid: int, kept: int) -> set[tuple[int, int]]:
    """The highest cells of one map whose sides are multiples of the grid, by sorting a list."""
    tall, wide = one.shape[0] // grid, one.shape[1] // grid
    means = {
        (r, c): float(one[r * tall : (r + 1) * tall, c * wide : (c + 1) * wide].double().mean())
        for r in range(grid)
        for c in range(grid)
    }
    return set(sorted(means, key=lambda cell: -means[cell])[:kept])


@pytest.mark.parametrize("lam", [0.0, 0.02, 6 / 49, 0.5, 0.99, 1.0])
def test_the_highest_cells_are_kept(lam):
    images = torch.rand(5, 3, 28, 14, generator=stream(0))
    plan = AttentiveCutMix(lam=lam, saliency=brightness).plan(images, generator=stream(1)).check()
    kept = min(max(1, int(49 * lam + 1e-6)), 49)
    mixed = plan.images(images)
    for b, partner in enumerate(plan.index[:, 1].tolist()):
        cells = slow_cells(images[b].mean(dim=0), 7, kept)
        wanted = images[partner].clone()
        for r, c in cells:
            place = (slice(None), slice(r * 4, r * 4 + 4), slice(c * 2, c * 2 + 2))
            wanted[place] = images[b][place]
        assert torch.equal(mixed[b], wanted)
    torch.testing.assert_close(plan.weight[:, 0], torch.full((5,), kept / 49))
    torch.testing.assert_close(plan.lam, torch.full((5,), lam))
    assert plan.mask.shape[2:] == (7, 7)  # held as cells, not as pixels


def test_the_paper_keeps_six_cells_of_49():
    images = torch.rand(8, 3, 14, 14, generator=stream(0))
    plan = AttentiveCutMix(top_k=6, saliency=brightness).plan(images, generator=stream(1))
    assert (plan.mask[:, 0].sum(dim=(1, 2)) == 6).all()
    torch.testing.assert_close(plan.lam, torch.full((8,), 6 / 49))
    torch.testing.assert_close(plan.weight[:, 0], torch.full((8,), 6 / 49))
    every = AttentiveCutMix(top_k=49, saliency=brightness).plan(images, generator=stream(1))
    assert torch.equal(every.images(images), images)


def test_a_share_of_whole_cells_keeps_them_all():
    """In float32 41 / 49 * 49 is below 41."""
    images = torch.rand(2, 1, 7, 7, generator=stream(0))
    for k in range(1, 50):
        mixer = AttentiveCutMix(lam=k / 49, saliency=brightness)
        assert mixer.plan(images, generator=stream(1)).mask[0, 0].sum() == k


def test_small_images_have_no_more_cells_than_pixels():
    images = torch.rand(2, 1, 2, 2, generator=stream(0))
    plan = AttentiveCutMix(top_k=6, saliency=brightness).plan(images, generator=stream(1))
    assert torch.equal(plan.images(images), images)
    assert plan.lam is not None
    assert plan.lam.tolist() == [1.0, 1.0]


def test_a_fixed_lam_overrides_top_k():
    images = torch.rand(3, 1, 7, 7, generator=stream(0))
    plan = AttentiveCutMix(top_k=6, lam=20 / 49, saliency=brightness).plan(
        images, generator=stream(1)
    )
    assert (plan.mask[:, 0].sum(dim=(1, 2)) == 20).all()


def test_numbers_of_cells_have_the_law_of_the_share():
    images = torch.rand(4000, 1, 7, 7, generator=stream(0))
    counts = {}
    for per in ("sample", "batch"):
        plan = AttentiveCutMix(saliency=brightness, per=per).plan(images, generator=stream(1))
        counts[per] = plan.mask[:, 0].sum(dim=(1, 2))
    # floor loses half a cell on average; Beta(2, 2) has deviation sqrt(1 / 20).
    assert counts["sample"].mean().item() == pytest.approx(24, abs=0.7)
    assert counts["sample"].std().item() == pytest.approx(49 * 0.05**0.5, rel=0.05)
    assert len(counts["batch"].unique()) == 1


@pytest.mark.parametrize("size", [(33, 17), (10, 21), (3, 20), (5, 4), (1, 1)])
def test_cells_that_do_not_divide_the_image_are_measured(size):
    """Image 1 is all ones and image 0 all zeros, so that the mean says whose pixels are seen."""
    images = torch.zeros(2, 1, *size)
    images[1] = 1.0
    maps = torch.rand(2, *size, generator=stream(3))
    for lam in (0.0, 0.3, 0.8):
        plan = AttentiveCutMix(lam=lam, saliency=Given(maps)).plan(images, generator=stream(1))
        shown = plan.check().images(images).mean(dim=(1, 2, 3))
        wanted = torch.stack([plan.weight[0, 1], plan.weight[1, 0]])
        torch.testing.assert_close(shown, wanted)
        rows, columns = (min(7, side) for side in size)
        own = plan.mask[0, 0]
        for r in range(own.shape[0]):
            for c in range(own.shape[1]):  # pixels of one cell are of one image
                top = -(-(r * rows // own.shape[0]) * own.shape[0] // rows)
                left = -(-(c * columns // own.shape[1]) * own.shape[1] // columns)
                assert own[r, c] == own[top, left]


def test_equal_cells_are_taken_in_reading_order():
    images = torch.rand(3, 1, 14, 14, generator=stream(0))
    for maps in (torch.ones(3, 14, 14), torch.zeros(3, 14, 14), torch.full((3, 14, 14), torch.nan)):
        plan = AttentiveCutMix(top_k=9, saliency=Given(maps)).plan(images, generator=stream(1))
        wanted = (torch.arange(49) < 9).view(7, 7).expand(3, 7, 7)
        assert torch.equal(plan.mask[:, 0].bool(), wanted)


def test_means_are_over_the_pixels_of_each_cell():
    """Maps of one value a cell are found again, whatever the image's size."""
    for height, width in ((7, 14), (32, 33), (10, 224)):
        cells = torch.rand(3, 7, 7, generator=stream(height))
        maps = upsample_blocks(cells, (height, width))
        torch.testing.assert_close(cell_means(maps, (7, 7)), cells)
    maps = torch.rand(2, 5, 9, generator=stream(0))
    got = cell_means(maps, (2, 4))
    for r in range(2):
        for c in range(4):
            rows = [k for k in range(5) if k * 2 // 5 == r]
            columns = [k for k in range(9) if k * 4 // 9 == c]
            wanted = maps[:, rows][:, :, columns].mean(dim=(1, 2))
            torch.testing.assert_close(got[:, r, c], wanted)


def test_highest_is_what_a_sorted_list_gives():
    scores = torch.randint(5, (40, 3, 4), generator=stream(0)).float()
    kept = torch.randint(13, (40,), generator=stream(1))
    got = highest(scores, kept)
    for b in range(40):
        line = scores[b].flatten().tolist()
        best = sorted(range(12), key=lambda k: (-line[k], k))[: int(kept[b])]
        assert got[b].flatten().tolist() == [k in best for k in range(12)]
    with pytest.raises(ValueError, match="highest: scores have shape"):
        highest(scores, kept[:3])


def _net() -> nn.Sequential:
    conv = nn.Conv2d(1, 4, 1)
    nn.init.constant_(conv.weight, 1.0)
    nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def test_by_default_the_model_is_looked_through():
    images = torch.rand(4, 1, 14, 14, generator=stream(0))
    plan = AttentiveCutMix(lam=0.4).plan(images, generator=stream(1), model=_net())
    bright = AttentiveCutMix(lam=0.4, saliency=brightness).plan(images, generator=stream(1))
    assert torch.equal(plan.mask, bright.mask)  # its last map is the brightness
    with pytest.raises(ValueError, match="AttentiveCutMix: model missing"):
        AttentiveCutMix().plan(images, generator=stream(1))


def test_a_teacher_is_looked_through_instead_of_the_model():
    images = torch.rand(4, 1, 14, 14, generator=stream(0))
    teacher = _net()
    mixer = AttentiveCutMix(lam=0.4, teacher=teacher, teacher_size=28)
    plan = mixer.plan(images, generator=stream(1))
    maps = salience(
        FeatureMean(teacher=teacher, size=28), images, None, model=None, name="AttentiveCutMix"
    )
    given = AttentiveCutMix(lam=0.4, saliency=Given(maps)).plan(images, generator=stream(1))
    assert torch.equal(plan.mask, given.mask)
    assert mixer == AttentiveCutMix(lam=0.4, teacher=teacher, teacher_size=28)
    assert hash(mixer) == hash(AttentiveCutMix(lam=0.4, teacher=teacher, teacher_size=28))
    assert pickle.loads(pickle.dumps(mixer)).teacher_size == 28


def test_a_batch_of_one_is_left_alone_and_asks_nobody():
    images = torch.rand(1, 3, 14, 14, generator=stream(0))
    plan = AttentiveCutMix().plan(images, generator=stream(1))
    assert torch.equal(plan.images(images), images)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top_k": 0}, "top_k is 0"),
        ({"top_k": 2.5}, "top_k is 2.5"),
        ({"top_k": 50}, "top_k is 50; expected at most 49"),
        ({"grid": 0}, "grid is 0"),
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"lam": 1.5}, "lam is 1.5"),
        ({"per": "x"}, "per is 'x'"),
        ({"pairing": "x"}, "pairing is 'x'"),
        ({"saliency": "x"}, "saliency is 'x'"),
        ({"teacher_size": 0}, "teacher_size is 0"),
        ({"saliency": "spectral", "teacher_size": 224}, "beside a teacher"),
        ({"saliency": "gradient", "teacher": nn.Identity()}, "beside a teacher"),
    ],
)
def test_bad_arguments_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"AttentiveCutMix: .*{message}"):
        AttentiveCutMix(**settings)
