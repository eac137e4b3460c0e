"""Sets that are stored as arrays of pixels, all of one size."""

from __future__ import annotations

from typing import Any

import torch

from mixwright.lab.data.decode import centre_box, centre_square
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.resize import resized
from mixwright.lab.data.sets import ImageSet
from mixwright.lab.data.source import Request
from mixwright.lab.data.subset import train_rows


def image_set(images: Any, labels: Any, *, classes: int, name: str) -> ImageSet:
    """Return NumPy arrays as an ``ImageSet``, grey images repeated over three channels.

    Images are uint8, ``(M, S, S)``, ``(M, S, S, 1)`` or ``(M, S, S, 3)``; labels whole numbers
    below ``classes``, ``(M,)`` or ``(M, 1)``; ``name`` is the file's, for messages.
    """
    import numpy as np

    grey = images.ndim == 3
    square = images.ndim in (3, 4) and images.shape[1] == images.shape[2]
    if images.dtype != np.uint8 or not square or not (grey or images.shape[3] in (1, 3)):
        raise DataError(
            f"{name} has images of shape {tuple(images.shape)} and dtype {images.dtype}; expected "
            "(count, side, side), grey, or (count, side, side, 3) of uint8. Volumes and other "
            "pixels are not read."
        )
    flat = labels.reshape(-1)
    if len(flat) != len(labels) or len(flat) != len(images) or labels.dtype.kind not in "ui":
        raise DataError(
            f"{name} has {len(images)} images and labels of shape {tuple(labels.shape)} and dtype "
            f"{labels.dtype}; expected one whole number for each image. Sets with several labels "
            "an image are not read."
        )
    if not len(flat):
        raise DataError(f"{name} holds no images; expected at least one.")
    if not 0 <= int(flat.min()) <= int(flat.max()) < classes:
        raise DataError(
            f"{name} has labels from {flat.min()} to {flat.max()}; expected 0 to {classes - 1}. "
            "Place a fresh copy."
        )
    pixels = torch.from_numpy(np.require(images, requirements=["C", "W"]))
    pixels = pixels[:, None] if grey else pixels.movedim(3, 1)
    return ImageSet(
        pixels.expand(-1, 3, -1, -1).contiguous(), torch.from_numpy(flat.astype(np.int64))
    )


def cut_and_resized(
    train: ImageSet, test: ImageSet, request: Request
) -> tuple[ImageSet, ImageSet, str]:
    """Return both sets at the request's ``train_size`` and size, and a clause for the note."""
    rows, clause = train_rows(train.labels, request.train_size)
    if clause:  # all rows would be a copy of the whole set
        train = train.subset(rows)
    return at_size(train, request), at_size(test, request), clause + centre_clause(request)


def centre_clause(request: Request) -> str:
    """Say for the note that the centres of images are cut out; nothing where they are not."""
    return "" if request.centre_crop is None else f"; {centre_square(request.centre_crop)}"


def at_size(images: ImageSet, request: Request) -> ImageSet:
    """Return a set at the request's ``image_size``, the centre of each image if that is asked for.

    Images whose centre is cut out keep their originals, to cut rectangles from in training. A set
    that is wanted as it is is returned itself.
    """
    pixels, size = images.images, request.image_size or images.shape[1]
    if request.centre_crop is None:
        return (
            images if request.image_size is None else ImageSet(resized(pixels, size), images.labels)
        )
    top, left, side = centre_box(*images.shape[1:], request.centre_crop)
    cut = pixels[:, :, top : top + side, left : left + side]
    return ImageSet(resized(cut.contiguous(), size), images.labels, _stored(images))


def _stored(images: ImageSet) -> EncodedImages:
    """Return arrays as files in memory (PPM, without compression), as ``OriginalCrop`` reads."""
    _, height, width = images.shape
    head = b"P6 %d %d 255\n" % (width, height)
    rows = images.images.movedim(1, 3).contiguous().numpy()
    return EncodedImages(
        [head + row.tobytes() for row in rows],
        [f"image {number}" for number in range(len(rows))],
        images.labels,
    )
