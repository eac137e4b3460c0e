"""Blurs that are linear and the same for every image: Gaussian, out of focus, zoomed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mixwright.lab.evaluation.corruption.linear import (
    Matrix,
    filter_matrix,
    gaussian_matrix,
    gaussian_weights,
    separable,
    separable_sum,
    zoom_matrix,
)
from mixwright.lab.evaluation.corruption.pixels import Bytes, Row, to_bytes


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
    smooth = filter_matrix(weights, len(place), "reflect101")
    return smooth @ (kernel / kernel.sum()) @ smooth.T


@lru_cache(maxsize=4)
def _terms(radius: float, sigma: float, height: int, width: int) -> tuple[Matrix, Matrix]:
    """The disk as a sum of separable filters, which the singular values give."""
    # A disk is no product of a row and a column, but has few singular values: so many separable
    # filters are far cheaper than its 17 x 17 taps.
    left, size, right = np.linalg.svd(disk(radius, sigma))
    rank = int((size > 1e-7 * size[0]).sum())
    rows = [filter_matrix(left[:, k] * size[k], height, "reflect101") for k in range(rank)]
    columns = [filter_matrix(right[k], width, "reflect101") for k in range(rank)]
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
