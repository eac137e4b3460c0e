"""Images held out for validation, and images drawn by a run's seed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lab.data.pictures import picture, write
from mixwright.lab.data import DataError, Dataset, ImageSet, load_data
from mixwright.lab.data.statistics import channel_statistics


def digits(**more: object) -> Dataset:
    return load_data("digits", image_size=8, **more)  # type: ignore[arg-type]


def rows_of(images: object) -> set[bytes]:
    """Images by their pixels; the digits have no two alike."""
    assert isinstance(images, ImageSet)
    return {image.numpy().tobytes() for image in images.images}


def test_a_share_of_each_class_is_held_out_the_same_each_time() -> None:
    whole, cut, again = digits(), digits(val_share=0.2), digits(val_share=0.2)
    assert cut.validation is not None
    assert again.validation is not None
    assert cut.validation.labels.bincount().tolist() == [2] * 10  # of ten images a class
    assert cut.train.labels.bincount().tolist() == [8] * 10
    train, held = rows_of(cut.train), rows_of(cut.validation)
    assert train | held == rows_of(whole.train)
    assert not train & held
    assert rows_of(again.validation) == held
    assert (len(whole.test), rows_of(cut.test)) == (797, rows_of(whole.test))
    assert (cut.mean, cut.std) == channel_statistics(cut.train)
    assert "20 of the 100 images to train on are held out" in cut.note
    assert whole.validation is None


def test_a_seed_draws_its_own_images() -> None:
    fixed, zero, one = digits(), digits(subset_seed=0), digits(subset_seed=1)
    assert len(rows_of(zero.train)) == len(rows_of(one.train)) == 100  # the default of the digits
    assert len({frozenset(rows_of(data.train)) for data in (fixed, zero, one)}) == 3
    assert rows_of(digits(subset_seed=1).train) == rows_of(one.train)
    assert zero.train.labels.bincount().tolist() == [10] * 10
    assert rows_of(zero.train) <= rows_of(digits(train_size=1000).train)
    assert rows_of(zero.test) == rows_of(one.test) == rows_of(fixed.test)
    assert zero.note == one.note
    assert "100 of the 1,000 images to train on, drawn by each run's seed" in zero.note


def test_both_together_hold_out_of_what_was_drawn() -> None:
    drawn, cut = digits(subset_seed=3), digits(subset_seed=3, val_share=0.1)
    assert cut.validation is not None
    assert rows_of(cut.train) | rows_of(cut.validation) == rows_of(drawn.train)
    assert len(cut.validation) == 10


def test_what_cannot_be_drawn_or_held_out_is_said(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("test", 2)):
        for name in "ab":
            for k in range(count):
                write(tmp_path / part / name / f"{k}.png", picture(17 * k + ord(name) + count))
    folder = f"folder:{tmp_path}"
    with pytest.raises(DataError, match=r"train_size is not given.* Give --train-size"):
        load_data(folder, subset_seed=1)
    with pytest.raises(DataError, match="train_size is 8 of 8 images to train on"):
        load_data(folder, subset_seed=1, train_size=8)
    assert len(load_data(folder, subset_seed=1, train_size=4).train) == 4
    with pytest.raises(DataError, match="train_size is 1,000 of 1,000"):
        digits(subset_seed=1, train_size=1000)
    with pytest.raises(DataError, match=r"val_share is 0\.5 of 10 images to train on"):
        digits(train_size=10, val_share=0.5)


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5, float("nan")])
def test_a_share_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(DataError, match=r"val_share is .*; expected a share in \[0, 1\)"):
        digits(val_share=share)


def test_a_validation_part_of_its_own_takes_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from mixwright.lab.data.sources import digits as module

    load = module.load_digits
    monkeypatch.setattr(
        module, "load_digits", lambda request: replace(load(request), validation=load(request).test)
    )
    own = digits()
    assert own.validation is not None
    assert torch.equal(own.validation.labels, own.test.labels)
    with pytest.raises(DataError, match=r"a validation part of their own with 797 images"):
        digits(val_share=0.1)
