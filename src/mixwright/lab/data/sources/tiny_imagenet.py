"""Tiny ImageNet: 200 classes of ImageNet at 64x64."""

from __future__ import annotations

from pathlib import Path

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.listing import listed_images, read_list, to_source, wrong_line
from mixwright.lab.data.sources.synsets import class_folders, folder_images, synset_names
from mixwright.lab.data.sources.tree import Tree, find_tree

TREE = Tree(
    name="tiny-imagenet",
    title="Tiny ImageNet (Stanford CS231n)",
    folder="tiny-imagenet-200",
    marker="wnids.txt",
    published=(100_000, 10_000),
    page="https://cs231n.stanford.edu/tiny-imagenet-200.zip",
    url="https://cs231n.stanford.edu/tiny-imagenet-200.zip",
    sha256="6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",
)

SIDE = 64
_ANNOTATIONS = "val_annotations.txt"


def load_tiny_imagenet(request: Request) -> Source:
    """Return Tiny ImageNet, downloaded and unpacked if need be.

    Classes are those of ``wnids.txt`` in the order of the alphabet, called as ``words.txt`` says;
    test images are those of ``val/``, as everywhere: the labels of ``test/`` are not public. They
    lie in ``val/images`` with ``val_annotations.txt`` beside, or sorted into folders by class.
    """
    root = find_tree(TREE, request)
    wnids = sorted(wnid for _, (wnid,) in read_list(root / "wnids.txt", 1, example="n01443537"))
    if lacking := [wnid for wnid in wnids if not (root / "train" / wnid).is_dir()]:
        raise DataError(
            f"{root / 'train'} lacks the folder {lacking[0]} of wnids.txt ({len(lacking)} of "
            f"{len(wnids)} are missing); expected one for each. Unpack the archive again, or cut "
            "wnids.txt down to the classes that are there."
        )
    train = folder_images(root, "train", wnids, request=request)
    if class_folders(root / "val") and not (root / "val" / _ANNOTATIONS).is_file():
        test = folder_images(root, "val", wnids, request=request)
    else:
        test = _annotated(root, wnids, request)
    names = synset_names(root / "words.txt", wnids)
    return to_source(TREE, train, test, classes=names, request=request, usual_size=SIDE)


def _annotated(root: Path, wnids: list[str], request: Request) -> EncodedImages:
    """Return the images of ``val/images``, labelled by the list beside it."""
    path = root / "val" / _ANNOTATIONS
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    images: list[Path] = []
    labels: list[int] = []
    example = "val_0.JPEG n03444034 0 32 44 62"
    for line, (image, wnid, *box) in read_list(path, 3, example=example):
        if wnid not in label_of:
            text = " ".join([image, wnid, *box])
            raise wrong_line(path, line, text, "an image and a class of wnids.txt")
        images.append(root / "val" / "images" / image)
        labels.append(label_of[wnid])
    return listed_images(root, images, labels, source=_ANNOTATIONS, request=request)
