"""What data are by content: which changes count, and how they are named."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from lab.data.pictures import picture, write
from mixwright.lab.data import memory
from mixwright.lab.data.identity import (
    DataIdentity,
    check_counts,
    data_identity,
    differences,
    in_a_sentence,
    only_times_differ,
)
from mixwright.lab.data.load import load_data
from mixwright.lab.data.sets import Dataset, ImageSet
from mixwright.lab.settings import decode


def pets(root: Path, **seeds: int) -> Path:
    """Class folders with three training images and one to test on each, drawn from their seeds."""
    for name, seed in seeds.items():
        for number in range(3):
            write(root / "train" / name / f"{number}.png", picture(10 * seed + number))
        write(root / "test" / name / "0.png", picture(10 * seed + 9))
    return root


def of(root: Path) -> DataIdentity:
    return data_identity(load_data(f"folder:{root}"))


def changes(there: DataIdentity, here: DataIdentity) -> str:
    assert there.digest != here.digest
    return in_a_sentence(differences(there, here))


@pytest.fixture(params=["in memory", "on disk"])
def large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether images stay on disk."""
    if request.param == "on disk":
        monkeypatch.setattr(memory, "WHOLE_SET_BYTES", 0)
    return request.param == "on disk"


def test_the_same_content_is_the_same_data_wherever_it_lies(tmp_path: Path, large: bool) -> None:
    here = of(pets(tmp_path / "here", cat=1, dog=2))
    copied = of(shutil.copytree(tmp_path / "here", tmp_path / "deep" / "copy"))
    assert copied.digest == here.digest
    assert differences(here, copied) == []
    assert here.parts["train"].by == ("names and sizes" if large else "pixels")
    moved = of((tmp_path / "here").rename(tmp_path / "there"))
    assert moved == here
    assert decode(DataIdentity, json.loads(json.dumps(asdict(here))), where="x") == here


def test_two_class_folders_that_change_places(tmp_path: Path, large: bool) -> None:
    root = pets(tmp_path, cat=1, dog=2)
    there = of(root)
    for part in ("train", "test"):
        (root / part / "cat").rename(root / part / "x")
        (root / part / "dog").rename(root / part / "cat")
        (root / part / "x").rename(root / part / "dog")
    if large:  # names are within what is compared
        assert "train: class 'cat' has other images" in changes(there, of(root))
    else:
        assert changes(there, of(root)) == (
            "train: class 'cat' has the images that class 'dog' had; train: class 'dog' has the "
            "images that class 'cat' had; test: class 'cat' has the images that class 'dog' had; "
            "and 1 more"
        )


def test_what_is_new_and_what_is_gone_is_named(tmp_path: Path, large: bool) -> None:
    root = pets(tmp_path, cat=1, dog=2)
    there = of(root)
    write(root / "train" / "dog" / "new.png", picture(77))
    assert changes(there, of(root)) == "train: 3 images of class 'dog' there, 4 now"
    (root / "train" / "dog" / "new.png").unlink()
    write(root / "test" / "cat" / "0.png", picture(78))
    assert changes(there, of(root)) == (
        "test: class 'cat' has other images, or the same in another order"
    )
    write(root / "test" / "cat" / "0.png", picture(19))
    pets(root, hen=3)
    assert changes(there, of(root)).startswith("new is the class 'hen'")
    assert changes(of(root), there).startswith("gone is the class 'hen'")
    pets(root, owl=4)
    assert "2 classes are new: 'hen', 'owl'" in changes(there, of(root))


def test_sizes_parts_and_numbers_of_classes_count(tmp_path: Path) -> None:
    data = load_data(f"folder:{pets(tmp_path, cat=1, dog=2)}")
    there = data_identity(data)
    small = data_identity(load_data(f"folder:{tmp_path}", image_size=4))
    assert "images are (3, 8, 8) there, (3, 4, 4) now" in changes(there, small)
    validated = data_identity(replace(data, validation=data.test))
    assert changes(there, validated) == "a part validation is new"
    turned = torch.tensor([1, 0])
    renumbered = data_identity(
        replace(
            data,
            classes=("dog", "cat"),
            train=data.train.relabelled(turned),
            test=data.test.relabelled(turned),
        )
    )
    assert changes(there, renumbered) == (
        "classes have other numbers ('cat', 'dog' there, 'dog', 'cat' now)"
    )
    mixed = data_identity(replace(data, train=data.train.subset(torch.tensor([3, 4, 5, 0, 1, 2]))))
    assert changes(there, mixed) == "train: the same images in another order"


def test_times_alone_make_no_other_data_but_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "WHOLE_SET_BYTES", 0)
    there = of(pets(tmp_path, cat=1, dog=2))
    os.utime(tmp_path / "train" / "cat" / "0.png", (1, 1))
    here = of(tmp_path)
    assert here.digest == there.digest
    assert only_times_differ(there, here)
    assert not only_times_differ(there, there)
    file = write(tmp_path / "train" / "cat" / "0.bmp", picture(3))
    before, times = of(tmp_path), file.stat()
    write(file, picture(4))  # as many bytes as before
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert changes(before, of(tmp_path)) == (
        "train: class 'cat' has other images, or the same in another order"
    )


def test_it_is_worked_out_once_for_a_set(monkeypatch: pytest.MonkeyPatch) -> None:
    images = ImageSet(torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
    data = Dataset(name="made", train=images, test=images, classes=("a", "b"),
                   mean=(0.0,) * 3, std=(1.0,) * 3, note="")  # fmt: skip
    first = data_identity(data)
    monkeypatch.setattr("mixwright.lab.data.identity._digest", None)
    assert data_identity(data) is first
    check_counts(first, data)
    with pytest.raises(ValueError, match="'made' changed while it was in use: train had 4 images"):
        check_counts(first, replace(data, train=images.subset(torch.tensor([0, 1, 1]))))
