"""Small images for the tests of this room."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    """Random pixels; ``size`` is width and height."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3))
    return Image.fromarray(pixels.astype(np.uint8))


def png(image: Image.Image) -> bytes:
    stored = io.BytesIO()
    image.save(stored, "PNG")
    return stored.getvalue()


def write(path: Path, image: Image.Image, **arguments: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **arguments)  # type: ignore[arg-type]
    return path
