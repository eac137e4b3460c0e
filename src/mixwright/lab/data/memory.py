"""Stored images brought to pixels: all at once where they fit, else when they are wanted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import torch

from mixwright.lab.data.cores import usable_cores
from mixwright.lab.data.decode import UnreadableImageError, decode_image, image_sides
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages, LazyImages
from mixwright.lab.data.sets import ImageSet
from mixwright.lab.data.source import Request

WHOLE_SET_BYTES = 4 * 2**30
"""Train and test images that take more than this together are decoded batch by batch."""

MIXED_SIZE = 224
"""Height and width of images that do not share a square size of their own."""

_ROWS = 64  # images per task of a decoding thread
_MESSAGE_SECONDS = 2.0

_T = TypeVar("_T")


def decoded_sets(
    train: EncodedImages, test: EncodedImages, request: Request, *, usual_size: int | None = None
) -> tuple[ImageSet | LazyImages, ImageSet | LazyImages, str]:
    """Bring stored images to pixels; also return, for the note, the size and what was left out.

    ``usual_size`` is the side where the request names none; None for the square size that all
    images share, if that is not above the request's ``photo_size``, else that or ``MIXED_SIZE``.
    """
    train, test = (_framed(part, request) for part in (train, test))
    wanted = request.image_size or usual_size
    shared = None if wanted else _shared_size(train, test, request)
    if shared and request.photo_size and shared > request.photo_size:
        shared = None
    size = wanted or shared or request.photo_size or MIXED_SIZE
    bytes_needed = (len(train) + len(test)) * 3 * size * size
    whole = bytes_needed <= WHOLE_SET_BYTES
    clause = f"images of {size}x{size} pixels ({_way(train, test, shared=bool(shared))})"
    if not whole:
        request.say(
            f"The images take {bytes_needed / 2**30:.1f} GiB, more than the "
            f"{WHOLE_SET_BYTES / 2**30:.1f} GiB that are held in memory; they are decoded by "
            "worker processes when they are wanted."
        )
        clause += ", decoded when wanted, statistics from a fixed part"
    # What has the wanted size already holds nothing more to cut from.
    train_set, skipped = _brought(
        train, size, whole=whole, word="train", request=request,
        originals=not shared or request.centre_crop is not None,
    )  # fmt: skip
    test_set, more = _brought(test, size, whole=whole, word="test", request=request)
    if skipped + more:
        clause += f", {skipped + more:,} unreadable left out"
    return train_set, test_set, clause


def decoded_validation(
    stored: EncodedImages,
    train: ImageSet | LazyImages,
    test: ImageSet | LazyImages,
    request: Request,
) -> ImageSet | LazyImages:
    """Bring validation images to the size of the others, in memory where all fit together."""
    size = train.shape[1]
    count = len(stored) + len(train) + len(test)
    whole = count * 3 * size * size <= WHOLE_SET_BYTES
    stored = _framed(stored, request)
    return _brought(stored, size, whole=whole, word="validation", request=request)[0]


def _framed(stored: EncodedImages, request: Request) -> EncodedImages:
    """Return images of which the centre that was asked for becomes the square."""
    if request.centre_crop is None:
        return stored
    return replace(stored, framing=replace(stored.framing, share=request.centre_crop))


def _brought(
    stored: EncodedImages,
    size: int,
    *,
    whole: bool,
    word: str,
    request: Request,
    originals: bool = False,
) -> tuple[ImageSet | LazyImages, int]:
    """Return the images that can be read, beside their ``originals``, and how many cannot.

    Every image is looked at, except where all stay encoded and none may be skipped.
    """
    if not whole and not request.skip_unreadable:
        return LazyImages(stored, image_size=size), 0
    images, broken = _decoded(stored, size, keep=whole, word=word, request=request)
    kept = _without(stored, broken, word=word, request=request)
    if images is None:
        return LazyImages(kept, image_size=size), len(broken)
    if broken:
        images = images[_remaining(len(stored), broken)]
    return ImageSet(images, kept.labels, kept if originals else None), len(broken)


def _way(train: EncodedImages, test: EncodedImages, *, shared: bool) -> str:
    """Return how images became squares, in words."""
    if shared and train.framing.share is None:
        return "as they are"
    if train.framing == test.framing:
        return train.framing.described
    return f"{train.framing.described}; test images: {test.framing.described}"


def _shared_size(train: EncodedImages, test: EncodedImages, request: Request) -> int | None:
    """Return the one square size that all images have, or None."""
    sides: set[tuple[int, int]] = set()
    for stored in (train, test):
        request.say(f"Looking at the sizes of {len(stored):,} images.")
        for found in _each(len(stored), lambda row, it=stored: _sides(it, row)):
            sides.update([] if found is None else [found])
            if len(sides) > 1 or any(width != height for width, height in sides):
                return None  # the others cannot change that
    return sides.pop()[0] if sides else None


def _sides(stored: EncodedImages, row: int) -> tuple[int, int] | None:
    try:
        return image_sides(stored.encoded[row])
    except UnreadableImageError:
        return None  # named and counted where it is decoded


def _decoded(
    stored: EncodedImages, size: int, *, keep: bool, word: str, request: Request
) -> tuple[torch.Tensor | None, dict[int, str]]:
    """Return all images (None unless ``keep``), and the rows that cannot be read, with reasons."""
    total = len(stored)
    images = torch.empty(total, 3, size, size, dtype=torch.uint8) if keep else None
    pixels = None if images is None else images.numpy()

    def read(row: int) -> str:
        try:
            found = decode_image(stored.encoded[row], size, stored.framing)
        except UnreadableImageError as error:
            return str(error)
        if pixels is not None:
            pixels[row] = found.transpose(2, 0, 1)
        return ""

    request.say(f"Decoding {total:,} {word} images.")
    broken: dict[int, str] = {}
    reported = time.monotonic()
    for row, reason in enumerate(_each(total, read)):
        if reason:
            broken[row] = reason
        if time.monotonic() - reported > _MESSAGE_SECONDS:
            reported = time.monotonic()
            request.say(f"Decoded {row + 1:,} of {total:,} {word} images.")
    return images, broken


def _without(
    stored: EncodedImages, broken: dict[int, str], *, word: str, request: Request
) -> EncodedImages:
    """Return the images that can be read; refuse broken ones unless they may be skipped."""
    if not broken:
        return stored
    few = [f"{stored.names[row]} ({reason})" for row, reason in list(broken.items())[:5]]
    listed = "; ".join(few) + (f"; and {len(broken) - 5:,} more" if len(broken) > 5 else "")
    count = f"{len(broken):,} of {len(stored):,} {word} images cannot be read: {listed}."
    if not request.skip_unreadable:
        raise DataError(
            f"{count} Fix or remove them, or leave them out with skip_unreadable "
            "(--skip-unreadable)."
        )
    kept = stored.select(_remaining(len(stored), broken))
    if not len(kept):
        raise DataError(f"{count} No image is left; expected at least one.")
    request.say(f"{count} They are left out.")
    request.left_out.append(f"{len(broken):,} {word} image(s) that cannot be read")
    return kept


def _remaining(count: int, broken: dict[int, str]) -> torch.Tensor:
    kept = torch.ones(count, dtype=torch.bool)
    kept[list(broken)] = False
    return kept.nonzero()[:, 0]


def _each(count: int, read: Callable[[int], _T]) -> Iterator[_T]:
    """Yield ``read`` of every row, in order."""

    # Threads are enough: Pillow releases the interpreter's lock while it decodes.
    def part(first: int) -> list[_T]:
        return [read(row) for row in range(first, min(first + _ROWS, count))]

    with ThreadPoolExecutor(min(8, usable_cores())) as pool:
        for results in pool.map(part, range(0, count, _ROWS)):
            yield from results
