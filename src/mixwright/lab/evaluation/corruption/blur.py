"""Blurs: Gaussian, out of focus and zoomed, the same for every image; glass and motion, drawn."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from mixwright.lab.evaluation.corruption.linear import (
    Matrix,
    filter_matrix,
    gaussian_matrix,
    gaussian_weights,
    separable,
    separable_sum,
    zoom_matrix,
)
from mixwright.lab.evaluation.corruption.pixels import Bytes, Floats, Row, to_bytes

_LEAST_WEIGHT = 1e-6  # taps of motion that weigh less change no byte


def gaussian_blur(images: Bytes, constants: Row, _rng: np.random.Generator) -> Bytes:
    """Smooth by a Gaussian; constants: (sigma,), in pixels. Nothing is drawn."""
    return smoothed(images, constants[0])


def smoothed(images: Bytes, sigma: float) -> Bytes:
    """Smooth by a Gaussian of four sigmas' reach, the last pixel repeated beyond the border."""
    if int(4 * sigma + 0.5) == 0:  # its kernel is one pixel
        return images.copy()
    height, width = images.shape[-2:]
    rows, columns = gaussian_matrix(height, sigma), gaussian_matrix(width, sigma)
    return to_bytes(separable(images.astype(np.float32), rows, columns))


def defocus_blur(images: Bytes, constants: Row, _rng: np.random.Generator) -> Bytes:
    """Average over a disk; constants: (radius, sigma that smooths its edge). Nothing is drawn."""
    radius, sigma = constants
    height, width = images.shape[-2:]
    rows, columns = _terms(radius, sigma, height, width)
    return to_bytes(separable_sum(images.astype(np.float32), rows, columns))


def zoom_blur(images: Bytes, constants: Row, _rng: np.random.Generator) -> Bytes:
    """Average over zooms into the middle; constants: (end, step), from 1. Nothing is drawn."""
    end, step = constants
    height, width = images.shape[-2:]
    rows, columns = _zooms(end, step, height, width)
    return to_bytes(separable_sum(images.astype(np.float32), rows, columns))


def disk(radius: float, sigma: float) -> Matrix:
    """A disk of sum 1, in pixels, whose edge is smoothed by a small Gaussian; square, of odd side.

    As in the published script, smoothing mirrors what lies beyond the grid: the sum of a disk that
    touches its ends (radius 8 and above) comes out at up to 1.013.

    Example:
        >>> float(disk(1, 0.2)[8, 8].round(4))
        0.2
    """
    reach = 8 if radius <= 8 else int(radius)
    place = np.arange(-reach, reach + 1)
    kernel = (place[:, None] ** 2 + place[None, :] ** 2 <= radius**2).astype(np.float64)
    weights = gaussian_weights(sigma, 1 if radius <= 8 else 2)
    smooth = filter_matrix(weights, len(place), "reflect")
    return smooth @ (kernel / kernel.sum()) @ smooth.T


@lru_cache(maxsize=4)
def _terms(radius: float, sigma: float, height: int, width: int) -> tuple[Matrix, Matrix]:
    """The disk as a sum of separable filters, which the singular values give."""
    # A disk is no product of a row and a column, but has few singular values: so many separable
    # filters are far cheaper than its 17 x 17 taps.
    left, size, right = np.linalg.svd(disk(radius, sigma))
    rank = int((size > 1e-7 * size[0]).sum())
    rows = [filter_matrix(left[:, k] * size[k], height, "reflect") for k in range(rank)]
    columns = [filter_matrix(right[k], width, "reflect") for k in range(rank)]
    return np.stack(rows), np.stack(columns)


@lru_cache(maxsize=4)
def _zooms(end: float, step: float, height: int, width: int) -> tuple[Matrix, Matrix]:
    """Weights and matrices of all zooms and the image itself, equal ones put together."""
    # Where the end is a whole number of steps away, rounding decides whether it belongs; so it
    # does in the published files.
    factors = [1.0, *np.arange(1, end, step).tolist()]
    found: dict[bytes, tuple[int, Matrix, Matrix]] = {}
    for factor in factors:
        rows, columns = zoom_matrix(height, factor), zoom_matrix(width, factor)
        key = rows.tobytes() + columns.tobytes()
        count = found[key][0] if key in found else 0
        found[key] = (count + 1, rows, columns)
    left = [count / len(factors) * rows for count, rows, _ in found.values()]
    return np.stack(left), np.stack([columns for _, _, columns in found.values()])


def glass_blur(images: Bytes, constants: Row, rng: np.random.Generator) -> Bytes:
    """Blur, displace, blur; constants: (sigma of the blurs, largest displacement d, rounds).

    Displacements are whole numbers from -d to d - 1 in each direction. The published script means
    to swap two pixels but copies one over the other, since its temporary pair holds views; the
    official files have that, and so has this.
    """
    sigma, most, rounds = constants[0], int(constants[1]), int(constants[2])
    images = smoothed(images, sigma)
    count, height, width = len(images), images.shape[-2], images.shape[-1]
    for _ in range(rounds):
        # In the order of the script: from below and from the right, and first across.
        shape = (count, max(height - 2 * most, 0), max(width - 2 * most, 0), 2)
        shift = rng.integers(-most, most, size=shape, dtype=np.int8)
        source = sources(shift[..., 1], shift[..., 0], height=height, width=width, most=most)
        flat = images.reshape(count, 3, height * width)
        images = np.take_along_axis(flat, source[:, None, :], axis=2).reshape(images.shape)
    return smoothed(images, sigma)


def sources(
    down: npt.NDArray[Any], across: npt.NDArray[Any], *, height: int, width: int, most: int
) -> npt.NDArray[np.int64]:
    """Which pixel each one shows after one round, ``(n, H * W)`` int64.

    ``down`` and ``across`` ``(n, H - 2 most, W - 2 most)`` are rows and columns to the neighbour,
    in the order of visits; ``most`` pixels are left out on each side.

    Pixels are visited from below and from the right and take what their neighbour shows by then:
    a neighbour that was visited before shows a third one. Such chains are followed all at once,
    each step doubling how far.
    """
    place = np.arange(height * width, dtype=np.int64).reshape(height, width)
    source = np.broadcast_to(place, (len(down), height, width)).copy()
    visited = (slice(None), slice(height - most, most, -1), slice(width - most, most, -1))
    source[visited] += down.astype(np.int64) * width + across
    source = source.reshape(len(down), -1)
    if most == 1:  # all neighbours lie above or to the left: none was visited before
        return source
    inside = np.zeros((height, width), dtype=bool)
    inside[visited[1:]] = True
    chained = inside.ravel()[source] & (source > place.ravel())
    link = np.where(chained, source, place.ravel())  # itself where the chain ends
    end = source
    while True:
        further = np.take_along_axis(link, link, axis=1)
        if np.array_equal(further, link):
            return np.take_along_axis(end, link, axis=1)
        link = further


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
