"""Glass: pixels take the place of near neighbours, between two small blurs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mixwright.lab.evaluation.corruption.blur import smoothed
from mixwright.lab.evaluation.corruption.pixels import Bytes, Row

Index = npt.NDArray[np.int64]


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
) -> Index:
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
