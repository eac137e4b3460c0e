"""Second moments against direct sums over pixels, and what must hold of every method's."""

from __future__ import annotations

import pytest
import torch

from cases import CASES
from mixwright.lab.evaluation.offset_maps import offset_distance, overlap, profile
from mixwright.lab.theory.moments import gram, second_moments
from mixwright.lab.theory.plans import STRATA, draw_plans, tilted_plans
from mixwright.mixers import CutMix, Cutout, FMix, GMix, HMix, MiAMix, MixUp
from mixwright.plan import MixPlan


def drawn(mixer, size=(8, 8), count=256, seed=0, **more):
    images = torch.zeros(64, 3, *size)
    rng = torch.Generator().manual_seed(seed)
    return [batch.plan for batch in draw_plans(mixer, images, count=count, generator=rng, **more)]


def slow(plans, size):
    """A, B by pairs of pixels, source by source, as the definition has them."""
    pixels = size[0] * size[1]
    a, b, count = torch.zeros(pixels, pixels).double(), torch.zeros(pixels, pixels).double(), 0
    for plan in plans:
        mask = plan.mask.double().expand(-1, -1, *size).flatten(2)
        for row in range(len(plan)):
            count += 1
            images = {}  # what is seen of each image
            for n, index in enumerate(plan.index[row].tolist()):
                images[index] = images.get(index, 0) + mask[row, n]
            for n, index in enumerate(plan.index[row].tolist()):
                weight = float(plan.weight[row, n])
                a += weight * torch.outer(1 - images[index], 1 - images[index])
                for other, seen in images.items():
                    if other not in (index, -1):
                        b += weight * torch.outer(seen, seen)
    return a / count, b / count


def offsets(pairs, size):
    """The mean over places of every offset, by a double loop."""
    height, width = size
    found = torch.zeros(2 * height - 1, 2 * width - 1).double()
    for y in range(height):
        for x in range(width):
            for v in range(height):
                for u in range(width):
                    found[v - y + height - 1, u - x + width - 1] += pairs[
                        y * width + x, v * width + u
                    ]
    return found / overlap(size)


def three_sources():
    rng = torch.Generator().manual_seed(1)
    mask = torch.rand(6, 4, 3, 4, generator=rng).softmax(dim=1)
    index = torch.tensor([[0, 1, 2, -1], [1, 1, 0, 2], [2, 0, 0, 0]]).repeat(2, 1)
    weight = torch.rand(6, 4, generator=rng) * (index >= 0)
    fill = torch.tensor(0.0)
    return MixPlan(index=index, mask=mask, weight=weight, pool=3, fill=fill)


