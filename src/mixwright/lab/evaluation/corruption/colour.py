"""Brightness, contrast and saturation, in closed form instead of by way of HSV."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mixwright.lab.evaluation.corruption.pixels import Bytes, Row, to_bytes


def brightness(images: Bytes, constants: Row, _rng: np.random.Generator) -> Bytes:
    """Raise the value of HSV; constants: (c,), of its range. Nothing is drawn.

    A pixel is scaled so that its largest channel rises by c; black becomes grey.
    """
    value = images.max(axis=1, keepdims=True).astype(np.int64) * 256
    return _brighter(constants[0]).take(value + images)


@lru_cache(maxsize=1)
def _brighter(rise: float) -> Bytes:
    """``[256 * largest channel + channel]`` -> channel."""
    level = np.arange(256.0)
    raised = np.minimum(level + 255 * rise, 255)
    ratio = raised / np.maximum(level, 1)
    table = level[None, :] * ratio[:, None]
    table[0] = raised[0]
    return to_bytes(table.astype(np.float32)).ravel()


def saturate(images: Bytes, constants: Row, _rng: np.random.Generator) -> Bytes:
    """Scale and raise the saturation of HSV; constants: (factor, rise). Nothing is drawn.

    Distances to the largest channel are scaled by what the saturation is scaled by. Grey has the
    hue of red, so that a rise turns it reddish, as in the official files.
    """
    factor, rise = constants
    largest = images.max(axis=1)
    span = largest - images.min(axis=1)
    value = largest.astype(np.float32)
    old = span / np.maximum(value, 1)
    new = np.clip(old * np.float32(factor) + np.float32(rise), 0, 1)
    scale = new / np.where(span > 0, old, np.float32(1))
    away = (largest[:, None] - images).astype(np.float32)
    away *= scale[:, None]
    if rise > 0:
        grey = span == 0
        loss = np.where(grey, value * new, 0)
        away[:, 1] += loss
        away[:, 2] += loss
    return to_bytes(value[:, None] - away)


def contrast(images: Bytes, constants: Row, _rng: np.random.Generator) -> Bytes:
    """Shrink distances to each channel's mean of an image; constants: (c,). Nothing is drawn."""
    factor = np.float32(constants[0])
    mean = images.mean(axis=(2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
    levels = images.astype(np.float32)
    levels *= factor
    levels += (1 - factor) * mean
    return to_bytes(levels)
