"""Mean and spread of each colour channel."""

from __future__ import annotations

import torch

from mixwright.lab.data.chunks import images_in
from mixwright.lab.data.lazy import LazyImages
from mixwright.lab.data.sets import ImageSet

MOST_LAZY_IMAGES = 10_000
"""Images that are read for the statistics of a set that is not in memory."""


def channel_statistics(
    images: ImageSet | LazyImages, *, mebibytes: float = 4
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and (population) deviation of each channel, of pixels scaled to [0, 1].

    Of a set that is not in memory, at most ``MOST_LAZY_IMAGES`` evenly spaced images are read. A
    channel that never changes has deviation 1, so that dividing by it does no harm. Images are read
    ``mebibytes`` at a time, at least one; the arithmetic takes 17 times as much.
    """
    count = len(images)
    rows = torch.arange(count)
    if isinstance(images, LazyImages) and count > MOST_LAZY_IMAGES:
        rows = torch.arange(MOST_LAZY_IMAGES) * count // MOST_LAZY_IMAGES
    channels, height, width = images.shape
    total = torch.zeros(channels, dtype=torch.float64)
    square = torch.zeros(channels, dtype=torch.float64)
    chunk = images_in(mebibytes, images.shape)
    # Whole numbers below 2**53 are exact in float64: neither the order nor the chunks matter.
    for part in images.stream(rows.split(chunk)):
        values = part.transpose(0, 1).flatten(1).double()
        total += values.sum(dim=1)
        square += values.square().sum(dim=1)
    pixels = len(rows) * height * width
    mean = total / pixels
    variance = (square / pixels - mean.square()).clamp_min(0)
    std = torch.where(variance > 0, variance.sqrt() / 255, 1.0)
    return tuple((mean / 255).tolist()), tuple(std.tolist())
