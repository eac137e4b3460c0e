"""A set of images named by its content."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from mixwright.lab.data.sets import ImageSet

if TYPE_CHECKING:
    from mixwright.lab.data.lazy import LazyImages

_SPREAD = 64  # images on disk that stand for their set


def images_digest(images: ImageSet | LazyImages) -> str:
    """Return the SHA-256 of a set, in hex digits.

    All labels count, the images' size, and the pixels of a set in memory; of one on disk, which
    would take minutes to read, those of 64 images spread over it.

    Example:
        >>> images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
        >>> first, second = (ImageSet(images, torch.tensor(labels)) for labels in ([0, 1], [1, 0]))
        >>> images_digest(first) == images_digest(second)
        False
    """
    digest = hashlib.sha256(f"{tuple(images.shape)}".encode())
    digest.update(images.labels.cpu().numpy().tobytes())
    if isinstance(images, ImageSet):
        digest.update(images.images.cpu().contiguous().numpy().tobytes())
    else:
        rows = torch.linspace(0, len(images) - 1, min(_SPREAD, len(images))).long()
        digest.update(images.take(rows).numpy().tobytes())
    return digest.hexdigest()
