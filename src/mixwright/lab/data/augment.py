"""Random crops and mirror images, a batch at a time, on the images' device."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

from mixwright.arguments import check_choice

Augmentation = Callable[..., Tensor]
"""``Augment``, ``ResizedCrop``, or whatever is called as they are."""

Padding = Literal["zeros", "reflect"]
"""What lies beyond the edge of an image: black, or the image mirrored at its outermost pixels."""

Scale = float | tuple[float, float]
"""Smallest area of a rectangle as a share of the image's, or the smallest and the largest."""


@dataclass(frozen=True)
class InTurn:
    """Several augmentations, one after the other."""

    parts: tuple[Augmentation, ...]

    def __call__(self, images: Tensor, *, generator: Generator) -> Tensor:
        """Return a changed copy of ``(B, C, H, W)`` images."""
        for part in self.parts:
            images = part(images, generator=generator)
        return images


_TRIES = 10  # rectangles drawn for each image, as torchvision does
_RATIO = 4 / 3  # the longest that a side is of the other


@dataclass(frozen=True)
class Augment:
    """Shift and mirror each image of a batch by its own draw.

    As ``RandomCrop(size, padding)`` and ``RandomHorizontalFlip()`` of torchvision, in this order.
    All draws come from the generator on the CPU; one small
    copy takes them to the images' device, and nothing waits for it.

    Args:
        crop_padding: largest shift in pixels, up, down, left and right; 0 leaves images in place.
        flip: whether half of the images, drawn at random, are mirrored left to right.
        padding: what comes in from beyond the edge: ``zeros`` (black), or ``reflect``, the image
            mirrored at its outermost pixels, as OpenMixup's recipes for CIFAR have it.

    Raises:
        ValueError: ``crop_padding`` is negative, ``padding`` is another word, or (when called) the
            images are too small to be mirrored so far.

    Example:
        >>> images = torch.arange(3, dtype=torch.uint8).expand(4, 1, 2, 3)
        >>> rng = torch.Generator().manual_seed(0)
        >>> Augment(crop_padding=0)(images, generator=rng)[:, 0, 0].tolist()
        [[2, 1, 0], [2, 1, 0], [2, 1, 0], [0, 1, 2]]
    """

    crop_padding: int = 4
    flip: bool = True
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        check_choice("Augment", "padding", self.padding, ("zeros", "reflect"))
        if self.crop_padding < 0:
            raise ValueError(
                f"Augment: crop_padding is {self.crop_padding}; expected a number of pixels, at "
                "least 0 (0 switches cropping off)."
            )

    def __call__(self, images: Tensor, *, generator: Generator) -> Tensor:
        """Return a shifted and mirrored copy of ``(B, C, H, W)`` images of any dtype.

        What the generator draws depends on B only, not on which parts are switched on.
        """
        count, channels, height, width = images.shape
        border = self.crop_padding
        drawn = torch.stack(
            [
                torch.randint(2 * border + 1, (count,), generator=generator),
                torch.randint(2 * border + 1, (count,), generator=generator),
                torch.randint(2, (count,), generator=generator),
            ]
        )
        down, right, mirror = drawn.to(images.device, non_blocking=True)[:, :, None]
        if not border and not self.flip:
            return images.clone()

        # One gather does both: where each output pixel lies in the padded image.
        rows = torch.arange(height, device=images.device) + down
        columns = torch.arange(width, device=images.device).expand(count, width)
        if self.flip:
            columns = torch.where(mirror == 1, columns.flip(1), columns)
        columns = columns + right
        wide = width + 2 * border
        source = (rows[:, :, None] * wide + columns[:, None, :]).view(count, 1, height * width)
        found = (
            self._padded(images)
            .flatten(2)
            .gather(2, source.expand(count, channels, height * width))
        )
        return found.view(count, channels, height, width)

    def _padded(self, images: Tensor) -> Tensor:
        """Return the images with a border on all four sides."""
        count, channels, height, width = images.shape
        border = self.crop_padding
        if self.padding == "zeros":
            padded = images.new_zeros(count, channels, height + 2 * border, width + 2 * border)
            padded[:, :, border : border + height, border : border + width] = images
            return padded
        if border >= min(height, width):
            raise ValueError(
                f"Augment: crop_padding is {border} for images of {height}x{width} pixels; "
                "expected less than their sides with padding by reflection. Take a smaller one, "
                "or zeros."
            )
        return pad(images, (border,) * 4, mode="reflect")


