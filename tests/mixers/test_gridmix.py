"""GridMix: lattices by their numbers, and cells by their count."""

from __future__ import annotations

import math
import random

import pytest
import torch

from mixwright.mixers import GridMix
from mixwright.sampling import stream


def own(mixer: GridMix, *size: int, count: int = 300) -> torch.Tensor:
    return mixer.plan(torch.zeros(count, 1, *size), generator=stream(0)).check().mask[:, 0]


def whole(**settings: object) -> GridMix:
    """A lattice over the whole image, so that its numbers are known."""
    fixed = {"crop_area": (1.0, 1.0), "crop_aspect": (1.0, 1.0), "holes": (3, 3)}
    return GridMix(**(fixed | settings))  # type: ignore[arg-type]


def test_a_known_lattice():
    keep = own(whole(lam=1 - (3 / 4) ** 2), 12, 12, count=2)
    row = torch.tensor([0, 0, 0, 1] * 3)
    wanted = 1 - (1 - row)[:, None] * (1 - row)[None, :]
    assert torch.equal(keep, wanted.float().expand(2, 12, 12))


def test_a_whole_crop_covers_images_that_are_not_square():
    keep = own(GridMix(crop_area=(1, 1), holes=(4, 4), lam=1 - (4 / 5) ** 2), 10, 20)
    # The crop's aspect is that of the image, its patches are 5 x 5.
    assert torch.equal(keep, keep[:1].expand_as(keep))
    assert torch.equal(keep[0, :5, :5], keep[0, 5:, 15:])
    assert keep[0].mean().item() == pytest.approx(1 - 16 / 25)


def test_hole_aspect_stretches_patches_in_height():
    keep = own(whole(hole_aspect=0.5, lam=0.75), 12, 12, count=2)[0]
    # Patches 4 wide and 2 high, holes 2 wide and 1 high.
    assert (keep[0] == torch.tensor([0.0, 0, 1, 1] * 3)).all()
    assert (keep[1] == 1).all()
    assert (keep[2] == keep[0]).all()


def test_nothing_outside_the_crop_is_mixed():
    keep = own(GridMix(crop_area=(0.25, 0.25), crop_aspect=(1, 1), lam=0.5), 16, 16)
    mixed = keep < 1
    tall = mixed.any(dim=2).float()
    for line in (tall, mixed.any(dim=1).float()):
        first, last = line.argmax(dim=1), 15 - line.flip(1).argmax(dim=1)
        assert (last - first).max() < 8
    assert len(tall.argmax(dim=1).unique()) == 9  # every place at which 8 pixels fit


def test_a_phase_moves_the_first_hole():
    still = own(whole(lam=0.75), 12, 12)
    moved = own(whole(lam=0.75, phase=True), 12, 12)
    assert len(still.flatten(1).unique(dim=0)) == 1
    assert len(moved.flatten(1).unique(dim=0)) == 16
    torch.testing.assert_close(moved.mean(dim=(1, 2)), still.mean(dim=(1, 2)))


def test_holes_are_never_more_than_half_the_pixels_of_the_crop():
    keep = own(whole(holes=(6, 6), lam=0.0), 4, 4)
    assert torch.equal(keep[0, 0], torch.tensor([0.0, 1, 0, 1]))


@pytest.mark.parametrize("size", [(16, 16), (12, 20), (13, 7)])
def test_cells_are_whole_and_right_on_average(size):
    lam = 0.3
    keep = own(GridMix(variant="cells", lam=lam), *size, count=1000)
    blocks = keep.reshape(1000, -1) if keep.shape[1] == 4 else None
    if blocks is None:  # a cell's pixels agree: pick one of each
        rows, columns = (torch.arange(4) * side // 4 + (side % 4 > 0) for side in size)
        blocks = keep[:, rows[:, None], columns].reshape(1000, -1)
    counts = blocks.sum(dim=1)
    assert set(counts.tolist()) == {4, 5}
    assert counts.mean().item() == pytest.approx(lam * 16, abs=0.07)
    assert (blocks.mean(dim=0) - lam).abs().max() < 0.06


def test_a_range_replaces_the_beta_law():
    plan = GridMix(lam_range=(0.4, 0.7)).plan(torch.zeros(2000, 1, 8, 8), generator=stream(0))
    assert plan.lam is not None
    assert plan.lam.min() >= 0.4
    assert plan.lam.max() <= 0.7
    assert plan.lam.mean().item() == pytest.approx(0.55, abs=0.01)


def slow_share(rng: random.Random, lam: float, height: int, width: int) -> float:
    """Own share of one lattice of the default settings, drawn and counted pixel by pixel."""
    area, aspect = rng.uniform(0.5, 1) * height * width, rng.uniform(0.5, 2)
    aspect = min(max(aspect, area / width**2), height**2 / area)
    wide = math.floor(math.sqrt(area / aspect) + 1e-3)
    tall = math.floor(math.sqrt(area / aspect) * aspect + 1e-3)
    patch = math.ceil(wide / min(rng.randint(2, 6), wide // 2))
    hole = min(max(math.floor(patch * math.sqrt(1 - lam)), 1), patch - 1)
    mixed = sum(r % patch < hole and c % patch < hole for r in range(tall) for c in range(wide))
    return 1 - mixed / (height * width)


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.75])
@pytest.mark.parametrize("size", [(16, 16), (12, 24)])
def test_real_shares_have_the_law_of_a_slow_version(lam, size):
    rng = random.Random(0)
    slow = torch.tensor([slow_share(rng, lam, *size) for _ in range(1000)])
    fast = own(GridMix(lam=lam), *size, count=4000).mean(dim=(1, 2))
    bound = 4 * slow.std().item() * (1 / 1000 + 1 / 4000) ** 0.5
    assert fast.mean().item() == pytest.approx(slow.mean().item(), abs=bound)
    assert fast.std().item() == pytest.approx(slow.std().item(), rel=0.12)
    assert slow.mean() > lam


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "grid"}, "variant is 'grid'"),
        ({"holes": (0, 3)}, "holes is 0"),
        ({"holes": (3, 2)}, r"holes is \(3, 2\); expected \(low, high\)"),
        ({"holes": (2.5, 3)}, r"holes is \(2\.5, 3\); expected two whole numbers"),
        ({"holes": 3}, "holes is 3; expected two whole numbers"),
        ({"hole_aspect": 0.0}, "hole_aspect is 0.0"),
        ({"crop_area": (0.5, 1.5)}, "crop_area is 1.5"),
        ({"crop_aspect": (0.0, 1.0)}, "crop_aspect is 0.0"),
        ({"cells": 1}, "cells is 1"),
        ({"lam_range": (0.2, 2.0)}, "lam_range is 2.0"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=f"GridMix: {message}"):
        GridMix(**settings)
