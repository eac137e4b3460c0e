"""SaliencyGrafting: salient blocks by chance, labels by the saliency that they carry."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from mixwright.mixers.saliencygrafting import (
    SaliencyGrafting,
    candidates,
    common_grid,
    grafted_share,
)
from mixwright.sampling import stream


class Given:
    """A provider that gives the maps that it was made with."""

    def __init__(self, maps: Tensor) -> None:
        self.maps = maps

    def __call__(
        self, images: Tensor, labels: Tensor | None = None, *, model: nn.Module | None = None
    ) -> Tensor:
        return self.maps


def slow_candidates(blocks: Tensor, temperature: float) -> list[bool]:
    """Softened saliency of one image against its mean, in Python's floats."""
    values = blocks.double().flatten().tolist()
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    grown = [math.exp((value - mean) / spread / temperature) for value in values]
    return [one / sum(grown) >= 1 / len(values) for one in grown]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_candidates_are_those_of_the_definition(temperature):
    blocks = torch.rand(30, 4, 4, generator=stream(0)) ** 3
    blocks = blocks / blocks.sum(dim=(1, 2), keepdim=True)
    got = candidates(blocks, temperature)
    for b in range(30):
        assert got[b].flatten().tolist() == slow_candidates(blocks[b], temperature)
    assert 0 < got.float().mean() < 1


def test_blocks_that_differ_by_rounding_are_all_candidates():
    noise = torch.randint(-2, 3, (50, 7, 7), generator=stream(0)) * 2.0**-24
    assert candidates((1 + noise) / 49, 1.0).all()


def test_a_higher_temperature_has_more_candidates():
    blocks = torch.rand(30, 8, 8, generator=stream(0)) ** 3
    blocks = blocks / blocks.sum(dim=(1, 2), keepdim=True)
    counts = [int(candidates(blocks, t).sum()) for t in (0.2, 1.0, 5.0)]
    assert counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize("size", [(16, 16), (24, 40)])
def test_pixels_and_labels_are_those_of_the_definition(size):
    images = torch.rand(12, 2, *size, generator=stream(0))
    maps = torch.rand(12, *size, generator=stream(1)) ** 6
    plan = SaliencyGrafting(saliency=Given(maps)).plan(images, generator=stream(2)).check()
    mixed = plan.images(images)
    assert plan.mask.shape[2:] == (8, 8)
    tall, wide = size[0] // 8, size[1] // 8
    unit = maps.double() / maps.double().sum(dim=(1, 2), keepdim=True)
    grafts = 0
    for b, partner in enumerate(plan.index[:, 1].tolist()):
        brought = left = 0.0
        wanted = images[b].clone()
        phi = slow_candidates(unit[partner].view(8, tall, 8, wide).sum(dim=(1, 3)), 1.0)
        for r in range(8):
            for c in range(8):
                place = (slice(r * tall, (r + 1) * tall), slice(c * wide, (c + 1) * wide))
                if plan.mask[b, 1, r, c] == 1:
                    grafts += 1
                    assert phi[8 * r + c]
                    wanted[:, *place] = images[partner][:, *place]
                    brought += float(unit[partner][place].sum())
                else:
                    left += float(unit[b][place].sum())
        assert torch.equal(mixed[b], wanted)
        share = brought / (brought + left)
        assert plan.weight[b].tolist() == pytest.approx([1 - share, share], abs=1e-5)
    assert grafts > 30


def test_candidates_are_taken_with_the_chance_that_was_asked_for():
    maps = torch.rand(400, 8, 8, generator=stream(0)) ** 3
    images = torch.zeros(400, 1, 8, 8)
    for lam in (0.0, 0.25, 0.9):
        plan = SaliencyGrafting(lam=lam, saliency=Given(maps)).plan(images, generator=stream(1))
        unit = maps / maps.sum(dim=(1, 2), keepdim=True)
        phi = candidates(unit[plan.index[:, 1]], 1.0)
        taken = plan.mask[:, 1].bool()
        assert not (taken & ~phi).any()
        rate = (taken & phi).sum().item() / phi.sum().item()
        assert rate == pytest.approx(1 - lam, abs=0.02)
        torch.testing.assert_close(plan.lam, torch.full((400,), lam))


def test_the_chance_has_the_law_of_the_share():
    images, maps = torch.zeros(3000, 1, 8, 8), torch.ones(3000, 8, 8)
    plan = SaliencyGrafting(saliency=Given(maps)).plan(images, generator=stream(0))
    rate = plan.mask[:, 1].mean(dim=(1, 2))
    assert rate.mean().item() == pytest.approx(0.5, abs=0.02)
    assert rate.std().item() == pytest.approx((1 / 12 + 1 / 6 / 64) ** 0.5, rel=0.05)
    assert plan.lam is not None
    assert torch.corrcoef(torch.stack([plan.lam, rate]))[0, 1] < -0.95
    shared = SaliencyGrafting(per="batch", saliency=Given(maps)).plan(images, generator=stream(0))
    assert shared.lam is not None
    assert len(shared.lam.unique()) == 1
    assert len(shared.mask[:50, 0].flatten(1).unique(dim=0)) == 50  # blocks are drawn for each


