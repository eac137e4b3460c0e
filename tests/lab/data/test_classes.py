from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lab.data.pictures import picture, write
from mixwright.lab.data import (
    DataError,
    Dataset,
    ImageSet,
    LazyImages,
    match_classes,
    with_classes,
)
from mixwright.lab.data.lazy import EncodedImages


@pytest.mark.parametrize(
    ("model", "data", "labels"),
    [
        ("abc", "abc", (0, 1, 2)),
        ("abc", "cab", (2, 0, 1)),
        ("abc", "cb", (2, 1)),
        ("aab", "aab", (0, 1, 2)),  # names told twice, but the same list
    ],
)
def test_classes_are_matched_by_name(model: str, data: str, labels: tuple[int, ...]):
    assert match_classes(tuple(model), tuple(data)) == labels


@pytest.mark.parametrize(
    ("model", "data", "says"),
    [
        (
            "abc",
            "bcd",
            r"pets has 1 of 3 classes that run 7 has not: 'd'; run 7 has the 3 classes ",
        ),
        ("ab", "abc", r"1 of 3 classes that run 7 has not: 'c'; run 7 has the 2 classes 'a', 'b'"),
        ("ab", ["A", "b"], "'A'; run 7 has the 2 classes 'a', 'b'"),
        ("abcdefg", "hijklmn", r"'h', 'i', 'j', 'k', 'l', \.\.\. \(7 in all\); run 7 has the 7 "),
        ("aab", "ab", r"run 7 has 1 class name\(s\) more than once \('a'\)"),
        ("ab", "abb", r"pets has 1 class name\(s\) more than once \('b'\)"),
    ],
)
def test_other_classes_are_refused_and_named(model: str, data: str, says: str):
    with pytest.raises(DataError, match=says):
        match_classes(tuple(model), tuple(data), what="run 7", where="pets")


def test_data_take_the_labels_of_a_model(tmp_path: Path):
    images = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 8, 8)
    eager = ImageSet(images, torch.tensor([0, 1, 1]))
    files = [write(tmp_path / f"{k}.png", picture(k)) for k in range(2)]
    lazy = LazyImages(
        EncodedImages(files, ["a", "b"], torch.tensor([1, 0])), image_size=8, workers=0
    )
    mean = (0.0, 0.0, 0.0)
    data = Dataset(
        name="pets", train=eager, test=lazy, classes=("hen", "cat"), mean=mean, std=mean, note=""
    )
    same = with_classes(data, ("hen", "cat"))
    assert same is data
    found = with_classes(replace(data, validation=eager), ("cat", "dog", "hen"))
    assert found.classes == ("cat", "dog", "hen")
    assert found.train.labels.tolist() == [2, 0, 0]
    assert found.test.labels.tolist() == [0, 2]
    assert found.validation is not None
    assert found.validation.labels.tolist() == [2, 0, 0]
    assert torch.equal(found.train.images, images)
    assert torch.equal(found.test.take(torch.tensor([1])), lazy.take(torch.tensor([1])))
    assert data.train.labels.tolist() == [0, 1, 1]
    with pytest.raises(DataError, match="'cat'"):
        with_classes(data, ("hen", "dog"))
