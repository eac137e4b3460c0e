"""Crops of the original images are decoded in every epoch, also where squares are in memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mixwright.lab.data.load import load_data
from mixwright.lab.data.sets import Dataset, ImageSet
from mixwright.lab.experiments.measured_run import ImageNeeds, measure_run
from mixwright.lab.experiments.step_costs import Steps
from mixwright.lab.training.recipe import Recipe

RECIPE = Recipe(data="folder:photographs", model="smallconv", image_size=8, epochs=4,
                batch_size=2, crop="original")  # fmt: skip


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Four images to train on, whose decoding takes longer by far than a step of 8 pixels."""
    draws = np.random.default_rng(0)
    for name in ("train/a/0", "train/a/1", "train/b/0", "train/b/1", "test/a/0", "test/b/0"):
        path = tmp_path / "photographs" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 256, (900, 900, 3), np.uint8)).save(path)
    return tmp_path / "photographs"


def loaded(folder: Path) -> Dataset:
    data = load_data(f"folder:{folder}", image_size=8)
    assert isinstance(data.train, ImageSet)  # in memory
    return data


def test_steps_that_are_timed_read_nothing(photographs: Path) -> None:
    steps = Steps(RECIPE, loaded(photographs), torch.device("cpu"), trust=False)
    steps.begin()
    steps()
    steps()
    shutil.rmtree(photographs)
    for _ in range(6):  # three epochs
        steps()


def test_an_estimate_counts_what_is_decoded_in_every_epoch(photographs: Path) -> None:
    needs = ImageNeeds(bytes=0.0, seconds=1e-9, fixed=0)
    found = measure_run(RECIPE, loaded(photographs), device=torch.device("cpu"), needs=needs)
    assert found.epoch > 2 * (2 * found.step)  # an epoch has two steps