@dataclass(frozen=True)
class ResizedCrop:
    """Enlarge a random rectangle of each image to the whole, and mirror it by its own draw.

    As ``RandomResizedCrop(size, scale)`` and ``RandomHorizontalFlip()`` of torchvision, for
    images that come in the size that is wanted: ten rectangles are drawn for each image, with
    areas even in ``scale`` of the image's and sides' ratios log-even in [3/4, 4/3]; the first
    that fits is taken, at an even place, and resized (bilinear). Where none fits, it is the largest
    in the nearest ratio, from the centre. All draws come from the generator on the CPU, and nothing
    waits for the copy.

    Args:
        scale: smallest area of a rectangle, as a share of the image, in (0, 1], the largest being
            1; or both.
        flip: whether half of the images, drawn at random, are mirrored left to right.

    Raises:
        ValueError: ``scale`` is out of range.

    Example:
        >>> images = torch.arange(4, dtype=torch.uint8).expand(2, 1, 4, 4)
        >>> rng = torch.Generator().manual_seed(0)
        >>> ResizedCrop(scale=(0.2, 0.5), flip=False)(images, generator=rng).shape
        torch.Size([2, 1, 4, 4])
    """

    scale: Scale = 0.5
    flip: bool = True

    def __post_init__(self) -> None:
        low, high = ends(self.scale)
        if not 0 < low <= high <= 1:
            raise ValueError(
                f"{type(self).__name__}: scale is {self.scale}; expected a share of the image's "
                "area in (0, 1], or the smallest and the largest."
            )

    def __call__(self, images: Tensor, *, generator: Generator) -> Tensor:
        """Return a copy of ``(B, C, H, W)`` images of any dtype, each a part of itself enlarged.

        What the generator draws depends on B only; values of whole dtypes are rounded.
        """
        count, _, height, width = images.shape
        boxes = self.boxes(count, height=height, width=width, generator=generator)
        mirror = torch.randint(2, (count,), generator=generator)
        drawn = torch.cat([boxes, mirror[:, None]], dim=1)
        top, left, high, wide, mirror = drawn.to(images.device, non_blocking=True).T[:, :, None]
        rows = _neighbours(top, high, height)
        columns = _neighbours(left, wide, width)
        if self.flip:
            columns = tuple(torch.where(mirror == 1, part.flip(1), part) for part in columns)
        # Bilinear resizing is one interpolation after the other: first between rows, then columns.
        values = _between(images.float(), rows, dim=2)
        values = _between(values, columns, dim=3)
        return values if images.is_floating_point() else values.round_().to(images.dtype)

    def boxes(self, count: int, *, height: int, width: int, generator: Generator) -> Tensor:
        """Draw a rectangle for each image: ``(count, 4)`` of top, left, height and width."""
        return Rectangles.drawn(count, self.scale, generator=generator).boxes(height, width)


@dataclass(frozen=True)
class OriginalCrop(ResizedCrop):
    """Cut a random rectangle out of each image as it was stored, resize it, and mirror it.

    As ``RandomResizedCrop(size, scale)`` and ``RandomHorizontalFlip()`` of torchvision: what a
    square would leave out of an oblong photograph is seen too, and nothing is resized twice.
    ``Batches`` lets this happen where images are decoded; called with images, which is what
    becomes of those that come as arrays, it is a ``ResizedCrop``.

    Args:
        scale: see ``ResizedCrop``.
        flip: see ``ResizedCrop``.

    Raises:
        ValueError: ``scale`` is out of range.

    Example:
        >>> OriginalCrop(scale=0.08)
        OriginalCrop(scale=0.08, flip=True)

    Source: Szegedy et al. 2015, arXiv:1409.4842, section 6.
    """

    def draw(self, count: int, *, generator: Generator) -> tuple[Rectangles, Tensor]:
        """Draw rectangles, and ``(count,)`` bool, which images are mirrored."""
        drawn = Rectangles.drawn(count, self.scale, generator=generator)
        return drawn, torch.randint(2, (count,), generator=generator) == 1


