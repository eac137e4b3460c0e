"""The centre of each image in place of its usual square: for all that is not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from lab.data.pictures import picture, write
from mixwright.lab.data import Batches, Dataset, OriginalCrop, load_data
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import LazyImages

CUT = "cut out and resized."
WHOLE = OriginalCrop(scale=1.0, flip=False)


def folder(root: Path, *parts: str, size: tuple[int, int] = (40, 30)) -> Path:
    for part in parts:
        for name in "ab":
            for k in range(2):
                write(root / part / name / f"{k}.png", picture(len(part) + k, size))
    return root


def pixels(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path))).movedim(2, 0)


def seen(data: Dataset, part: str = "test") -> torch.Tensor:
    images = getattr(data, part)
    return images.take(torch.arange(len(images)))


def in_training(data: Dataset) -> Batches:
    """All of them in one batch, in their order."""
    return Batches(
        data.train, batch_size=len(data.train), device="cpu", augment=None, crop=WHOLE,
        shuffle=False,
    )  # fmt: skip


@pytest.mark.parametrize("lazy", [False, True])
def test_the_square_in_the_centre_has_its_share_of_the_whole_area(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lazy: bool
):
    if lazy:
        monkeypatch.setattr("mixwright.lab.data.memory.WHOLE_SET_BYTES", 0)
    root = folder(tmp_path / "set", "train", "val", "test")
    # 40 x 30 pixels: a quarter is 300, a square of 17 pixels, from row 6 and column 11 on.
    data = load_data(f"folder:{root}", image_size=17, centre_crop=0.25)
    for part in ("train", "validation", "test"):
        folder_name = {"validation": "val"}.get(part, part)
        wanted = pixels(root / folder_name / "a" / "0.png")[:, 6:23, 11:28]
        assert torch.equal(seen(data, part)[0], wanted)
        assert isinstance(getattr(data, part), LazyImages) == lazy
    assert "the square of 25 % of the area in the centre cut out and resized" in data.note
    # No square is larger than the shorter side: the usual one.
    data = load_data(f"folder:{root}", image_size=30, centre_crop=1.0)
    assert torch.equal(seen(data), seen(load_data(f"folder:{root}", image_size=30)))


@pytest.mark.parametrize("size", [(30, 30), (20, 20)])  # the latter of the wanted size already
@pytest.mark.parametrize("lazy", [False, True])
def test_training_cuts_from_the_whole_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], lazy: bool
):
    monkeypatch.setattr("mixwright.lab.data.lazy.usable_cores", lambda: 0)
    if lazy:
        monkeypatch.setattr("mixwright.lab.data.memory.WHOLE_SET_BYTES", 0)
    root = folder(tmp_path / "set", "train", "test", size=size)
    data = load_data(f"folder:{root}", image_size=20, centre_crop=0.1)
    rng = torch.Generator().manual_seed(0)
    batches = in_training(data)
    ((images, _),) = batches.epoch(augment=rng)
    whole = Image.open(root / "train" / "a" / "0.png").resize((20, 20), Image.Resampling.BILINEAR)
    assert torch.equal((255 * images[0]).round().byte(), torch.from_numpy(
        np.array(whole)).movedim(2, 0))  # fmt: skip


def test_sets_of_arrays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mixwright.lab.data.lazy.usable_cores", lambda: 0)
    whole, cut = (
        load_data("digits", train_size=20),
        load_data("digits", train_size=20, centre_crop=0.25),
    )
    for part in ("train", "test"):  # 16 of 32 pixels, from the eighth on
        middle = seen(whole, part)[:, :, 8:24, 8:24].float()
        wanted = interpolate(middle, size=(32, 32), mode="bilinear", align_corners=False)
        assert (seen(cut, part).float() - wanted).abs().max() <= 0.5
        assert torch.equal(getattr(cut, part).labels, getattr(whole, part).labels)
    assert cut.mean != whole.mean  # of what is seen
    assert cut.note == f"{whole.note[:-1]}; the square of 25 % of the area in the centre {CUT}"
    batches = in_training(cut)
    ((images, labels),) = batches.epoch(augment=torch.Generator().manual_seed(0))
    assert torch.equal((255 * images).round().byte(), seen(whole, "train"))
    assert torch.equal(labels, whole.train.labels)


def test_held_out_images_are_seen_as_test_images_are():
    data = load_data("digits", train_size=20, val_share=0.5, centre_crop=0.25)
    whole = load_data("digits", train_size=20, val_share=0.5)
    assert data.validation is not None
    assert whole.validation is not None
    middle = whole.validation.images[:, :, 8:24, 8:24].float()
    wanted = interpolate(middle, size=(32, 32), mode="bilinear", align_corners=False)
    assert (data.validation.images.float() - wanted).abs().max() <= 0.5


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01])
def test_shares_out_of_range(share: float):
    with pytest.raises(DataError, match=r"centre_crop is .*; expected a share in \(0, 1\]"):
        load_data("digits", centre_crop=share)
