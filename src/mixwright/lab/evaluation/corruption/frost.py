"""Frost: a crop of a picture of ice is added; where no pictures are given, one of noise."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mixwright.lab.evaluation.corruption.pixels import Bytes, Row, to_bytes

Textures = tuple[Bytes, ...]
"""Five pictures ``(3, h, w)``, scaled."""

FILES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")
"""The pictures that are drawn from; a sixth comes with the published script and is never used."""


class _Look(NamedTuple):
    """What noise has in common with one of the pictures: mean colour and deviation of levels.

    Its amplitudes fall with the power ``exponent`` of the frequency; ``stretch`` is how much longer
    its structures are downwards than across.
    """

    mean: tuple[float, float, float]
    deviation: float
    exponent: float
    stretch: float


_LOOKS = (
    _Look((78, 149, 166), 54, 1.7, 1.3),
    _Look((201, 205, 214), 28, 1.1, 0.8),
    _Look((201, 205, 214), 28, 1.1, 0.8),
    _Look((138, 153, 165), 29, 1.2, 1.3),
    _Look((112, 123, 135), 43, 1.1, 0.8),
)
_NOISE_SEED = 20190311


def frost(images: Bytes, constants: Row, rng: np.random.Generator, *, textures: Textures) -> Bytes:
    """Mix each image with a random crop of one of the textures, which are larger than it.

    Constants: (share of the image, share of the texture); their sum may be above 1. Drawn are the
    textures, then the rows and the columns at which they are cropped.
    """
    own, ice = np.float32(constants[0]), np.float32(constants[1])
    count, _, height, width = images.shape
    which = rng.integers(0, len(textures), size=count)
    high = np.array([texture.shape[1] for texture in textures])[which] - height
    wide = np.array([texture.shape[2] for texture in textures])[which] - width
    y, x = rng.integers(0, high), rng.integers(0, wide)
    levels = images * own
    for place, texture in enumerate(textures):
        rows = np.flatnonzero(which == place)
        windows = np.lib.stride_tricks.sliding_window_view(texture, (height, width), axis=(1, 2))
        levels[rows] += ice * windows[:, y[rows], x[rows]].transpose(1, 0, 2, 3)
    return to_bytes(levels)


def load_textures(folder: Path, *, scale: float, height: int, width: int) -> Textures:
    """Read the five pictures of ice that come with the published script, from ``folder``.

    ``scale`` is that of their sides, as the constants have it; raised where a crop of ``height``
    and ``width`` would not fit.
    """
    from PIL import Image

    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"frost: {folder} has no {', '.join(missing)}; expected the five pictures "
            f"{', '.join(FILES)} of github.com/hendrycks/robustness. Give the folder they are in, "
            "or none for frost of noise."
        )
    found: list[Bytes] = []
    for name in FILES:
        with Image.open(folder / name) as picture:
            pixels = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
        least = max((height + 1) / pixels.shape[1], (width + 1) / pixels.shape[2])
        found.append(_scaled(pixels, max(scale, least)))
    return tuple(found)


def _scaled(picture: Bytes, scale: float) -> Bytes:
    """Resize linearly between pixels, without smoothing first."""
    if scale == 1:
        return picture
    levels = picture.astype(np.float32)
    for axis in (1, 2):
        old = picture.shape[axis]
        new = max(round(old * scale), 1) if scale < 1 else int(np.ceil(old * scale))
        place = np.clip((np.arange(new) + 0.5) / scale - 0.5, 0, old - 1)
        left = np.minimum(place.astype(np.int64), max(old - 2, 0))
        share = (place - left).astype(np.float32).reshape((-1, 1) if axis == 1 else (-1,))
        low = levels.take(left, axis=axis)
        levels = low + share * (levels.take(np.minimum(left + 1, old - 1), axis=axis) - low)
    return to_bytes(levels + np.float32(0.5))


@lru_cache(maxsize=2)
def noise_textures(*, scale: float, height: int, width: int) -> Textures:
    """Five textures of noise, always the same, for where the pictures are not at hand.

    Each has mean colour, spread and roughly the spectrum of one of the pictures. They are a
    stand-in: accuracies on them are not those of the official files.
    """
    rng = np.random.default_rng(_NOISE_SEED)
    high, wide = max(round(450 * scale), 2 * height), max(round(660 * scale), 2 * width)
    return tuple(_noise(look, high, wide, rng) for look in _LOOKS)


def _noise(look: _Look, height: int, width: int, rng: np.random.Generator) -> Bytes:
    white: npt.NDArray[np.float64] = rng.standard_normal((height, width))
    down = np.fft.fftfreq(height)[:, None] * look.stretch
    frequency = np.hypot(down, np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(white) / frequency**look.exponent, s=white.shape)
    field *= look.deviation / field.std()
    return to_bytes((field[None] + np.array(look.mean)[:, None, None]).astype(np.float32))
