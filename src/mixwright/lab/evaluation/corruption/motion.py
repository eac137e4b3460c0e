"""Motion: each image is smeared along a direction of its own."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from mixwright.lab.evaluation.corruption.pixels import Bytes, Floats, Row, to_bytes

_LEAST_WEIGHT = 1e-6  # taps that weigh less change no byte


def motion_blur(images: Bytes, constants: Row, rng: np.random.Generator) -> Bytes:
    """Smear at an angle from U(-45, 45) degrees; constants: (radius, sigma), in pixels."""
    radius, sigma = constants
    degrees = rng.uniform(-45, 45, size=len(images))
    return to_bytes(smeared(images, radius=radius, sigma=sigma, degrees=degrees))


def smeared(
    images: Bytes, *, radius: float, sigma: float, degrees: npt.NDArray[np.float64]
) -> Floats:
    """Average each image with copies shifted one way, as ImageMagick's motion blur does.

    The last of the ``2 radius + 1`` copies is shifted by twice ``radius`` pixels, towards
    ``degrees`` ``(n,)``, clockwise from the right; copies weigh like a Gaussian of their shift, of
    width ``sigma`` in pixels. ``(n, C, H, W)`` float32 on the scale of bytes; pixels of the border
    go on beyond it.
    """
    steps = np.arange(2 * int(np.ceil(radius)) + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    steps = steps[weights > _LEAST_WEIGHT * weights.sum()]
    weights = weights[: len(steps)] / weights[: len(steps)].sum()
    order = np.argsort(degrees, kind="stable")  # images of equal shifts become neighbours
    angle = np.deg2rad(degrees[order])[:, None]
    across = np.ceil(steps * np.cos(angle) - 0.5).astype(np.int64)
    down = np.ceil(steps * np.sin(angle) - 0.5).astype(np.int64)
    height, width = images.shape[-2:]
    above, left = -min(int(down.min()), 0), -min(int(across.min()), 0)
    beyond = ((above, max(int(down.max()), 0)), (left, max(int(across.max()), 0)))
    wide = np.pad(images[order].astype(np.float32), ((0, 0), (0, 0), *beyond), mode="edge")
    total = np.zeros(images.shape, dtype=np.float32)
    for tap in range(len(steps)):
        y, x = down[:, tap] + above, across[:, tap] + left
        for first, last in _runs(y, x):
            part = wide[first:last, :, y[first] : y[first] + height, x[first] : x[first] + width]
            total[first:last] += np.float32(weights[tap]) * part
    out = np.empty_like(total)
    out[order] = total
    return out


def _runs(y: npt.NDArray[Any], x: npt.NDArray[Any]) -> list[tuple[int, int]]:
    """Neighbouring places at which both numbers stay the same: first and one past the last."""
    change = np.flatnonzero((np.diff(y) != 0) | (np.diff(x) != 0)) + 1
    ends = [0, *change.tolist(), len(y)]
    return list(pairwise(ends))
