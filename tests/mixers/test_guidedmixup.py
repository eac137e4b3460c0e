"""GuidedMixup: pixels shared by saliency, partners that differ."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mixwright.mixers.guidedmixup import GuidedMixup, farthest_cycle, map_distances
from mixwright.sampling import partners, stream


def themselves(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
    """The images themselves as saliency."""
    return images.float().mean(dim=1)


# ------------------------------------------------------------------ masks


def test_each_pixel_is_shared_by_saliency():
    images = torch.rand(5, 3, 6, 9, generator=stream(0))
    plan = GuidedMixup(saliency=themselves, blur=1).plan(images, generator=stream(0)).check()
    maps = themselves(images)
    for b, partner in enumerate(plan.index[:, 1].tolist()):
        own, other = (maps[k] / maps[k].sum() for k in (b, partner))
        wanted = own / (own + other)
        torch.testing.assert_close(plan.mask[b, 0], wanted)
        assert plan.weight[b, 0].item() == pytest.approx(wanted.mean().item(), abs=1e-6)
        mixed = wanted * images[b] + (1 - wanted) * images[partner]
        torch.testing.assert_close(plan.images(images)[b], mixed)


def test_the_shares_of_a_couple_sum_to_one():
    images = torch.rand(2, 3, 16, 16, generator=stream(0))
    plan = GuidedMixup().plan(images, generator=stream(0))
    assert plan.index[:, 1].tolist() == [1, 0]
    torch.testing.assert_close(plan.mask[0, 0] + plan.mask[1, 0], torch.ones(16, 16))
    assert float(plan.mask[0, 0].std()) > 0.01


def test_equal_images_are_shared_equally():
    images = torch.rand(1, 3, 8, 8, generator=stream(0)).expand(4, 3, 8, 8)
    plan = GuidedMixup().plan(images, generator=stream(0)).check()
    torch.testing.assert_close(plan.mask, torch.full((4, 2, 8, 8), 0.5))
    assert sorted(plan.index[:, 1].tolist()) == [0, 1, 2, 3]
    assert (plan.index[:, 1] != torch.arange(4)).all()


def test_where_both_are_zero_both_have_half():
    images = torch.zeros(2, 1, 1, 4)
    images[0, 0, 0, 0] = images[1, 0, 0, 1] = 1.0
    plan = GuidedMixup(saliency=themselves, blur=1).plan(images, generator=stream(0))
    assert plan.mask[:, 0].tolist() == [[[1.0, 0.0, 0.5, 0.5]], [[0.0, 1.0, 0.5, 0.5]]]


def test_maps_are_blurred_before_they_are_compared():
    images = torch.zeros(2, 1, 1, 5)
    images[0, 0, 0, 1] = images[1, 0, 0, 3] = 1.0
    plan = GuidedMixup(saliency=themselves, blur=3, sigma=1.0).plan(images, generator=stream(0))
    side, middle = math.exp(-0.5), 1.0
    # A mirrored border gives pixel 0 the tail of pixel 1 twice.
    first = [2 * side, middle, side, 0.0, 0.0]
    second = first[::-1]
    wanted = [a / (a + b) for a, b in zip(first, second, strict=True)]
    torch.testing.assert_close(plan.mask[0, 0, 0], torch.tensor(wanted))


@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf])
def test_maps_that_say_nothing_count_as_even(value):
    def broken(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
        return torch.full((len(images), 8, 8), value)

    images = torch.rand(4, 3, 8, 8, generator=stream(0))
    plan = GuidedMixup(saliency=broken).plan(images, generator=stream(0)).check()
    torch.testing.assert_close(plan.mask, torch.full((4, 2, 8, 8), 0.5))


# ------------------------------------------------------------------ partners


def slow_cycle(distance: list[list[float]]) -> list[int]:
    """The cycle, sample by sample."""
    count = len(distance)
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
    first, here = max(pairs, key=lambda pair: distance[pair[0]][pair[1]])
    following, left = {first: here}, set(range(count)) - {first, here}
    while left:
        farthest = max(left, key=lambda other: distance[here][other])
        following[here] = farthest
        left.remove(farthest)
        here = farthest
    following[here] = first
    return [following[k] for k in range(count)]


@given(count=st.integers(2, 9), seed=st.integers(0, 999), symmetric=st.booleans())
def test_the_cycle_is_that_of_a_slow_search(count, seed, symmetric):
    distance = torch.rand(count, count, generator=stream(seed)) * 10 - 5
    if symmetric:
        distance = distance + distance.T
        found = farthest_cycle(distance).tolist()
        # Equal from both ends: either direction of the first step is a largest distance.
        row, column = divmod(int(distance.clone().fill_diagonal_(-99).argmax()), count)
        nudged = distance.clone()
        nudged[row, column] += 1e-4
        other = distance.clone()
        other[column, row] += 1e-4
        assert found in (slow_cycle(nudged.tolist()), slow_cycle(other.tolist()))
    else:
        kept = distance.clone()
        assert farthest_cycle(distance).tolist() == slow_cycle(distance.tolist())
        assert torch.equal(distance, kept)


@pytest.mark.parametrize("count", [2, 3, 8, 33])
@pytest.mark.parametrize("equal", [False, True])
def test_everybody_is_met_once_and_nobody_by_itself(count, equal):
    distance = torch.zeros(count, count) if equal else torch.rand(count, count)
    partner = farthest_cycle(distance)
    assert sorted(partner.tolist()) == list(range(count))
    assert (partner != torch.arange(count)).all()
    here, length = int(partner[0]), 1
    while here != 0:
        here, length = int(partner[here]), length + 1
    assert length == count


def test_partners_differ_more_than_by_chance():
    maps = torch.rand(32, 8, 8, generator=stream(0)) ** 4
    maps = maps / maps.sum(dim=(1, 2), keepdim=True)
    distance = map_distances(maps)
    rows = torch.arange(32)
    chance = [
        distance[rows, partners(32, device=maps.device, generator=stream(k))].mean()
        for k in range(20)
    ]
    assert distance[rows, farthest_cycle(distance)].mean() > max(chance)


@pytest.mark.parametrize("size", [(5, 7), (64, 32), (48, 40)])
def test_distances_are_those_of_reduced_maps(size):
    maps = torch.rand(6, *size, generator=stream(0)) + 3
    small = maps
    if size == (64, 32):
        small = maps.view(6, 32, 2, 32).mean(dim=2)
    elif size == (48, 40):  # 32 cells over 48 rows, 32 over 40 columns: least common multiples
        small = maps.repeat_interleave(2, 1).view(6, 32, 3, 40).mean(dim=2)
        small = small.repeat_interleave(4, 2).view(6, 32, 32, 5).mean(dim=3)
    wanted = [[(a - b).square().sum() for b in small] for a in small]
    torch.testing.assert_close(map_distances(maps), torch.tensor(wanted), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pairing", ["cycle", "perm", "flip", "roll"])
def test_other_pairings_are_those_of_sampling(pairing):
    images = torch.rand(6, 3, 8, 8, generator=stream(0))
    plan = GuidedMixup(pairing=pairing).plan(images, generator=stream(4)).check()
    wanted = partners(6, device=images.device, generator=stream(4), pairing=pairing)
    assert torch.equal(plan.index[:, 1], wanted)


def test_greedy_pairing_reaches_the_plan():
    images = torch.rand(9, 3, 8, 8, generator=stream(0))
    plan = GuidedMixup(saliency=themselves, blur=1).plan(images, generator=stream(0))
    maps = themselves(images)
    maps = maps / maps.sum(dim=(1, 2), keepdim=True)
    wanted = [[float((a - b).square().sum()) for b in maps] for a in maps]
    found = plan.index[:, 1].tolist()
    backwards = slow_cycle(
        [[d + 1e-6 * (a > b) for b, d in enumerate(row)] for a, row in enumerate(wanted)]
    )
    assert found in (slow_cycle(wanted), backwards)


def test_bad_settings_are_refused():
    for argument, value in (
        ("saliency", "x"),
        ("blur", 4),
        ("sigma", -1.0),
        ("pairing", "nearest"),
    ):
        with pytest.raises(ValueError, match=f"GuidedMixup: {argument} is"):
            GuidedMixup(**{argument: value})
    with pytest.raises(ValueError, match="GuidedMixup: model missing"):
        GuidedMixup(saliency="gradient").plan(torch.rand(2, 3, 8, 8), generator=stream(0))
