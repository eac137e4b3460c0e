from pathlib import Path

import torch

from lab.data.pictures import picture, write
from mixwright.lab.data import ImageSet, LazyImages
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.source import Source
from mixwright.lab.data.summary import summarise


def images(values: list[int], labels: list[int]) -> ImageSet:
    """Images of one value each."""
    pixels = torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    return ImageSet(pixels, torch.tensor(labels))


def test_all_that_it_says():
    source = Source(
        train=images([1, 2, 3], [0, 0, 1]),
        test=images([3, 4, 3], [1, 0, 1]),
        validation=images([1], [0]),
        classes=("a\nb", "$5 \x1b[31m"),
        note="",
    )
    assert summarise("folder:x", source, ["1 file", "b/ (no images)"]) == (
        "folder:x: 2 classes; 3 images to train on (a\\nb 2, $5 \\x1b[31m 1), 1 image to choose by "
        "(a\\nb 1, $5 \\x1b[31m 0), 3 images to test on (a\\nb 1, $5 \\x1b[31m 2). 1 class without "
        "an image to choose by: $5 \\x1b[31m. Left out: 1 file; b/ (no images). Trained on too, "
        "with the same pixels: 2 pictures to test on, 1 picture to choose by."
    )


def test_many_classes_take_few_words():
    source = Source(
        train=images([*range(11)], [*range(10), 0]),
        test=images([20, 21], [8, 9]),
        classes=tuple("abcdefghij"),
        note="",
    )
    assert summarise("x", source, ()) == (
        "x: 10 classes; 11 images to train on (1 to 2 a class), 2 images to test on (1 a class). "
        "8 classes without an image to test on: a, b, c, .... No picture is in two parts."
    )


def test_what_is_not_in_memory_is_not_looked_at(tmp_path: Path):
    path = write(tmp_path / "a.png", picture(0))
    lazy = LazyImages(EncodedImages([path], ["a"], torch.tensor([0])), image_size=8, workers=0)
    source = Source(train=lazy, test=images([1], [1]), classes=("a", "b"), note="")
    assert summarise("x", source, ()).endswith(
        "Identical pictures were not looked for (not in memory)."
    )
