"""Images that lists name: the lists read, the images looked for, the sets made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from mixwright.lab.data.decode import PLAIN, Framing
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.memory import decoded_sets
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.tree import Tree
from mixwright.lab.data.subset import train_rows

USUAL_SIZE = 224
"""Side in pixels of the photographs of these sets, unless the request says otherwise."""

TEST_FRAMING = Framing(zoom=8 / 7)
"""How photographs are tested on: resized to 256, 224 cut out, or in this proportion."""


def read_list(path: Path, fields: int, *, example: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line that is not empty of a text file, from 1, and its fields.

    As many ``fields`` are wanted, apart by white space; the last one takes the rest of the line.
    ``example`` is a line for messages.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there; expected a list with lines such as {example!r}.")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        found = line.split(maxsplit=fields - 1)
        if found and len(found) < fields:
            raise wrong_line(path, number, line, f"{fields} fields, such as {example!r}")
        if found:
            yield number, [field.strip() for field in found]


def wrong_line(path: Path, number: int, line: str, expected: str) -> DataError:
    """Return the error about a line of a list."""
    return DataError(
        f"{path} line {number} is {line!r}; expected {expected}. Place a fresh copy of the list."
    )


def listed_images(
    root: Path,
    paths: Sequence[Path],
    labels: Sequence[int],
    *,
    source: str,
    request: Request,
    framing: Framing = PLAIN,
) -> EncodedImages:
    """Return the images that a list, ``source``, names, not read yet.

    Names leave out ``root``. Where the request says ``skip_unreadable``, missing images are left to
    the decoder, which leaves them out and counts them.
    """
    if not paths:
        raise DataError(f"{root}: {source} names no images; expected at least one.")
    names = [str(path.relative_to(root)) for path in paths]
    if not request.skip_unreadable:
        gone = [name for name, path in zip(names, paths, strict=True) if not path.is_file()]
        if gone:
            raise DataError(
                f"{root}: {len(gone):,} of the {len(paths):,} images that {source} names are not "
                f"there: {', '.join(gone[:3])}{', ...' if len(gone) > 3 else ''}. Unpack the "
                "archive again, or leave them out with skip_unreadable (--skip-unreadable)."
            )
    return EncodedImages(list(paths), names, torch.tensor(labels, dtype=torch.int64), framing)


def to_source(
    tree: Tree,
    train: EncodedImages,
    test: EncodedImages,
    *,
    classes: Sequence[str],
    request: Request,
    usual_size: int = USUAL_SIZE,
    split: str = "the authors' split",
) -> Source:
    """Return the two sets of a tree, brought to pixels; images may be mirrored.

    Other counts than the published ones are reported; ``usual_size`` is the side where the request
    names none, ``split`` who made it, for the note.
    """
    report_counts(tree.name, (len(train), len(test)), tree.published, request.say)
    rows, cut = train_rows(train.labels, request.train_size)
    train_set, test_set, clause = decoded_sets(
        train.select(rows), test, request, usual_size=usual_size
    )
    return Source(
        train=train_set,
        test=test_set,
        classes=tuple(classes),
        note=f"{tree.title}, {split}{cut}; {clause}",
    )


def report_counts(
    name: str, found: tuple[int, int], published: tuple[int, int], say: Callable[[str], None]
) -> None:
    """Report other numbers of images (train, test) than published; a tree may be cut on purpose."""
    if found != published:
        say(
            f"{name} has {found[0]:,} images to train on and {found[1]:,} to test on here; "
            f"{published[0]:,} and {published[1]:,} were published. Unless it was cut down on "
            "purpose, part of it is missing. What is there is used."
        )


def distinct(names: Sequence[str], keys: Sequence[str]) -> tuple[str, ...]:
    """Return names of classes, with their keys where two are alike.

    Example:
        >>> distinct(["crane", "crane", "hen"], ["n1", "n2", "n3"])
        ('crane (n1)', 'crane (n2)', 'hen')
    """
    return tuple(
        f"{name} ({key})" if names.count(name) > 1 else name
        for name, key in zip(names, keys, strict=True)
    )
