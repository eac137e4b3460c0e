"""Object sizes made from photographs: reduced onto a background, or cut out and enlarged.

shrunk(images, side=16, generator=...) -> images of the same size with small objects
cropped(images, area=(0.25, 0.39), size=32, generator=...) -> images with large objects
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.arguments import check_range
from mixwright.lab.data.chunks import images_in
from mixwright.lab.data.resize import resized
from mixwright.lab.theory.scenarios.sprites import coloured_noise

_MOST, _MEBIBYTES = 1024, 64  # images at a time, and of their pixels in floating point


def shrunk(images: Tensor, *, side: int, generator: Generator) -> Tensor:
    """Reduce square images ``(M, C, S, S)`` uint8 to ``side`` pixels, onto coloured noise of S.

    Each is pasted at a random place. The background is low-frequency noise around a random colour,
    drawn anew for each image, so that it says nothing about the class. A side of S gives the images
    back.
    """
    size = _side_of(images, "shrunk")
    if not 1 <= side <= size:
        raise ValueError(f"shrunk: side is {side}; expected 1 to {size}, the side of the images.")
    count, channels = images.shape[:2]
    corner = sampling.integers(
        0, size - side + 1, (count, 2), device=images.device, generator=generator
    )
    small = resized(images, side)
    parts: list[Tensor] = []
    chunk = min(_MOST, images_in(_MEBIBYTES, images.shape[1:], each=4))
    for rows in torch.arange(count).split(chunk):
        shape = (len(rows), channels, size, size)
        field = coloured_noise(shape, device=images.device, generator=generator)
        shape = (len(rows), channels, 1, 1)
        colour = sampling.uniform(
            shape, low=0.2, high=0.8, device=images.device, generator=generator
        )
        parts.append(((colour + 0.12 * field).clamp(0, 1) * 255).round().byte())
    ground = torch.cat(parts)
    inside = [_within(corner[:, axis], side, size) for axis in range(2)]
    ground[(inside[0][:, :, None] & inside[1][:, None, :])[:, None].expand_as(ground)] = (
        small.flatten()
    )
    return ground


def cropped(
    images: Tensor,
    *,
    area: tuple[float, float],
    size: int,
    generator: Generator | None = None,
) -> Tensor:
    """Cut a square out of each of ``(M, C, S, S)`` uint8 images and bring it to ``size`` pixels.

    The share of the image that is cut out is drawn evenly from ``area``, two shares in (0, 1], and
    the square's side rounded to whole pixels. Without a generator, as for testing, the middle of
    the image and of the range is taken.
    """
    whole = _side_of(images, "cropped")
    check_range("cropped", "area", area, high=1.0, open_low=True)
    low, high = area
    count = len(images)
    if generator is None:
        share = torch.full((count,), (low + high) / 2)
        position = torch.full((count, 2), 0.5)
    else:
        cpu = torch.device("cpu")
        share = sampling.uniform((count,), low=low, high=high, device=cpu, generator=generator)
        position = sampling.uniform((count, 2), device=cpu, generator=generator)
    side = (share.sqrt() * whole).round().clamp(1, whole).long()
    corner = ((whole - side + 1)[:, None] * position).long().clamp_max(whole - 1)
    result = images.new_empty(count, images.shape[1], size, size)
    # Cuts of one side are one tensor: they are gathered and resized together, side by side.
    channels = torch.arange(images.shape[1])[None, :, None, None]
    for length in side.unique().tolist():
        chosen = (side == length).nonzero()[:, 0]
        first = corner[chosen].clamp_max(whole - length)
        rows = (first[:, :1] + torch.arange(length))[:, None, :, None]
        columns = (first[:, 1:] + torch.arange(length))[:, None, None, :]
        result[chosen] = resized(images[chosen[:, None, None, None], channels, rows, columns], size)
    return result


def _within(first: Tensor, side: int, size: int) -> Tensor:
    pixel = torch.arange(size)
    return (pixel >= first[:, None]) & (pixel < first[:, None] + side)


def _side_of(images: Tensor, name: str) -> int:
    square = images.ndim == 4 and images.shape[2] == images.shape[3]
    if not square or images.dtype != torch.uint8:
        raise ValueError(
            f"{name}: images have shape {tuple(images.shape)} and dtype {images.dtype}; expected "
            "square (M, C, S, S) of torch.uint8."
        )
    return images.shape[-1]
