"""The user's own images: one folder per class."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from mixwright.lab.data.decode import SUFFIXES
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.memory import decoded_sets
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.subset import split_rows, train_rows

TEST_FOLDERS = ("test", "val", "valid", "validation")
"""Folders that may hold the test images; the first that is there is taken."""


def load_folder(request: Request) -> Source:
    """Return images in folders named for their classes, which are in the order of the alphabet.

    The class folders lie in ``train`` and ``test`` (or ``val``, ``valid``, ``validation``) of the
    request's path, or straight in it or in ``train`` alone: then a fifth of each class, always
    the same images, is held out for testing. Images may lie in folders below their class.
    """
    root = Path(request.path).expanduser()
    if not root.is_dir():
        raise DataError(
            f"{root} is not a folder. Give the folder that holds one folder of images per class."
        )
    test_root = next((root / name for name in TEST_FOLDERS if (root / name).is_dir()), None)
    if test_root is not None and not (root / "train").is_dir():
        raise DataError(
            f"{root} has {test_root.name}/ but no train/; expected both, or one folder per class."
        )
    train_root = root / "train" if (root / "train").is_dir() else root
    classes = tuple(sorted(folder_names(train_root)))
    if len(classes) < 2:
        raise DataError(
            f"{train_root} holds {len(classes)} class folder(s); expected one folder of images for "
            "each of at least two classes."
        )
    train = images_by_class(train_root, classes, root=root, request=request)
    if test_root is None:
        own, held_out = split_rows(train.labels)
        if not len(held_out):
            raise DataError(f"{root}: every class has a single image; none is left to test on.")
        test, train = train.select(held_out), train.select(own)
        split = "a fifth of each class held out for testing, a fixed choice"
    else:
        if strange := sorted(set(folder_names(test_root)) - set(classes)):
            raise DataError(
                f"{test_root} has the class {strange[0]!r}, which {train_root} has not; expected "
                "the same classes in both. Rename the folder or remove it."
            )
        here = tuple(name for name in classes if (test_root / name).is_dir())
        test = images_by_class(test_root, classes, root=root, request=request, present=here)
        split = f"train/ and {test_root.name}/ as found"
    rows, cut = train_rows(train.labels, request.train_size)
    train_set, test_set, clause = decoded_sets(train.select(rows), test, request)
    return Source(
        train=train_set,
        test=test_set,
        classes=classes,
        note=f"images of the folder {root.name or root}: {split}{cut}; {clause}",
    )


def folder_names(root: Path) -> list[str]:
    """Return the names of the folders in a folder, hidden ones left out."""
    return [path.name for path in root.iterdir() if path.is_dir() and path.name[0] != "."]


def images_by_class(
    where: Path,
    classes: tuple[str, ...],
    *,
    root: Path,
    request: Request,
    present: tuple[str, ...] | None = None,
) -> EncodedImages:
    """Return every image below the class folders, in the order of classes and paths, not read yet.

    Names of images begin below ``root``; ``present`` are the classes that have a folder here, None
    for all.
    """
    paths: list[Path] = []
    labels: list[int] = []
    other: list[Path] = []
    empty: list[str] = []
    for label, name in enumerate(classes):
        if present is not None and name not in present:
            continue
        files = _files(where / name)
        images = [path for path in files if path.suffix.lower() in SUFFIXES]
        other += [path for path in files if path.suffix.lower() not in SUFFIXES]
        if not images:
            empty.append(name)
        paths += images
        labels += [label] * len(images)
    if not paths:
        raise DataError(
            f"{where} holds no images; expected files ending in {', '.join(SUFFIXES)} in its class "
            "folders."
        )
    if empty:
        raise DataError(
            f"{where} has {len(empty)} class folder(s) without images: {', '.join(empty[:5])}"
            f"{', ...' if len(empty) > 5 else ''}. Add images (ending in {', '.join(SUFFIXES)}) or "
            "remove the folder."
        )
    if other:
        request.say(
            f"{len(other):,} file(s) in {where} do not end as images do and are left out, such as "
            f"{other[0].relative_to(root)}."
        )
    names = [str(path.relative_to(root)) for path in paths]
    return EncodedImages(paths, names, torch.tensor(labels, dtype=torch.int64))


def _files(folder: Path) -> list[Path]:
    """Return every file below a folder, in one order on every machine; hidden ones left out."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        found += [Path(parent, name) for name in sorted(names) if name[0] != "."]
    return found
