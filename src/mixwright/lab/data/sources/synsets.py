"""Folders called by synset, and the synsets' names, as in ImageNet and Tiny ImageNet."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from mixwright.lab.data.decode import PLAIN, SUFFIXES, Framing
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.files import Files
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.source import Request
from mixwright.lab.data.sources.listing import distinct
from mixwright.lab.data.sources.walk import path_below

_SYNSET = re.compile(r"n\d{8}")


def class_folders(where: Path) -> list[str]:
    """Return the folders called by a synset, such as ``n01443537``, sorted."""
    if not where.is_dir():
        return []
    found = (entry.name for entry in os.scandir(where) if entry.is_dir())
    return sorted(name for name in found if _SYNSET.fullmatch(name))


def folder_images(
    root: Path,
    part: str,
    wnids: Sequence[str],
    *,
    request: Request,
    framing: Framing = PLAIN,
) -> EncodedImages:
    """Return the images below folders of classes, in one order on every machine.

    ``wnids`` are the folders in ``part`` of ``root``, in the order of labels; those that are not
    there have no images.
    """
    paths: list[str] = []
    labels: list[int] = []
    for label, wnid in enumerate(wnids):
        found = _images(root / part / wnid)
        paths += found
        labels += [label] * len(found)
    if not paths:
        raise DataError(
            f"{root / part} holds no images in the folders of its classes, such as {wnids[0]}; "
            "expected .JPEG files. Unpack the archive again."
        )
    if strange := sorted(set(class_folders(root / part)) - set(wnids)):
        request.say(
            f"{root / part} has {len(strange)} folder(s) that are no class here and are left out, "
            f"such as {strange[0]}."
        )
    names = [path_below(root, path) for path in paths]
    return EncodedImages(Files.of(paths), names, torch.tensor(labels, dtype=torch.int64), framing)


def _images(folder: Path) -> list[str]:
    """Return every image below a folder; Tiny ImageNet has one more folder between."""
    # Text until it is sorted: a million Path objects take several times as long to compare.
    found = [
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(SUFFIXES) and name[0] != "."
    ]
    return sorted(found)


def synset_names(path: Path, wnids: Sequence[str]) -> tuple[str, ...]:
    """Return the first word that a list gives each synset, with its number where two are alike.

    The list has lines such as ``n01443537 goldfish, Carassius auratus``; without it the number.
    """
    words: dict[str, str] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            wnid, _, rest = line.strip().replace("\t", " ").partition(" ")
            words[wnid] = rest.partition(",")[0].strip()
    return distinct([words.get(wnid) or wnid for wnid in wnids], wnids)
