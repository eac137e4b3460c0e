"""A data set in one line: images of each class, what was left out, pictures in two parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixwright.lab.data.sets import ImageSet

if TYPE_CHECKING:
    from mixwright.lab.data.source import Source

_NAMED = 6  # classes whose counts are all listed


def summarise(name: str, source: Source, left_out: Sequence[str]) -> str:
    """Return a line about data: images of each part and class, left-outs, pictures in two parts.

    Pictures are the same where all their pixels are, as the network gets them; images that are not
    in memory are not looked at.
    """
    parts = [("to train on", source.train), ("to test on", source.test)]
    if source.validation is not None:
        parts.insert(1, ("to choose by", source.validation))
    classes = source.classes
    counted: list[tuple[str, list[int]]] = [
        (word, images.labels.bincount(minlength=len(classes)).tolist()) for word, images in parts
    ]
    listed = ", ".join(
        f"{_count(sum(counts), 'image')} {word} ({_spread(counts, classes)})"
        for word, counts in counted
    )
    sentences = [f"{_plain(name)}: {_count(len(classes), 'class', 'classes')}; {listed}"]
    for word, counts in counted:
        lacking = [name for name, count in zip(classes, counts, strict=True) if not count]
        if lacking:
            number = _count(len(lacking), "class", "classes")
            sentences.append(f"{number} without an image {word}: {_few(lacking)}")
    if left_out:
        sentences.append(left_out_sentence(left_out).removesuffix("."))
    sentences.append(_twice(source))
    if source.withheld:
        sentences.append(source.withheld)
    return ". ".join(sentences) + "."


def left_out_sentence(clauses: Sequence[str]) -> str:
    """Return what of the data is not used, and why."""
    return f"Left out: {_plain('; '.join(clauses))}."


def _spread(counts: Sequence[int], classes: Sequence[str]) -> str:
    """Return how many images each class has, in few words."""
    if len(classes) <= _NAMED:
        return ", ".join(
            f"{_plain(name)} {count:,}" for name, count in zip(classes, counts, strict=True)
        )
    some = [count for count in counts if count]
    low, high = min(some), max(some)
    return f"{low:,} a class" if low == high else f"{low:,} to {high:,} a class"


def _few(names: Sequence[str]) -> str:
    return ", ".join(_plain(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")


def _count(number: int, word: str, words: str = "") -> str:
    return f"{number:,} {word if number == 1 else words or f'{word}s'}"


def _twice(source: Source) -> str:
    """Return how many pictures to test or to choose by are trained on too."""
    parts = [(source.test, "to test on")]
    if source.validation is not None:
        parts.append((source.validation, "to choose by"))
    if isinstance(source.train, ImageSet):
        trained = set(_digests(source.train))
        counts = [
            (sum(digest in trained for digest in _digests(images)), word)
            for images, word in parts
            if isinstance(images, ImageSet)
        ]
        if len(counts) == len(parts):
            found = [f"{_count(count, 'picture')} {word}" for count, word in counts if count]
            if not found:
                return "No picture is in two parts"
            return f"Trained on too, with the same pixels: {', '.join(found)}"
    return "Identical pictures were not looked for (not in memory)"


def _digests(images: ImageSet) -> list[bytes]:
    pixels = images.images.contiguous().flatten(1).numpy()
    return [hashlib.blake2b(row, digest_size=16).digest() for row in pixels]


def _plain(text: str) -> str:
    """Return text on one line: what cannot be printed is written out."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
