"""Noise that falls on each channel value by itself.

What comes out then depends on the byte that goes in and on one draw, so each type is a table of
256 distributions over 256 bytes, and all four are drawn the same way: exactly, without computing
a normal or a Poisson number per value.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mixwright.lab.evaluation.corruption.pixels import Bytes, Row

Cumulative = npt.NDArray[np.float64]
"""``(256, 256)``: probability that byte ``[row]`` becomes at most byte ``[column]``."""

_LEVELS = np.arange(256.0)
_BITS = 13  # of 32 decide at once where no border between two bytes is near: 2 million entries
_UNDECIDED = 256


def noisy(name: str, images: Bytes, constants: Row, rng: np.random.Generator) -> Bytes:
    """Draw what a type of noise makes of each value; constants: (c,).

    Gaussian noise adds N(0, c), in the range of pixels, speckle noise N(0, c) times the value
    itself; shot noise counts a Poisson number of photons, of which c stand for white; impulse noise
    sets the share c of values to 0 or 255, in equal parts.
    """
    return _drawn(images, rng, *_quick(name, constants[0]))


def cumulative(name: str, constant: float) -> Cumulative:
    """Return the distributions that a type of noise, of some strength, makes of each byte.

    Example:
        >>> impulse = cumulative("impulse_noise", 0.07)
        >>> impulse[128, [0, 127, 128, 254, 255]].round(3).tolist()
        [0.035, 0.035, 0.965, 0.965, 1.0]
    """
    from scipy.special import ndtr, pdtr

    below = _LEVELS[None, :] + 1 - _LEVELS[:, None]  # how far noise may lift a byte
    if name == "gaussian_noise":
        table = ndtr(below / (255 * constant))
    elif name == "speckle_noise":
        table = ndtr(below / np.maximum(_LEVELS[:, None] * constant, 1e-9))
    elif name == "shot_noise":
        counts = np.arange(int(constant) + 1)
        levels = np.floor(np.clip(counts / constant, 0, 1) * 255)
        most = np.searchsorted(levels, _LEVELS, side="right") - 1
        table = pdtr(most[None, :], constant * _LEVELS[:, None] / 255)
    else:
        table = constant / 2 + (1 - constant) * (below > 0)
    table[:, -1] = 1
    return table.astype(np.float64, copy=False)


@lru_cache(maxsize=2)
def _quick(name: str, constant: float) -> tuple[Cumulative, npt.NDArray[np.uint16]]:
    """Quantiles of the distributions at the first bits of a draw, where these decide."""
    # A draw falls into one of 2**13 cells by its first bits. Where no border between two output
    # bytes lies inside a cell, the cell alone decides; the others are left to a search.
    table = cumulative(name, constant)
    first = _counts(np.ceil(table * 2**_BITS))  # borders at or before the start of a cell
    last = _counts(np.floor(table * 2**_BITS))  # borders before its end
    quick = np.where(first == last, first, _UNDECIDED).astype(np.uint16)
    return table, quick


def _counts(cells: Cumulative) -> npt.NDArray[np.int64]:
    """For each level and cell, how many numbers of the level's row are at most the cell's."""
    wide = 2**_BITS + 1
    flat = (cells + wide * np.arange(256)[:, None]).astype(np.int64).ravel()
    return np.bincount(flat, minlength=256 * wide).reshape(256, wide)[:, :-1].cumsum(axis=1)


def _drawn(
    images: Bytes, rng: np.random.Generator, table: Cumulative, quick: npt.NDArray[np.uint16]
) -> Bytes:
    """Draw each value from the distribution of its byte, by one number of 32 bits."""
    draw = rng.integers(0, 2**32, size=images.shape, dtype=np.uint32)
    cell: npt.NDArray[Any] = images.astype(np.int64)
    cell <<= _BITS
    cell |= draw >> np.uint32(32 - _BITS)
    found = quick.ravel().take(cell)
    undecided = np.flatnonzero(found == _UNDECIDED)
    level = images.ravel()[undecided]
    share = (draw.ravel()[undecided] + 0.5) / 2**32
    # One search in all rows laid end to end: row k holds k plus its distribution.
    ladder = (table + np.arange(256.0)[:, None]).ravel()
    found.ravel()[undecided] = np.searchsorted(ladder, level + share) - 256 * level.astype(np.int64)
    return found.astype(np.uint8)
