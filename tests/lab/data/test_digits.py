import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from mixwright.lab.data import DataError, load_data
from mixwright.lab.data.sources.digits import CLASSES


def test_the_default_set():
    data = load_data("digits")
    assert data.classes == CLASSES
    assert (data.num_classes, data.channels, data.image_size) == (10, 3, 32)
    assert data.train.images.shape == (100, 3, 32, 32)
    assert data.test.images.shape == (797, 3, 32, 32)
    assert data.train.labels.bincount().tolist() == [10] * 10
    assert data.test.labels.bincount().tolist() == [78, 82, 77, 83, 81, 82, 81, 79, 74, 80]
    assert not data.mirrored
    assert "CC BY 4.0" in data.note
    assert data.note.endswith(".")


def test_the_pixels_are_those_of_scikit_learn():
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        pytest.skip("scikit-learn, whose digits these are, is not installed")
    # Its file as it is: the import alone would take seconds.
    table = np.loadtxt(Path(found.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    digits, target = torch.from_numpy(table[:, :-1]), torch.from_numpy(table[:, -1]).long()
    data = load_data("digits", train_size=1000, image_size=8)
    ours = torch.cat([data.train.images, data.test.images])
    labels = torch.cat([data.train.labels, data.test.labels])
    theirs = digits.mul(255 / 16).round().byte()

    def rows(images: torch.Tensor, labels: torch.Tensor) -> list[list[int]]:
        return sorted(torch.cat([labels[:, None], images.flatten(1)], 1).tolist())

    assert rows(ours[:, 0].long(), labels) == rows(theirs.long(), target)
    assert torch.equal(ours[:, 0], ours[:, 1])
    assert torch.equal(ours[:, 0], ours[:, 2])


def test_the_same_rows_in_every_run_whatever_the_seed():
    first = load_data("digits")
    torch.manual_seed(12345)
    again = load_data("digits")
    assert torch.equal(first.train.images, again.train.images)
    # Known answer: a change of the choice would make all records incomparable.
    sums = first.train.images[:, 0].long().sum(dim=(1, 2))
    assert sums[:5].tolist() == [96364, 79565, 69345, 78240, 67310]
    assert first.train.labels[:10].tolist() == [6, 8, 9, 0, 2, 3, 4, 8, 2, 0]


def test_a_larger_part_holds_the_smaller_one():
    small = load_data("digits").train.images.flatten(1).unique(dim=0)
    large = load_data("digits", train_size=300).train
    assert large.labels.bincount().tolist() == [30] * 10
    both = torch.cat([small, large.images.flatten(1)]).unique(dim=0)
    assert len(both) == len(large.images.flatten(1).unique(dim=0))


def test_train_and_test_share_no_image():
    data = load_data("digits", train_size=1000)
    every = torch.cat([data.train.images, data.test.images]).flatten(1)
    assert len(data.train) + len(data.test) == 1797
    assert len(every.unique(dim=0)) == 1797


def test_means_are_those_of_the_images_trained_on():
    data = load_data("digits")
    pixels = data.train.images.double() / 255
    assert data.mean == pytest.approx(pixels.mean(dim=(0, 2, 3)).tolist(), abs=1e-12)
    assert data.std == pytest.approx(pixels.std(dim=(0, 2, 3), correction=0).tolist(), abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"train_size": 1001}, "train_size is 1001; expected between 1 and 1000"),
        ({"train_size": 0}, "train_size is 0; expected at least 1"),
        ({"image_size": -3}, "image_size is -3; expected at least 1"),
    ],
)
def test_numbers_that_are_refused(arguments: dict[str, int], says: str):
    with pytest.raises(DataError, match=says):
        load_data("digits", **arguments)
