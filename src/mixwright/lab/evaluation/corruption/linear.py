"""Filters and zooms as matrices: what is linear and separable is two products, on any size."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from mixwright.lab.evaluation.corruption.pixels import Floats

Border = Literal["edge", "symmetric", "reflect"]
"""What lies beyond the last pixel ``d`` of ``abcd``: ``dddd``, ``dcba`` or ``cbab``; see np.pad."""

Matrix = npt.NDArray[np.float64]
Real = TypeVar("Real", Floats, Matrix)


def filter_matrix(weights: npt.NDArray[Any], side: int, border: Border) -> Matrix:
    """Correlation of a line of pixels with a kernel ``(2 r + 1,)``, as a matrix ``(side, side)``.

    Each row holds the weights of one output pixel; the kernel may be longer than the line.

    Example:
        >>> filter_matrix(np.array([1.0, 2.0, 4.0]), 3, "edge").tolist()
        [[3.0, 4.0, 0.0], [1.0, 2.0, 4.0], [0.0, 1.0, 6.0]]
    """
    rows = np.arange(side)
    seen = np.pad(rows, len(weights) // 2, mode=border)
    matrix = np.zeros((side, side))
    for tap, weight in enumerate(weights):
        np.add.at(matrix, (rows, seen[tap : tap + side]), weight)
    return matrix


def gaussian_weights(sigma: float, radius: int) -> Matrix:
    """A Gaussian at whole numbers from ``-radius`` to ``radius``, of sum 1; a peak for sigma 0."""
    places = np.arange(-radius, radius + 1)
    if sigma == 0:
        return (places == 0).astype(np.float64)
    weights = np.exp(-(places**2) / (2 * sigma**2))
    return weights / weights.sum()


def gaussian_matrix(
    side: int, sigma: float, *, truncate: float = 4.0, border: Border = "edge"
) -> Matrix:
    """Gaussian smoothing of a line of pixels, its kernel cut at ``truncate`` sigmas."""
    return filter_matrix(gaussian_weights(sigma, int(truncate * sigma + 0.5)), side, border)


def zoom_matrix(side: int, factor: float) -> Matrix:
    """Enlarge the middle of a line of pixels by a factor of at least 1, linearly between them.

    The ``ceil(side / factor)`` pixels in the middle are drawn out to ``round`` of their number
    times the factor, end to end, and the middle of that is kept.
    """
    kept = int(np.ceil(side / factor))
    wide = round(kept * factor)
    first, trim = (side - kept) // 2, (wide - side) // 2
    place = (np.arange(side) + trim) * ((kept - 1) / max(wide - 1, 1))
    left = np.minimum(np.floor(place).astype(np.int64), kept - 1)
    share = place - left
    rows = np.arange(side)
    matrix = np.zeros((side, side))
    np.add.at(matrix, (rows, first + left), 1 - share)
    np.add.at(matrix, (rows, first + np.minimum(left + 1, kept - 1)), share)
    return matrix


def separable(planes: Real, rows: Matrix, columns: Matrix) -> Real:
    """Mix the rows of planes ``(..., H, W)`` by ``(H, H)``, and their columns by ``(W, W)``."""
    return _product(rows.astype(planes.dtype), _product(planes, columns.T.astype(planes.dtype)))


def separable_sum(planes: Floats, rows: Matrix, columns: Matrix) -> Floats:
    """Sum K ``separable`` operations, ``(K, H, H)`` and ``(K, W, W)``, in two products."""
    count, height, width = len(rows), planes.shape[-2], planes.shape[-1]
    right = columns.transpose(2, 0, 1).reshape(width, count * width).astype(np.float32)
    left = rows.transpose(1, 2, 0).reshape(height, height * count).astype(np.float32)
    mixed = _product(planes.reshape(-1, width), right)
    return _product(left, mixed.reshape(-1, height * count, width)).reshape(planes.shape)


def _product(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> Any:
    """Matrix product by torch: threads of NumPy's wait for each other in every small product."""
    return torch.matmul(torch.from_numpy(left), torch.from_numpy(right)).numpy()
