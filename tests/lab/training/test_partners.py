"""Batches in which no image ever meets another are refused where the method mixes images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.training.test_learned import net
from lab.training.tiny import Blend, recipe, run, tiny_data
from mixwright.lab.training.distributed import World
from mixwright.lab.training.recipe import RecipeError
from mixwright.lab.training.session import check_partners
from mixwright.mixers import Cutout, MiAMix, MixUp
from mixwright.objectives import AutoMix, ManifoldMix, Mixed, RecursiveMix


@pytest.mark.parametrize(
    "make", [lambda: Mixed(MixUp()), lambda: Mixed(MiAMix(p_self=1.0)), ManifoldMix, AutoMix]
)
def test_nothing_is_begun_where_nothing_would_be_mixed(tmp_path: Path, make: Any) -> None:
    of = recipe(batch_size=8, accumulate=8, method="mixup")
    with pytest.raises(RecipeError, match=r"batch_size 8, accumulate 8, processes 1: every micro"):
        run(tmp_path / "run", of, objective=make())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "make", [lambda: Mixed(None), lambda: Mixed(Cutout()), RecursiveMix, Blend]
)
def test_what_needs_no_partner_trains_on_single_images(tmp_path: Path, make: Any) -> None:
    of = recipe(epochs=1, batch_size=4, accumulate=4)
    run(tmp_path, of, objective=make(), data=tiny_data(train=6), model=net())


def test_a_ragged_end_of_one_image_is_no_reason(tmp_path: Path) -> None:
    run(tmp_path, recipe(epochs=1, batch_size=2), objective=Mixed(MixUp()), data=tiny_data(train=5))


@pytest.mark.parametrize(
    ("batch", "accumulate", "processes", "images", "message"),
    [
        (4, 1, 4, 100, r"processes 4: .* Take batch_size 8, or fewer micro batches or processes"),
        (8, 2, 4, 100, r"accumulate 2, processes 4: .* Take batch_size 16, or fewer"),
        (8, 8, 1, 100, r"mixup mixes .* Take batch_size 16, or fewer micro batches\.$"),
        (1, 1, 1, 100, r"mixup mixes images .* Take batch_size 2\.$"),
        (8, 1, 4, 4, r"training images 4, processes 4: .* Take more images, or fewer processes"),
        (8, 1, 1, 1, r"training images 1, processes 1: .* Take more images\.$"),
        (8, 1, 4, 5, None),  # two images each
        (8, 1, 4, 100, None),
    ],
)
def test_processes_and_few_images_count(
    batch: int, accumulate: int, processes: int, images: int, message: str | None
) -> None:
    of = recipe(batch_size=batch, accumulate=accumulate, method="mixup")
    world = World(size=processes)
    check_partners(of, Mixed(None), images=images, world=world)
    if message is None:
        check_partners(of, Mixed(MixUp()), images=images, world=world)
        return
    with pytest.raises(RecipeError, match=message):
        check_partners(of, Mixed(MixUp()), images=images, world=world)
