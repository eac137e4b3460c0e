"""What a set of images is, in a few letters."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from mixwright.lab.data.sets import ImageSet

if TYPE_CHECKING:
    from mixwright.lab.data.lazy import LazyImages

_SPREAD = 64  # images on disk by which a set is known again


def images_digest(images: ImageSet | LazyImages) -> str:
    """Name a set by what is in it: SHA-256 in hex digits.

    Args:
        images: of a set in memory all pixels count; of one on disk, which would take minutes to
            read, a spread of 64 images. All labels count in either case, and the images' size.

    Example:
        >>> one = ImageSet(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([0, 1]))
        >>> other = ImageSet(one.images, torch.tensor([1, 0]))
        >>> images_digest(one) == images_digest(other)
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
