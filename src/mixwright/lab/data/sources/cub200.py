"""Caltech-UCSD Birds-200-2011: 200 kinds of birds."""

from __future__ import annotations

from pathlib import Path

from mixwright.lab.data.decode import PLAIN
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.listing import (
    TEST_FRAMING,
    listed_images,
    read_list,
    to_source,
    wrong_line,
)
from mixwright.lab.data.sources.tree import Tree, find_tree

TREE = Tree(
    name="cub200",
    title="Caltech-UCSD Birds-200-2011 (Wah et al., 2011)",
    folder="CUB_200_2011",
    marker="images.txt",
    published=(5994, 5794),
    page="https://www.vision.caltech.edu/datasets/cub_200_2011/",
    url="https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1",
    sha256="0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
)


def load_cub200(request: Request) -> Source:
    """Return CUB-200-2011, downloaded and unpacked if need be; boxes and parts are not read."""
    root = find_tree(TREE, request)
    numbers: dict[str, int] = {}
    classes: list[str] = []
    for _, (number, name) in read_list(root / "classes.txt", 2, example="1 001.Albatross"):
        numbers[number] = len(classes)
        classes.append(name)
    labels = _by_image(root / "image_class_labels.txt", numbers, "a class of classes.txt")
    trains = _by_image(root / "train_test_split.txt", {"1": 1, "0": 0}, "1 (train) or 0 (test)")
    paths: tuple[list[Path], list[Path]] = ([], [])  # to test on, to train on
    classes_of: tuple[list[int], list[int]] = ([], [])
    for line, (image, path) in read_list(root / "images.txt", 2, example="1 001.Albatross/1.jpg"):
        for name, known in (("image_class_labels.txt", labels), ("train_test_split.txt", trains)):
            if image not in known:
                raise DataError(
                    f"{root / 'images.txt'} line {line}: {name} has no line for image {image}; "
                    "expected one for each. Place a fresh copy of the lists."
                )
        paths[trains[image]].append(root / "images" / path)
        classes_of[trains[image]].append(labels[image])
    train, test = (
        listed_images(
            root, paths[part], classes_of[part], source="images.txt", request=request,
            framing=PLAIN if part else TEST_FRAMING,
        )
        for part in (1, 0)
    )  # fmt: skip
    return to_source(TREE, train, test, classes=classes, request=request)


def _by_image(path: Path, values: dict[str, int], expected: str) -> dict[str, int]:
    """Return the value that a list gives each image, by the image's number."""
    found: dict[str, int] = {}
    for line, (image, value) in read_list(path, 2, example="1 1"):
        if value not in values:
            raise wrong_line(path, line, f"{image} {value}", f"an image's number and {expected}")
        found[image] = values[value]
    return found
