"""Spatter: drops of water or mud on the lens."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mixwright.lab.evaluation.corruption.linear import Real, gaussian_matrix, separable
from mixwright.lab.evaluation.corruption.pixels import Bytes, Floats, Row, to_bytes

WATER = np.array([175, 238, 238], dtype=np.float32)
"""Pale turquoise: red, green, blue."""

MUD = np.array([63, 42, 20], dtype=np.float32)
"""Brown: red, green, blue."""

_BRIGHT_EDGE = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
_MUD_THRESHOLD = 0.8


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


def _light(layer: Bytes) -> npt.NDArray[np.uint8]:
    import cv2

    distance = cv2.distanceTransform(255 - cv2.Canny(layer, 50, 150), cv2.DIST_L2, 5)
    near = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    edge = cv2.filter2D(cv2.equalizeHist(near), cv2.CV_8U, _BRIGHT_EDGE)
    return np.asarray(cv2.blur(edge, (3, 3)), dtype=np.uint8)
