"""ImageNet: the 1,000 classes of ILSVRC 2012."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.download import cache_folder
from mixwright.lab.data.sources.listing import (
    TEST_FRAMING,
    listed_images,
    read_list,
    to_source,
    wrong_line,
)
from mixwright.lab.data.sources.synsets import class_folders, folder_images, synset_names
from mixwright.lab.data.sources.tree import Tree

TREE = Tree(
    name="imagenet",
    title="ImageNet, ILSVRC 2012 (Russakovsky et al., 2015)",
    folder="imagenet",
    marker="train",
    published=(1_281_167, 50_000),
    page="https://www.image-net.org/download.php",
)

_KAGGLE = "ILSVRC/Data/CLS-LOC"  # where Kaggle's archive has train/ and val/
_DEVKIT = ("ILSVRC2012_devkit_t12", "devkit", ".")
_SOLUTION = "LOC_val_solution.csv"
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"


def load_imagenet(request: Request) -> Source:
    """Return ImageNet from a folder of the user's: it may not be fetched by a program.

    ``train/`` holds a folder for each synset. ``val/`` holds such folders too, or the 50,000
    images side by side; then ``LOC_val_solution.csv`` (Kaggle) or the authors' development kit
    ``ILSVRC2012_devkit_t12`` must lie beside ``train/``, or in the folder that was named.

    The images of ``val/`` are tested on. Labels follow the synsets in the order of the alphabet,
    as everywhere.
    """
    home = request.data_dir or cache_folder() / TREE.folder
    roots = (home, home / TREE.folder, home / _KAGGLE)
    root = next((root for root in roots if class_folders(root / "train")), None)
    if root is None:
        raise DataError(
            f"imagenet: {home / 'train'} holds no folders such as n01440764. Get the images from "
            f"{TREE.page}, unpack ILSVRC2012_img_train.tar and each archive in it into a folder "
            "of its own, and name the folder that holds train/ and val/ with data_dir "
            "(--data-dir)."
        )
    wnids = class_folders(root / "train")
    train = folder_images(root, "train", wnids, request=request)
    if class_folders(root / "val"):
        test = folder_images(root, "val", wnids, request=request, framing=TEST_FRAMING)
    else:
        test = _flat(root, home, wnids, request)
    mapping = _beside((root, home), ("LOC_synset_mapping.txt", "words.txt"))
    names = synset_names(mapping or root / "words.txt", wnids)
    return to_source(TREE, train, test, classes=names, request=request)


def _flat(root: Path, home: Path, wnids: Sequence[str], request: Request) -> EncodedImages:
    """Return the images of ``val/``, side by side, labelled by the files beside them."""
    kits = [folder / kit for folder in (root, home) for kit in _DEVKIT]
    solution = _beside((root, home), (_SOLUTION,))
    truth = _beside([kit / "data" for kit in kits] + kits, (_TRUTH,))
    if solution is not None:
        answers, source = _solved(solution), solution
    elif truth is not None:
        answers, source = _true(truth), truth
    else:
        raise DataError(
            f"{root / 'val'} has no folders such as n01440764, and neither {_SOLUTION} nor "
            f"{_DEVKIT[0]}/data/{_TRUTH} lies in {root} or {home}; expected one of the three. "
            "Sort the images into folders, or place one of these files."
        )
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    paths: list[Path] = []
    labels: list[int] = []
    for line, image, wnid in answers:
        if wnid not in label_of:
            raise wrong_line(source, line, f"{image} {wnid}", "a class that train/ has")
        paths.append(root / "val" / f"{image}.JPEG")
        labels.append(label_of[wnid])
    return listed_images(
        root, paths, labels, source=source.name, request=request, framing=TEST_FRAMING
    )


def _solved(path: Path) -> list[tuple[int, str, str]]:
    """Return line, image and synset of Kaggle's list: ``ILSVRC2012_val_1,n02119789 1 2 3 4``."""
    found: list[tuple[int, str, str]] = []
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if number == 1 or not row:  # heads of the columns
                continue
            if len(row) < 2 or not row[1].split():
                raise wrong_line(path, number, ",".join(row), "an image and its class, then a box")
            found.append((number, row[0], row[1].split()[0]))
    return found


def _true(path: Path) -> list[tuple[int, str, str]]:
    """Return line, image and synset of the development kit's list: a number a line."""
    synsets = _numbered(path.parent / "meta.mat")
    found: list[tuple[int, str, str]] = []
    for number, (value,) in read_list(path, 1, example="490"):
        if value not in synsets:
            raise wrong_line(path, number, value, "a class number of meta.mat")
        found.append((number, f"ILSVRC2012_val_{number:08}", synsets[value]))
    return found


def _numbered(path: Path) -> dict[str, str]:
    """Return the synset of each class number (as text), from the kit's table."""
    from mixwright.lab.data.sources.matlab import read_table

    table: list[dict[str, Any]] = read_table(path, "synsets", ("ILSVRC2012_ID", "WNID"))
    return {str(int(row["ILSVRC2012_ID"])): str(row["WNID"]) for row in table}


def _beside(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """Return the first of some files that is in one of some folders."""
    every = (folder / name for folder in folders for name in names)
    return next((path for path in every if path.is_file()), None)
