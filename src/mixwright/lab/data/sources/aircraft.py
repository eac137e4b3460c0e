"""FGVC-Aircraft: 100 variants of aircraft."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mixwright.lab.data.decode import Framing
from mixwright.lab.data.lazy import EncodedImages
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
    name="aircraft",
    title="FGVC-Aircraft 2013b, variants (Maji et al., 2013)",
    folder="fgvc-aircraft-2013b",
    marker="data/variants.txt",
    published=(6667, 3333),
    page="https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/",
    url="https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
    sha256="e4e323d410e29f0370c81eabdcbb0e2b813acea1de22891b70b58ff41bfc9834",
)

BANNER = 20
"""Rows at the bottom of each photograph that name its owner; the authors ask to remove them."""


def load_aircraft(request: Request) -> Source:
    """Return FGVC-Aircraft by variant, without the banner, downloaded and unpacked if need be.

    Training and validation images are trained on together. Families and manufacturers are not
    read.
    """
    root = find_tree(TREE, request)
    lines = read_list(root / "data" / "variants.txt", 1, example="707-320")
    classes = [name for _, (name,) in lines]
    train = _part(root, "images_variant_trainval.txt", classes, request, Framing(banner=BANNER))
    test = _part(
        root, "images_variant_test.txt", classes, request, replace(TEST_FRAMING, banner=BANNER)
    )
    return to_source(TREE, train, test, classes=classes, request=request)


def _part(
    root: Path, name: str, classes: list[str], request: Request, framing: Framing
) -> EncodedImages:
    """Return the images of one list."""
    label_of = {variant: label for label, variant in enumerate(classes)}
    paths: list[Path] = []
    labels: list[int] = []
    for line, (image, variant) in read_list(root / "data" / name, 2, example="1025794 707-320"):
        if variant not in label_of:
            raise wrong_line(
                root / "data" / name, line, f"{image} {variant}",
                "an image's number and a variant of variants.txt",
            )  # fmt: skip
        paths.append(root / "data" / "images" / f"{image}.jpg")
        labels.append(label_of[variant])
    return listed_images(root, paths, labels, source=name, request=request, framing=framing)
