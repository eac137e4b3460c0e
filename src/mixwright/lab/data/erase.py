"""Random erasing: a rectangle of an image is replaced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.arguments import check_choice, check_number

EraseMode = Literal["pixel", "rand", "const"]
"""What stands in the rectangle: noise in each pixel, one random colour, or the mean colour."""

_TRIES = 10  # rectangles drawn for each image, as timm does
_AREA = (0.02, 1 / 3)
_RATIO = 0.3  # the least of height to width, and the inverse of the most


@dataclass(frozen=True)
class RandomErasing:
    """Replace a rectangle of some images, each drawn for itself.

    As timm's ``RandomErasing`` (``--reprob``, ``--remode``): with chance ``p`` a rectangle is drawn
    whose area is even in [0.02, 1/3] of the image's and whose sides' ratio is log-even in
    [0.3, 1/0.3]; the first of ten that is smaller than the image on both sides is taken, at an even
    place. timm erases normalised images, with normal noise or zeros; ours are pixels still, so the
    noise has the mean and deviation of the data's channels and ``const`` is their mean.

    Args:
        p: chance of an image to be erased, in [0, 1].
        mean: of each channel, in [0, 1].
        std: likewise, its standard deviation.
        mode: ``pixel`` for noise in each pixel, ``rand`` for one random colour, ``const`` for the
            mean colour.

    Raises:
        ValueError: ``p`` is out of range, or ``mode`` another word.

    Example:
        >>> white = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
        >>> erase = RandomErasing(1.0, mean=(0.0,), std=(1.0,), mode="const")
        >>> int((erase(white, generator=torch.Generator().manual_seed(0)) == 0).sum())
        20

    Source: Zhong et al. 2017, arXiv:1708.04896, in the form of timm (timm/data/random_erasing.py).

    Departs from timm: noise that would be darker than black or brighter than white is cut off.
    """

    p: float
    mean: Sequence[float]
    std: Sequence[float]
    mode: EraseMode = "pixel"

    def __post_init__(self) -> None:
        check_number("RandomErasing", "p", self.p, high=1.0)
        check_choice("RandomErasing", "mode", self.mode, ("pixel", "rand", "const"))

    def __call__(self, images: Tensor, *, generator: Generator) -> Tensor:
        """Return a copy of ``(B, C, H, W)`` uint8 images, some of them erased in part."""
        found, (count, channels, height, width) = images.clone(), images.shape
        boxes = self.boxes(count, height=height, width=width, generator=generator)
        which = boxes[:, 2].nonzero()[:, 0]  # on the CPU: nothing waits
        where = which.to(images.device, non_blocking=True)
        chosen = boxes[which].to(images.device, non_blocking=True)
        top, left, high, wide = chosen.T[:, :, None]
        rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
        inside = ((rows >= top) & (rows < top + high))[:, None, :, None] & (
            (columns >= left) & (columns < left + wide)
        )[:, None, None, :]
        mean, std = (
            torch.tensor(tuple(values)).to(images.device, non_blocking=True).view(1, -1, 1, 1)
            for values in (self.mean, self.std)
        )
        value = mean
        if self.mode != "const":
            sides = (height, width) if self.mode == "pixel" else (1, 1)
            shape = (len(which), channels, *sides)
            noise = sampling.normal(shape, device=images.device, generator=generator)
            value = mean + std * noise
        fill = (value * 255).round_().clamp_(0, 255).to(images.dtype)
        return found.index_copy_(0, where, torch.where(inside, fill, images[where]))

    def boxes(self, count: int, *, height: int, width: int, generator: Generator) -> Tensor:
        """Draw a rectangle for each image: ``(count, 4)`` of top, left, height and width.

        Images that are left alone have a rectangle of no height and width.
        """
        chosen = torch.rand(count, generator=generator) < self.p
        least, most = _AREA
        share = least + (most - least) * torch.rand(count, _TRIES, generator=generator)
        spread = 2 * torch.rand(count, _TRIES, generator=generator) - 1
        ratio = torch.exp(spread * -math.log(_RATIO))  # height to width
        corner = torch.rand(2, count, generator=generator)
        area = share * (height * width)
        high, wide = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = (high < height) & (wide < width)
        first = fits.int().argmax(dim=1, keepdim=True)
        some = chosen & fits.any(dim=1)
        high = torch.where(some, high.gather(1, first)[:, 0], 0.0)
        wide = torch.where(some, wide.gather(1, first)[:, 0], 0.0)
        top = (corner[0] * (height - high + 1)).floor()
        left = (corner[1] * (width - wide + 1)).floor()
        return torch.stack([top, left, high, wide], dim=1).long()
