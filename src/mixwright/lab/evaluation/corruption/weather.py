"""Snow, fog and spatter: random layers that are laid over the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mixwright.lab.evaluation.corruption.blur import smeared
from mixwright.lab.evaluation.corruption.linear import (
    Real,
    gaussian_matrix,
    separable,
    zoom_matrix,
)
from mixwright.lab.evaluation.corruption.pixels import Bytes, Floats, Row, to_bytes

GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue."""

WATER = np.array([175, 238, 238], dtype=np.float32)
"""Pale turquoise: red, green, blue."""

MUD = np.array([63, 42, 20], dtype=np.float32)
"""Brown: red, green, blue."""

_BRIGHT_EDGE = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
_MUD_THRESHOLD = 0.8


def snow(images: Bytes, constants: Row, rng: np.random.Generator) -> Bytes:
    """Whiten the image and lay flakes over it that fall.

    Constants: (mean, standard deviation, zoom, threshold, radius, sigma, blend): of the grey noise
    that becomes flakes, of their motion, and the share of the image that stays. Drawn are the noise
    first, then the angles, U(-135, -45) degrees.
    """
    mean, deviation, zoom, threshold, radius, sigma, blend = constants
    count, _, height, width = images.shape
    layer = rng.normal(mean, deviation, size=(count, 1, height, width))
    layer = separable(layer, zoom_matrix(height, zoom), zoom_matrix(width, zoom))
    layer[layer < threshold] = 0
    degrees = rng.uniform(-135, -45, size=count)
    specks = (np.clip(layer, 0, 1) * 255).astype(np.uint8)
    flakes = to_bytes(smeared(specks, radius=radius, sigma=sigma, degrees=degrees))
    levels = images.astype(np.float32)
    grey = np.einsum("nchw,c->nhw", levels, GREY)[:, None]
    white = np.maximum(levels, 1.5 * grey + 127.5)
    levels *= np.float32(blend)
    levels += np.float32(1 - blend) * white
    levels += flakes
    levels += flakes[..., ::-1, ::-1]
    return to_bytes(levels)


def fog(images: Bytes, constants: Row, rng: np.random.Generator) -> Bytes:
    """Add a cloud and scale back to the image's own maximum.

    Constants: (strength, decay of the cloud's finer parts). Drawn is a cloud an image.
    """
    strength, decay = constants
    count, _, height, width = images.shape
    size = 2 ** int(np.ceil(np.log2(max(height, width, 2))))
    cloud = plasma(count, size, decay=decay, rng=rng)[:, None, :height, :width].astype(np.float32)
    most = images.max(axis=(1, 2, 3), keepdims=True).astype(np.float32)
    levels = images + np.float32(255 * strength) * cloud
    levels *= most / (most + np.float32(255 * strength))
    return to_bytes(levels)


def plasma(
    count: int, size: int, *, decay: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Clouds by the diamond-square algorithm, ``(count, size, size)``, periodic in both directions.

    Middles of squares, then of their sides, become the mean of their four neighbours plus noise;
    at each finer scale noise is smaller by the square of ``decay``, which is above 1 for smooth
    clouds. ``size`` is a power of two. From 0 to 1, both reached in each cloud.
    """
    cloud = np.zeros((count, size, size))
    wobble, step = 100.0, size

    def between(total: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return total / 4 + wobble * rng.uniform(-wobble, wobble, size=total.shape)

    while step >= 2:
        half = step // 2
        corners = cloud[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=1)
        cloud[:, half::step, half::step] = between(pairs + np.roll(pairs, -1, axis=2))
        middles = cloud[:, half::step, half::step]
        across = corners + np.roll(corners, -1, axis=2)
        cloud[:, ::step, half::step] = between(middles + np.roll(middles, 1, axis=1) + across)
        down = corners + np.roll(corners, -1, axis=1)
        cloud[:, half::step, ::step] = between(middles + np.roll(middles, 1, axis=2) + down)
        step, wobble = half, wobble / decay
    cloud -= cloud.min(axis=(1, 2), keepdims=True)
    cloud /= cloud.max(axis=(1, 2), keepdims=True)
    return cloud


def spatter(images: Bytes, constants: Row, rng: np.random.Generator) -> Bytes:
    """Lay drops over each image: water is added, mud covers.

    Constants: (mean, standard deviation, sigma, threshold, strength, kind): smooth noise above the
    threshold is wet; kind 0 is water, 1 is mud, for which the strength is the sigma of the border.
    Water deeper than 1 begins anew at 0, since the published script stores it in a byte; so it is
    in the official files.
    """
    mean, deviation, sigma, threshold, strength, kind = constants
    count, _, height, width = images.shape
    layer = rng.normal(mean, deviation, size=(count, height, width))
    layer = _smooth(layer, sigma)  # in double precision: edges jump where a level changes
    if kind == 0:
        layer[layer < threshold] = 0
        depth = (layer * 255).astype(np.int32).astype(np.uint8)  # begins anew above 255
        wet = _shine(depth) * np.float32(strength)
        return to_bytes(images + wet[:, None] * WATER[:, None, None])
    cover = _smooth((layer > threshold).astype(np.float32), strength)
    cover[cover < _MUD_THRESHOLD] = 0
    return to_bytes(images * (1 - cover[:, None]) + cover[:, None] * MUD[:, None, None])


def _smooth(planes: Real, sigma: float) -> Real:
    rows, columns = (gaussian_matrix(side, sigma) for side in planes.shape[-2:])
    return separable(planes, rows, columns)


def _shine(layers: Bytes) -> Floats:
    """How bright water is, from 0 to 1, the brightest of each image at 1.

    Light falls on the edges of drops: distance to the nearest edge, stretched to the full range
    and filtered by a kernel that brightens one side.
    """
    lit = np.stack([_light(layer) for layer in layers])
    bright = layers * lit.astype(np.float32)
    most = bright.max(axis=(1, 2), keepdims=True)
    return bright / np.maximum(most, 1)


def _light(layer: Bytes) -> Bytes:
    import cv2

    distance = cv2.distanceTransform(255 - cv2.Canny(layer, 50, 150), cv2.DIST_L2, 5)
    near = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    edge = cv2.filter2D(cv2.equalizeHist(near), cv2.CV_8U, _BRIGHT_EDGE)
    return np.asarray(cv2.blur(edge, (3, 3)), dtype=np.uint8)