def test_maps_and_pairs_equal_direct_sums():
    for plans, size in (
        ([three_sources()], (3, 4)),
        (drawn(CutMix(), (4, 5), count=64), (4, 5)),
        (drawn(Cutout(length=3), (5, 4), count=64), (5, 4)),
        (drawn(MixUp(), (3, 3), count=64), (3, 3)),
    ):
        a, b = slow(plans, size)
        found_a, found_b = gram(plans, size, dtype=torch.float64)
        torch.testing.assert_close(found_a, a, atol=1e-7, rtol=0)  # weights and shares are float32
        torch.testing.assert_close(found_b, b, atol=1e-7, rtol=0)
        moments = second_moments(plans, size, dtype=torch.float64)
        torch.testing.assert_close(moments.a, offsets(found_a, size), atol=1e-12, rtol=0)
        torch.testing.assert_close(moments.b, offsets(found_b, size), atol=1e-12, rtol=0)
        torch.testing.assert_close(
            moments.diagonal.flatten(), found_a.diagonal(), atol=1e-12, rtol=0
        )
        assert moments.mean == pytest.approx(float(found_a.mean()), abs=1e-12)
        assert moments.mean_b == pytest.approx(float(found_b.mean()), abs=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_mixer_has_moments(case):
    rng = torch.Generator().manual_seed(0)
    images, labels = torch.rand(8, 3, 16, 16, generator=rng), torch.arange(8) % 3
    plan = case.plan(images, labels, generator=rng)
    moments = second_moments([plan], (16, 16), dtype=torch.float64)
    a, b = gram([plan], (16, 16), dtype=torch.float64)
    assert bool((torch.linalg.eigvalsh(a) > -1e-6).all())
    assert bool((torch.linalg.eigvalsh(b) > -1e-6).all())
    torch.testing.assert_close(moments.a, moments.a.flip(0, 1))
    sums = moments.a * overlap((16, 16))
    assert float(sums.max()) <= float(sums[15, 15]) + 1e-9  # the map by itself need not be
    assert moments.mean == pytest.approx(float(a.mean()), abs=1e-9)
    if (
        plan.index.shape[1] == 2
        and plan.warp is None
        and plan.fill is None
        and not case.self_mixing
    ):
        torch.testing.assert_close(moments.a, moments.b)  # two images: one map
    if case.labels_follow_pixels and plan.warp is None and plan.fill is None:
        assert moments.mean == pytest.approx(moments.budget, abs=1e-6)


def test_the_measured_table():
    """Figures known from an independent measurement with 8,192 masks of 32 x 32, alpha 1."""
    places = ((0, 0), (0, 4), (0, 8), (0, 16), (16, 16), (31, 31))
    known = {
        CutMix(): ((0.353, 0.311, 0.265, 0.175, 0.113, 0.211), 0.176),
        HMix(ratio=0.5): ((0.202, 0.190, 0.178, 0.162, 0.161, 0.172), 0.168),
        GMix(): ((0.188, 0.180, 0.160, 0.124, 0.105, 0.142), 0.130),
    }
    for mixer, (values, mean) in known.items():
        moments = second_moments(drawn(mixer, (32, 32), count=2048), (32, 32))
        for place, value in zip(places, values, strict=True):
            # Two measurements, the known one with half the error, rounded to three digits.
            assert abs(moments.at(*place) - value) < 4.5 * moments.error_at(*place) + 0.0005
        assert abs(moments.mean - mean) < 4.5 * moments.mean_error + 0.0005


def test_paper_mode_draws_the_tilted_law():
    images, rng = torch.zeros(8, 1, 32, 32), torch.Generator().manual_seed(0)
    plans = [batch.plan for batch in tilted_plans(CutMix(), images, count=2048, generator=rng)]
    moments = second_moments(plans, (32, 32), mode="paper", together=STRATA)
    assert (moments.masks, moments.batches) == (2048, 16)
    for place, value in zip(((0, 0), (0, 8), (16, 16)), (0.211, 0.141, 0.023), strict=True):
        assert abs(moments.at(*place) - value) < 0.006
    assert moments.at(31, 31) == pytest.approx(0, abs=1e-5)  # float32, of one pair
    tilted = torch.cat([plan.lam for plan in plans])
    assert abs(float(tilted.mean()) - 2 / 3) < 0.003  # Beta(2, 1), and far nearer than by chance


def test_paper_mode_weighs_the_first_source_alone():
    plan = MixPlan.pair(torch.tensor([1, 0]), torch.full((2, 1, 1, 1), 0.25))
    assert second_moments([plan], (2, 2), mode="paper").mean == pytest.approx(0.75**2)
    assert second_moments([plan], (2, 2)).mean == pytest.approx(0.25 * 0.75)


def test_swapping_mask_and_label_leaves_the_map():
    plan = drawn(FMix(), count=32, batch_size=32)[0]
    swapped = plan.replace(mask=plan.mask.flip(1), weight=plan.weight.flip(1),
                           index=plan.index.flip(1))  # fmt: skip
    one, other = (second_moments([p], (8, 8), dtype=torch.float64) for p in (plan, swapped))
    torch.testing.assert_close(one.a, other.a)


def test_nothing_mixed_weighs_nothing():
    moments = second_moments(drawn(MixUp(alpha=0)), (8, 8))
    assert float(moments.a.abs().max()) < 1e-5
    assert max(moments.mean, moments.mean_b) < 1e-9


def test_binary_masks_have_twice_the_budget_on_the_diagonal():
    moments = second_moments(drawn(FMix()), (8, 8), dtype=torch.float64)
    assert moments.at(0, 0) == pytest.approx(2 * moments.budget, abs=1e-6)
    assert moments.mean == pytest.approx(moments.budget, abs=1e-6)


def test_far_corners_can_outweigh_neighbours():
    """Normalised by overlap the map need not be largest in the middle."""
    keep = torch.zeros(2, 1, 4, 4)
    keep[:, :, 0, 0] = keep[:, :, 3, 3] = 1
    moments = second_moments([MixPlan.pair(torch.tensor([1, 0]), keep)], (4, 4), mode="exact")
    assert moments.at(3, 3) > moments.at(0, 0)


def test_sources_that_show_one_image_are_one():
    keep = torch.full((2, 1, 2, 2), 0.3)
    unmixed = MixPlan.pair(torch.tensor([0, 1]), keep)  # everybody meets itself
    moments = second_moments([unmixed], (2, 2))
    assert moments.mean == pytest.approx(0, abs=1e-7)
    assert moments.mean_b == 0


def test_errors_are_those_of_batches():
    plans = drawn(MixUp(), count=64 * 16)
    moments = second_moments(plans, (8, 8))
    each = torch.stack([(p.weight[:, 0] * p.weight[:, 1]).mean() for p in plans]).double()
    assert moments.batches == len(plans) == 16
    assert moments.error_at(2, 3) == pytest.approx(float(each.std() / 4), rel=1e-4)
    assert second_moments(plans[:1], (8, 8)).mean_error != moments.mean_error  # NaN


def test_distance_and_profile():
    assert offset_distance((2, 3)).tolist() == [[2, 1, 1, 1, 2], [2, 1, 0, 1, 2], [2, 1, 1, 1, 2]]
    values = torch.zeros(3, 5)
    values[1, 2], values[0, 0] = 5, 6
    assert profile(values).tolist() == [5, 0, 1]


def test_blocks_of_pixels():
    plans = drawn(CutMix(), count=64)
    whole, _ = gram(plans, (8, 8), dtype=torch.float64)
    blocks, _ = gram(plans, (8, 8), grid=(2, 2), dtype=torch.float64)
    mean = whole.view(2, 4, 2, 4, 2, 4, 2, 4).mean(dim=(1, 3, 5, 7)).view(4, 4)
    torch.testing.assert_close(blocks, mean, atol=1e-6, rtol=0)


def test_mistakes():
    rng = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="no whole batch"):
        second_moments([], (4, 4))
    with pytest.raises(ValueError, match="no plans"):
        gram([], (4, 4))
    with pytest.raises(ValueError, match="expected the size"):
        second_moments(drawn(CutMix(), (8, 8)), (4, 4))
    with pytest.raises(ValueError, match="at least 2 images"):
        list(draw_plans(MixUp(), torch.zeros(1, 3, 4, 4), count=1, generator=rng))
    for mixer, why in (
        (Cutout(), "no such law"),
        (MiAMix(), "no such law"),
        (MixUp(lam=0.5), "fixed at 0.5"),
        (CutMix(minmax=(0.2, 0.8)), "minmax"),
    ):
        with pytest.raises(ValueError, match=why):
            next(tilted_plans(mixer, torch.zeros(2, 3, 4, 4), count=8, generator=rng))
