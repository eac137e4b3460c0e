"""Snow and fog: random layers that are laid over the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mixwright.lab.evaluation.corruption.linear import separable, zoom_matrix
from mixwright.lab.evaluation.corruption.motion import smeared
from mixwright.lab.evaluation.corruption.pixels import Bytes, Row, to_bytes

GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue."""


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
