"""What a recipe does to training images, in which order, and that a killed run goes on exactly."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.data.pictures import picture, write
from lab.training.test_resume import KilledError, kill_at, left
from lab.training.tiny import recipe, run, tiny_data
from mixwright.lab.data import Augment, OriginalCrop, RandomErasing, TrivialAugment
from mixwright.lab.data.augment import InTurn
from mixwright.lab.data.lazy import EncodedImages, LazyImages
from mixwright.lab.training.recipe import RecipeError
from mixwright.lab.training.session import augmentations, check_augmentations, original_crop


def test_all_that_a_recipe_names_is_done_in_turn():
    of, data = recipe(augment="trivialaugment", erase=0.5, erase_mode="const"), tiny_data()
    found = augmentations(of, data)
    parts = (
        Augment(crop_padding=1),
        TrivialAugment(),
        RandomErasing(0.5, mean=(0.3,) * 3, std=(0.2,) * 3, mode="const"),
    )
    assert found == InTurn(parts)
    images, rng = torch.randint(256, (9, 3, 8, 8)).byte(), torch.Generator().manual_seed(1)
    wanted = images
    for part in parts:
        wanted = part(wanted, generator=rng)
    assert torch.equal(found(images, generator=torch.Generator().manual_seed(1)), wanted)
    assert augmentations(recipe(), data) == Augment(crop_padding=1)  # alone it is not wrapped


def test_originals_are_cut_as_the_recipe_says():
    of = recipe(crop="original", crop_scale=(0.1, 0.9))
    assert original_crop(of, mirrored=False) == OriginalCrop(scale=(0.1, 0.9), flip=False)
    assert original_crop(of, mirrored=True) == OriginalCrop(scale=(0.1, 0.9))
    assert augmentations(of, tiny_data()) is None
    assert original_crop(recipe(), mirrored=True) is None


@pytest.mark.parametrize("kind", ["memory", "encoded"])
def test_a_run_that_cuts_originals_resumes_exactly(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("mixwright.lab.data.lazy.usable_cores", lambda: 0)  # no workers: quicker
    of = recipe(epochs=2, crop="original", crop_scale=(0.2, 0.7), eval_every=2)
    data = tiny_data()
    files = [write(tmp_path / "i" / f"{k}.png", picture(k, (14, 9))) for k in range(40)]
    stored = EncodedImages(files, [file.name for file in files], data.train.labels)
    train: Any = LazyImages(stored, image_size=8, workers=0)
    if kind == "memory":
        train = replace(data.train, stored=stored)  # type: ignore[type-var]
    data = replace(data, train=train)
    run(tmp_path / "straight", of, data=data)
    with pytest.raises(KilledError):
        run(tmp_path / "killed", of, data=data, on_progress=kill_at(2, 1))
    run(tmp_path / "killed", of, data=data)
    assert left(tmp_path / "killed") == left(tmp_path / "straight")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augment": "autoaugment"}, "recipe: augment is 'autoaugment'; expected one of rand"),
        ({"augment": "randaugment:magnitude=20"}, "recipe: RandAugment: magnitude is 20"),
        (
            {"crop_padding": 8, "crop_padding_mode": "reflect"},
            "recipe: Augment: crop_padding is 8 for images of 8x8 pixels",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], message: str
):
    with pytest.raises(RecipeError, match=message):
        check_augmentations(recipe(**changes), tiny_data())
    with pytest.raises(RecipeError, match=message):
        run(tmp_path / "run", recipe(**changes))
    assert not (tmp_path / "run").exists()
