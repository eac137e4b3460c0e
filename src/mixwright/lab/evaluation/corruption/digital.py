"""Coarse pixels and JPEG, by Pillow, as the published script makes them; elastic warps."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from mixwright.lab.evaluation.corruption.linear import gaussian_matrix, separable
from mixwright.lab.evaluation.corruption.pixels import Bytes, Row, to_bytes

if TYPE_CHECKING:
    from PIL.Image import Image


def pixelate(images: Bytes, constants: Row, _rng: np.random.Generator) -> Bytes:
    """Average into a share (c,) of the side's pixels and back. Nothing is drawn."""
    from PIL.Image import Resampling

    height, width = images.shape[-2:]
    few = (max(int(width * constants[0]), 1), max(int(height * constants[0]), 1))
    box = Resampling.BOX
    return _each(images, lambda image: image.resize(few, box).resize((width, height), box))


def jpeg_compression(images: Bytes, constants: Row, _rng: np.random.Generator) -> Bytes:
    """Encode as JPEG and decode; constants: (quality,), chroma halved. Nothing is drawn."""
    from PIL.Image import open as decoded

    quality = int(constants[0])

    def coded(image: Image) -> Image:
        file = BytesIO()
        image.save(file, "JPEG", quality=quality)
        return decoded(file)

    return _each(images, coded)


def _each(images: Bytes, change: Callable[[Image], Image]) -> Bytes:
    from PIL.Image import fromarray

    out = np.empty_like(images)
    for row, pixels in enumerate(np.ascontiguousarray(images.transpose(0, 2, 3, 1))):
        out[row] = np.asarray(change(fromarray(pixels))).transpose(2, 0, 1)
    return out


def elastic_transform(images: Bytes, constants: Row, rng: np.random.Generator) -> Bytes:
    """Warp each image, twice bilinearly.

    Constants: (alpha, sigma, jitter), in pixels: displacements are alpha times white noise of
    U(-1, 1) smoothed by sigma; three points of the image move by up to the jitter. Drawn are the
    points first, then the noise across and down. The warp by OpenCV in the published script rounds
    coordinates and weights, differently in each of its major versions; this one is exact.
    """
    alpha, sigma, jitter = constants
    count, _, height, width = images.shape
    place = _affine(rng.uniform(-jitter, jitter, size=(count, 3, 2)), height, width)
    levels = _sampled(torch.from_numpy(images.astype(np.float32)), place, around_centres=True)
    if alpha > 0:
        shift = rng.uniform(-1, 1, size=(count, 2, height, width)).astype(np.float32)
        rows, columns = (
            gaussian_matrix(side, sigma, truncate=3.0, border="symmetric")
            for side in (height, width)
        )
        field = torch.from_numpy(separable(shift, rows, columns) * np.float32(alpha))
        grid = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"))
        levels = _sampled(levels, (field + grid).permute(0, 2, 3, 1), around_centres=False)
    return to_bytes(levels.numpy())


def _affine(jitter: npt.NDArray[np.float64], height: int, width: int) -> Tensor:
    """Where each pixel (x, y) comes from when three points move: ``(n, H, W, 2)``."""
    x, y, third = width // 2, height // 2, min(height, width) // 3
    points = np.array([[x + third, y + third], [x + third, y - third], [x - third, y - third]])
    moved = points + jitter
    ones = np.ones((*moved.shape[:2], 1))
    back = np.linalg.solve(np.concatenate([moved, ones], axis=2), points[None].astype(np.float64))
    down, across = np.mgrid[:height, :width]
    pixels = np.stack([across, down, np.ones_like(down)], axis=-1).reshape(-1, 3)
    return torch.from_numpy((pixels @ back).reshape(-1, height, width, 2).astype(np.float32))


def _sampled(images: Tensor, place: Tensor, *, around_centres: bool) -> Tensor:
    """Read images at ``place (n, H, W, 2)``, (x, y) in pixels; beyond the border they are mirrored.

    ``around_centres``: whether the mirror stands on the middle of the last pixel, which then is
    not repeated, or on its edge.
    """
    size = torch.tensor([images.shape[3], images.shape[2]], dtype=torch.float32)
    grid = 2 * place / (size - 1) - 1 if around_centres else (2 * place + 1) / size - 1
    return grid_sample(
        images, grid, mode="bilinear", padding_mode="reflection", align_corners=around_centres
    )
