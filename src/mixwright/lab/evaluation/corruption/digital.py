"""Coarse pixels and JPEG, by Pillow, as the published script makes them."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from mixwright.lab.evaluation.corruption.pixels import Bytes, Row

if TYPE_CHECKING:
    from PIL.Image import Image


def pixelate(images: Bytes, constants: Row, _rng: np.random.Generator) -> Bytes:
    """Average into a share (c,) of the side's pixels and back. Nothing is drawn."""
    from PIL.Image import Resampling

    height, width = images.shape[-2:]
    few = (max(int(width * constants[0]), 1), max(int(height * constants[0]), 1))
    box = Resampling.BOX
    return _each(images, lambda image: image.resize(few, box).resize((width, height), box))


def jpeg_compression(images: Bytes, constants: Row, _rng: np.random.Generator) -> Bytes:
    """Encode as JPEG and decode; constants: (quality,), chroma halved. Nothing is drawn."""
    from PIL.Image import open as decoded

    quality = int(constants[0])

    def coded(image: Image) -> Image:
        file = BytesIO()
        image.save(file, "JPEG", quality=quality)
        return decoded(file)

    return _each(images, coded)


def _each(images: Bytes, change: Callable[[Image], Image]) -> Bytes:
    from PIL.Image import fromarray

    out = np.empty_like(images)
    for row, pixels in enumerate(np.ascontiguousarray(images.transpose(0, 2, 3, 1))):
        out[row] = np.asarray(change(fromarray(pixels))).transpose(2, 0, 1)
    return out
