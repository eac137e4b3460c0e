"""Corrupted images, the same bytes for any number of workers: each block has its own stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from mixwright.arguments import check_arguments, check_choice, check_whole
from mixwright.lab.data.chunks import images_in
from mixwright.lab.evaluation.corruption import blur, colour, digital, frost, noise, weather
from mixwright.lab.evaluation.corruption.constants import (
    CONSTANTS,
    FAMILIES,
    FROST_SCALE,
    SEVERITIES,
    TYPES,
    ConstantsName,
    constants_for,
)
from mixwright.lab.evaluation.corruption.pixels import Bytes, Row

BLOCK = 1000
"""Images that share a stream of random numbers; part of the protocol."""

_MEBIBYTES = 1  # of pixels at a time, so that what is worked on stays near the processor

Operation = Callable[[Bytes, Row, np.random.Generator], Bytes]

_OPERATIONS: dict[str, Operation] = {
    **{name: partial(noise.noisy, name) for name in (*FAMILIES["noise"], "speckle_noise")},
    "gaussian_blur": blur.gaussian_blur,
    "defocus_blur": blur.defocus_blur,
    "zoom_blur": blur.zoom_blur,
    "glass_blur": blur.glass_blur,
    "motion_blur": blur.motion_blur,
    "snow": weather.snow,
    "fog": weather.fog,
    "brightness": colour.brightness,
    "contrast": colour.contrast,
    "saturate": colour.saturate,
    "elastic_transform": digital.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
    "spatter": weather.spatter,
}


@check_arguments
def corrupt(
    images: Tensor,
    name: str,
    severity: int,
    *,
    seed: int,
    frost: Path | str | None = None,
    constants: ConstantsName | None = None,
) -> Tensor:
    """Corrupt images as those of CIFAR-10-C, Tiny-ImageNet-C and ImageNet-C were.

    Args:
        images: ``(n, 3, H, W)`` uint8, sides of at least 8 pixels; grey images have three equal
            channels.
        name: one of ``TYPES``.
        severity: 1 to 5. More is not always further from the image.
        seed: of all draws, at least 0. Every 1,000 images have a stream of their own, made from
            seed, type, severity and number of the block.
        frost: folder of the pictures of ice (see ``load_textures``); None for noise in their
            place. Read for ``frost`` only.
        constants: whose strengths to use; None for those of the nearest size (see
            ``constants_for``).

    Returns:
        ``(n, 3, H, W)`` uint8 on the CPU. ``zoom_blur`` at severity 1 leaves images of 8
        pixels as they are: its largest zoom, to 8.48 pixels, rounds to none.

    Raises:
        ValueError: images of another shape or dtype, a name or a severity that does not exist,
            or pictures of ice that are missing.

    Example:
        >>> grey = torch.full((2, 3, 32, 32), 128, dtype=torch.uint8)
        >>> corrupt(grey, "brightness", 1, seed=0)[0, 0, 0, :3].tolist()
        [140, 140, 140]

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261, and their scripts at
    github.com/hendrycks/robustness.

    Departs: the official files were drawn without a seed and cannot be made again; these have
    their distributions, and where nothing is drawn agree to one level of 255. ImageNet-C is
    stored as JPEG besides, and this is not.
    """
    check_whole("corrupt", "seed", seed, low=0)
    _check(images, name, severity)
    parts: list[Tensor] = []
    for block, part in enumerate(images.cpu().split(BLOCK)):
        next_part = block_corruption(
            part.shape[1:], name, severity, seed=seed, block=block, frost=frost, constants=constants
        )
        parts.append(torch.from_numpy(next_part(part.numpy())))
    return torch.cat(parts)


def block_corruption(
    shape: Sequence[int],
    name: str,
    severity: int,
    *,
    seed: int,
    block: int,
    frost: Path | str | None = None,
    constants: ConstantsName | None = None,
) -> Callable[[Bytes], Bytes]:
    """Return what corrupts the ``block``-th ``BLOCK`` images, from 0, part by part, in order.

    ``shape`` is ``(3, H, W)``; for the rest see ``corrupt``. Every part but the last has a multiple
    of ``at_once`` images, or other numbers would be drawn.
    """
    height, width = shape[-2:]
    which = constants or constants_for(height, width)
    row = CONSTANTS[which][name][severity - 1]
    if name == "frost":
        operation = _frost(None if frost is None else Path(frost), which, height, width)
    else:
        operation = _OPERATIONS[name]
    words = [seed, crc32(name.encode()), severity, block]
    rng = np.random.default_rng(np.random.SeedSequence(words))
    chunk = at_once(shape)

    def next_part(images: Bytes) -> Bytes:
        _check(images, name, severity)
        out = np.empty_like(images)
        for first in range(0, len(images), chunk):
            out[first : first + chunk] = operation(images[first : first + chunk], row, rng)
        return out

    return next_part


def at_once(shape: Sequence[int]) -> int:
    """Images of a shape for which numbers are drawn together; part of the protocol."""
    return images_in(_MEBIBYTES, shape)


@lru_cache(maxsize=2)
def _frost(folder: Path | None, which: ConstantsName, height: int, width: int) -> Operation:
    scale = FROST_SCALE[which]
    if folder is None:
        textures = frost.noise_textures(scale=scale, height=height, width=width)
    else:
        textures = frost.load_textures(folder, scale=scale, height=height, width=width)
    return partial(frost.frost, textures=textures)


def _check(images: Tensor | Bytes, name: str, severity: int) -> None:
    check_choice("corrupt", "name", name, TYPES)
    check_choice("corrupt", "severity", severity, SEVERITIES)
    # Those in [0, 1] would be black: corruptions are made on bytes, as in the official files.
    if images.ndim != 4 or not str(images.dtype).endswith("uint8") or images.shape[1] != 3:
        raise ValueError(
            f"corrupt: images have shape {tuple(images.shape)} and dtype {images.dtype}; expected "
            "(n, 3, H, W) of torch.uint8, values 0 to 255. Images in [0, 1] become that by "
            "(images * 255).round().to(torch.uint8), grey ones of three channels by "
            "images.expand(-1, 3, -1, -1)."
        )
    if min(images.shape[2:]) < 8:
        raise ValueError(
            f"corrupt: images have {images.shape[2]} x {images.shape[3]} pixels; expected sides "
            "of at least 8, which is as far as the filters reach."
        )