def ends(scale: Scale) -> tuple[float, float]:
    """Return the smallest and the largest area that a scale means."""
    return scale if isinstance(scale, tuple) else (scale, 1.0)


@dataclass(frozen=True, eq=False)
class Rectangles:
    """What is drawn of rectangles before the sizes of their images are known.

    Args:
        share: ``(B, tries)``, areas as shares of the image's.
        ratio: ``(B, tries)``, width to height.
        corner: ``(2, B)`` in [0, 1), how far down and right of what is possible.
    """

    share: Tensor
    ratio: Tensor
    corner: Tensor

    @classmethod
    def drawn(cls, count: int, scale: Scale, *, generator: Generator) -> Self:
        """Draw for ``count`` images; how much depends on nothing else."""
        low, high = ends(scale)
        share = low + (high - low) * torch.rand(count, _TRIES, generator=generator)
        spread = 2 * torch.rand(count, _TRIES, generator=generator) - 1
        ratio = torch.exp(spread * math.log(_RATIO))
        return cls(share, ratio, torch.rand(2, count, generator=generator))

    def box(self, row: int, height: int, width: int) -> list[int]:
        """Return ``boxes`` of one image; the same arithmetic ten times as fast, without torch."""
        import numpy as np

        share, ratio = self.share[row].numpy(), self.ratio[row].numpy()
        down, right = self.corner[:, row].numpy()
        area = share * np.float32(height * width)
        wide, high = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
        fits = (wide >= 1) & (wide <= width) & (high >= 1) & (high <= height)
        if not fits.any():
            wide, high = _within_ratio(height, width)
            return [(height - high) // 2, (width - wide) // 2, high, wide]
        first = fits.argmax()
        high, wide = high[first], wide[first]
        top, left = down * (height - high + 1), right * (width - wide + 1)
        return [int(top), int(left), int(high), int(wide)]

    def boxes(self, height: int, width: int) -> Tensor:
        """Return ``(B, 4)`` of top, left, height and width, in images of one size."""
        area = self.share * (height * width)
        wide, high = (area * self.ratio).sqrt().round(), (area / self.ratio).sqrt().round()
        # All tries are drawn at once, and the first that fits is taken: no loop waits for a draw.
        fits = (wide >= 1) & (wide <= width) & (high >= 1) & (high <= height)
        first = fits.int().argmax(dim=1, keepdim=True)
        some = fits.any(dim=1)
        least_wide, least_high = _within_ratio(height, width)
        wide = torch.where(some, wide.gather(1, first)[:, 0], least_wide)
        high = torch.where(some, high.gather(1, first)[:, 0], least_high)
        top = torch.where(some, self.corner[0] * (height - high + 1), (height - high) / 2).floor()
        left = torch.where(some, self.corner[1] * (width - wide + 1), (width - wide) / 2).floor()
        return torch.stack([top, left, high, wide], dim=1).long()


def _within_ratio(height: int, width: int) -> tuple[int, int]:
    """Return width and height of the largest rectangle whose sides' ratio is allowed."""
    return min(width, max(1, round(height * _RATIO))), min(height, max(1, round(width * _RATIO)))


def _neighbours(start: Tensor, length: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the inputs before and after each of ``size`` outputs, and the share of the latter."""
    centres = torch.arange(size, device=start.device) + 0.5
    inside = (centres * length / size - 0.5).clamp_min(0)
    before = inside.floor().minimum(length - 1)
    after = (before + 1).minimum(length - 1)
    return (start + before).long(), (start + after).long(), (inside - before).clamp(0, 1)


def _between(values: Tensor, neighbours: tuple[Tensor, ...], *, dim: int) -> Tensor:
    """Return values between two rows, or two columns, of each image."""
    before, after, share = (
        part[:, None, :, None] if dim == 2 else part[:, None, None, :] for part in neighbours
    )
    shape = list(values.shape)
    shape[dim] = before.shape[dim]
    low = values.gather(dim, before.expand(shape))
    return low.lerp_(values.gather(dim, after.expand(shape)), share.expand(shape))
