"""Whole batches brought to another size."""

import os

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mixwright.lab.data.chunks import images_in
from mixwright.lab.data.errors import DataError

_MEBIBYTES = 64  # of floating point at a time


def resized(images: Tensor, size: int) -> Tensor:
    """Return square images at another size, as uint8; the input itself where nothing changes.

    Bilinear, with the averaging that a smaller size needs; values, in [0, 255], are rounded to the
    nearest.
    """
    if images.shape[-2:] == (size, size) and images.dtype == torch.uint8:
        return images
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    count, channels = images.shape[:2]
    needed = count * channels * size * size
    if needed > memory:
        raise DataError(
            f"image_size is {size}; {count:,} images of that side take {needed / 2**30:,.0f} GiB, "
            f"expected at most the {memory / 2**30:,.0f} GiB of this machine. Take a smaller one."
        )
    shape = (images.shape[1], size, size)
    found = torch.empty(len(images), *shape, dtype=torch.uint8, device=images.device)
    chunk = min(images_in(_MEBIBYTES, one, each=4) for one in (images.shape[1:], shape))
    for part, out in zip(images.split(chunk), found.split(chunk), strict=True):
        small = interpolate(
            part.float(), size=(size, size), mode="bilinear", align_corners=False, antialias=True
        )
        out.copy_(small.round_().clamp_(0, 255))
    return found
