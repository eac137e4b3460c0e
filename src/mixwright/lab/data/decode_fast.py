"""The squares of ``decode`` at two thirds of the cost or less, for training; last bits may differ.

What differs: a JPEG is decoded at a half, a quarter or an eighth of its size (the file's own scaled
decoding) where what is cut out is still as large as wanted; and rectangles are resized by torch's
vector instructions, four times as fast as Pillow, whose weights have 15 bits in place of 22.

What does not: a plain JPEG is decoded by OpenCV, which spends less around the same library than
Pillow does and gives the same bits; without OpenCV, and for all other images, Pillow decodes.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mixwright.lab.data.decode import (
    PLAIN,
    Encoded,
    Framing,
    centre,
    centre_box,
    content,
    decode_image,
    decoded_at,
    upright_height,
)

_SCALES = (8, 4, 2)  # what the sides of a JPEG can be divided by while it is decoded
_ORIENTATION = 274  # the EXIF tag

_Box = list[int]  # top, left, height and width


def decode_image_fast(encoded: Encoded, image_size: int, framing: Framing = PLAIN) -> Tensor:
    """Return what ``decode_image`` returns, nearly, as ``(3, S, S)`` uint8."""
    share = framing.share
    if share is not None:

        def middle(height: int, width: int) -> list[_Box]:
            top, left, side = centre_box(height, width, share)
            return [[top, left, side, side]]

        return decode_crops_fast(encoded, image_size, middle, framing)[0]

    def least(height: int, width: int) -> tuple[int, int]:
        window = centre(height, width, image_size, framing)
        return min(height, width), min(window.high, window.wide)

    with _pixels(encoded, framing, least) as (pixels, sides, divided, turned):
        window = centre(*sides, image_size, framing)
        if window.long:  # a strip, whose whole would take gigabytes
            whole = decode_image(encoded, image_size, framing).transpose(2, 0, 1)
            return torch.from_numpy(whole.copy())
        high, wide = (-(-side // divided) for side in sides)
        found = _resized(pixels[:high, :wide], window.high, window.wide)
        top, left = window.top, window.left
        found = found[:, top : top + image_size, left : left + image_size]
        return found.flip(0) if turned else found


def decode_crops_fast(
    encoded: Encoded,
    image_size: int,
    boxes: Callable[[int, int], list[_Box]],
    framing: Framing = PLAIN,
) -> list[Tensor]:
    """Return what ``decode_crops`` returns, nearly, as ``(3, S, S)`` uint8 each.

    Where a JPEG is decoded smaller, a rectangle may lie off by half a pixel of the square.
    """
    found: list[_Box] = []

    def least(height: int, width: int) -> tuple[int, int]:
        found[:] = boxes(height, width)
        return min(min(box[2:]) for box in found), image_size

    with _pixels(encoded, framing, least) as (pixels, _, divided, turned):
        parts = [_resized(_cut(pixels, box, divided), image_size, image_size) for box in found]
        return [part.flip(0) for part in parts] if turned else parts


@contextlib.contextmanager
def _pixels(
    encoded: Encoded, framing: Framing, least: Callable[[int, int], tuple[int, int]]
) -> Generator[tuple[Any, tuple[int, int], int, bool]]:
    """Give an image's pixels ``(H, W, 3)``, perhaps divided; what fails inside is its fault.

    ``least`` is called with height and width, the right way up and without the framing's banner,
    which is still there in the pixels of a JPEG, and returns the shortest side that is looked at
    and what it is to become. With the pixels come height and width, what the sides were divided by,
    and whether blue comes first.
    """
    sides = 0, 0

    def scale(height: int, width: int) -> int:
        nonlocal sides
        sides = height, width
        there, wanted = least(height, width)
        return next((scale for scale in _SCALES if there >= scale * wanted), 1)

    data = content(encoded)
    if (jpeg := _plain_jpeg(data)) is not None:
        height, width = jpeg
        divided = scale(upright_height(height, framing), width)
        if (pixels := _by_opencv(data, divided)) is not None:
            yield pixels, sides, divided, True
            return
    with decoded_at(data, framing, scale) as (image, divided):
        import numpy as np

        yield np.array(image), sides, divided, False  # a copy, which torch may write to


def _plain_jpeg(data: bytes) -> tuple[int, int] | None:
    """Return height and width of a whole JPEG of grey or three colours that stands upright."""
    if not data.endswith(b"\xff\xd9"):  # OpenCV would give a part of it as if it were whole
        return None
    sides: tuple[int, int] | None = None
    for kind, segment in _segments(data):
        if kind == 0xE1 and not _upright(segment):
            return None
        if kind in (0xC0, 0xC1, 0xC2):  # the frame: baseline, extended or progressive
            if len(segment) < 6 or segment[0] != 8 or segment[5] not in (1, 3):
                return None
            sides = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5])
    return sides if sides is not None and min(sides) > 0 else None


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of what stands before the pixels of a JPEG."""
    place = 2 if data.startswith(b"\xff\xd8") else len(data)
    while place + 4 <= len(data) and data[place] == 0xFF:
        kind = data[place + 1]
        if kind == 0xDA:  # the pixels
            return
        length = int.from_bytes(data[place + 2 : place + 4])
        yield kind, data[place + 4 : place + 2 + length]
        place += 2 + length


def _upright(segment: bytes) -> bool:
    """Whether what a camera or a program noted about an image leaves it as it is stored."""
    from PIL import Image

    if b"Orientation" in segment:  # in words, as XMP has it
        return False
    if not segment.startswith(b"Exif\0\0"):
        return True
    exif = Image.Exif()
    try:
        exif.load(segment)
        return exif.get(_ORIENTATION, 1) == 1
    except Exception:  # broken notes make Pillow raise nearly anything; it decides
        return False


def _by_opencv(data: bytes, divided: int) -> Any:
    """Return the pixels ``(H, W, 3)`` of a JPEG, blue first, or None where Pillow has to decide."""
    try:
        import cv2
        import numpy as np
    except ImportError:
        return None
    flags = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }
    try:
        with _quiet():
            return cv2.imdecode(
                np.frombuffer(data, np.uint8), flags[divided] | cv2.IMREAD_IGNORE_ORIENTATION
            )
    except cv2.error:
        return None


_QUIET = threading.Lock()


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep what C code writes to standard error from it, which takes two microseconds.

    libjpeg writes a line there about a damaged file, without its name and in the middle of a
    progress bar; in Pillow's hands it is silent about the same file.
    """
    with _QUIET:  # a second thread would take the first one's silence for standard error
        try:
            kept = os.dup(2)
        except OSError:  # it is closed
            yield
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _cut(pixels: Any, box: _Box, divided: int) -> Any:
    """Return a rectangle of an image that was divided."""
    top, left, high, wide = box
    edges = (top, left, top + high, left + wide)
    # Halves go up, so that a side that is a whole number of divided pixels stays one.
    top, left, bottom, right = (math.floor(edge / divided + 0.5) for edge in edges)
    return pixels[top:bottom, left:right]


def _resized(pixels: Any, height: int, width: int) -> Tensor:
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    if image.shape[-2:] != (height, width):
        image = interpolate(
            image, size=(height, width), mode="bilinear", antialias=True, align_corners=False
        )
    return image[0]