@pytest.mark.parametrize("size", [(8, 8), (56, 35), (33, 44)])
def test_even_maps_give_shares_of_area(size):
    """Every block is a candidate; 33 x 44 has a grid of 11 blocks only."""
    images = torch.zeros(40, 1, *size)
    for maps in (torch.full((40, *size), 0.1), torch.full((40, *size), torch.nan)):
        mixer = SaliencyGrafting(grid=11, saliency=Given(maps))
        plan = mixer.plan(images, generator=stream(0)).check()
        torch.testing.assert_close(plan.weight[:, 1], plan.mask[:, 1].mean(dim=(1, 2)))
        whole = SaliencyGrafting(grid=11, lam=0.0, saliency=Given(maps))
        assert (whole.plan(images, generator=stream(0)).mask[:, 1] == 1).all()


def test_a_single_salient_block_carries_the_whole_label():
    maps = torch.zeros(2, 8, 8)
    maps[0, 0, 0] = maps[1, 5, 6] = 1.0
    mixer = SaliencyGrafting(lam=0.0, saliency=Given(maps))
    plan = mixer.plan(torch.zeros(2, 1, 8, 8), generator=stream(0))
    for b, place in enumerate([(5, 6), (0, 0)]):  # the partner's block
        assert plan.mask[b, 1].nonzero().tolist() == [list(place)]
        assert plan.weight[b].tolist() == pytest.approx([0.5, 0.5])  # both objects are seen
    maps[1] = maps[0]  # the partner's object covers the sample's
    plan = mixer.plan(torch.zeros(2, 1, 8, 8), generator=stream(0))
    assert plan.weight.tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_more_blocks_never_carry_less_of_the_label():
    own, other = torch.rand(2, 20, 4, 4, generator=stream(0))
    order = torch.rand(20, 16, generator=stream(1)).argsort(dim=1).argsort(dim=1).view(20, 4, 4)
    shares = torch.stack([grafted_share(order < k, own, other) for k in range(17)])
    assert (shares.diff(dim=0) >= -1e-6).all()
    assert torch.equal(shares[0], torch.zeros(20))
    torch.testing.assert_close(shares[16], torch.ones(20))


def test_where_nothing_salient_is_seen_area_counts():
    graft = torch.tensor([[[True, False], [False, False]]])
    own = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    other = torch.tensor([[[0.0, 0.0], [0.0, 1.0]]])
    assert grafted_share(graft, own, other).tolist() == [0.25]


def test_lam_of_one_and_alpha_of_zero_mix_nothing():
    images = torch.rand(4, 2, 9, 6, generator=stream(0))
    maps = Given(torch.rand(4, 9, 6, generator=stream(1)))
    for settings in ({"lam": 1.0}, {"alpha": 0.0}):
        plan = SaliencyGrafting(saliency=maps, **settings).plan(images, generator=stream(2))
        assert torch.equal(plan.images(images), images)
        assert plan.weight.tolist() == [[1.0, 0.0]] * 4


@pytest.mark.parametrize(
    ("grid", "size", "wanted"),
    [
        (8, (32, 32), 8),
        (8, (224, 224), 8),
        (7, (224, 224), 7),
        (8, (28, 28), 7),
        (8, (24, 40), 8),
        (8, (30, 20), 5),
        (8, (33, 17), 1),
        (8, (1, 1), 1),
        (3, (4, 4), 2),
    ],
)
def test_the_grid_divides_both_sides(grid, size, wanted):
    assert common_grid(grid, *size) == wanted


def test_the_model_and_the_labels_are_asked_for():
    images, labels = torch.rand(4, 1, 8, 8, generator=stream(0)), torch.tensor([0, 1, 2, 0])
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    plan = SaliencyGrafting().plan(images, labels, generator=stream(1), model=net).check()
    assert net[1].weight.grad is None
    assert plan.weight.shape == (4, 2)
    with pytest.raises(ValueError, match="SaliencyGrafting: model missing"):
        SaliencyGrafting().plan(images, labels, generator=stream(1))
    with pytest.raises(ValueError, match="SaliencyGrafting: labels missing"):
        SaliencyGrafting().plan(images, generator=stream(1), model=net)


def test_a_batch_of_one_is_left_alone():
    images = torch.rand(1, 3, 14, 14, generator=stream(0))
    plan = SaliencyGrafting().plan(images, generator=stream(1))
    assert torch.equal(plan.images(images), images)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grid": 0}, "grid is 0"),
        ({"grid": 2.0}, "grid is 2.0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"lam": 1.5}, "lam is 1.5"),
        ({"saliency": "x"}, "saliency is 'x'"),
        ({"per": "x"}, "per is 'x'"),
        ({"pairing": "x"}, "pairing is 'x'"),
    ],
)
def test_bad_arguments_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"SaliencyGrafting: {message}"):
        SaliencyGrafting(**settings)
