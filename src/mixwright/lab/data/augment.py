"""Random crops and mirror images, a batch at a time, on the images' device."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

Augmentation = Callable[..., Tensor]
"""``Augment``, ``ResizedCrop``, or whatever is called as they are."""

_TRIES = 10  # rectangles drawn for each image, as torchvision does


@dataclass(frozen=True)
class Augment:
    """Shift and mirror each image of a batch by its own draw.

    As ``RandomCrop(size, padding)`` and ``RandomHorizontalFlip()`` of torchvision, in this order,
    with zeros (black) beyond the edge. All draws come from the generator on the CPU; one small
    copy takes them to the images' device, and nothing waits for it.

    Args:
        crop_padding: largest shift in pixels, up, down, left and right; 0 leaves images in place.
        flip: whether half of the images, drawn at random, are mirrored left to right.

    Raises:
        ValueError: ``crop_padding`` is negative.

    Example:
        >>> images = torch.arange(3, dtype=torch.uint8).expand(4, 1, 2, 3)
        >>> rng = torch.Generator().manual_seed(0)
        >>> Augment(crop_padding=0)(images, generator=rng)[:, 0, 0].tolist()
        [[2, 1, 0], [2, 1, 0], [2, 1, 0], [0, 1, 2]]
    """

    crop_padding: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
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
        pad = self.crop_padding
        drawn = torch.stack(
            [
                torch.randint(2 * pad + 1, (count,), generator=generator),
                torch.randint(2 * pad + 1, (count,), generator=generator),
                torch.randint(2, (count,), generator=generator),
            ]
        )
        down, right, mirror = drawn.to(images.device, non_blocking=True)[:, :, None]
        if not pad and not self.flip:
            return images.clone()

        # One gather does both: where each output pixel lies in the padded image.
        rows = torch.arange(height, device=images.device) + down
        columns = torch.arange(width, device=images.device).expand(count, width)
        if self.flip:
            columns = torch.where(mirror == 1, columns.flip(1), columns)
        columns = columns + right
        wide = width + 2 * pad
        source = (rows[:, :, None] * wide + columns[:, None, :]).view(count, 1, height * width)

        padded = images.new_zeros(count, channels, height + 2 * pad, wide)
        padded[:, :, pad : pad + height, pad : pad + width] = images
        found = padded.flatten(2).gather(2, source.expand(count, channels, height * width))
        return found.view(count, channels, height, width)


@dataclass(frozen=True)
class ResizedCrop:
    """Enlarge a random rectangle of each image to the whole, and mirror it by its own draw.

    As ``RandomResizedCrop(size, (scale, 1))`` and ``RandomHorizontalFlip()`` of torchvision, for
    images that come in the size that is wanted: ten rectangles are drawn for each image, with
    areas even in [scale, 1] of the image's and sides' ratios log-even in [3/4, 4/3]; the first
    that fits is taken, at an even place, and resized (bilinear). Where none fits, the whole image
    is. All draws come from the generator on the CPU, and nothing waits for the copy.

    Args:
        scale: smallest area of a rectangle, as a share of the image, in (0, 1].
        flip: whether half of the images, drawn at random, are mirrored left to right.

    Raises:
        ValueError: ``scale`` is out of range.

    Example:
        >>> images = torch.arange(4, dtype=torch.uint8).expand(2, 1, 4, 4)
        >>> rng = torch.Generator().manual_seed(0)
        >>> ResizedCrop(scale=0.5, flip=False)(images, generator=rng).shape
        torch.Size([2, 1, 4, 4])

    Departs from torchvision where no rectangle fits: it takes the largest in the nearest ratio,
    which for square images is the same.
    """

    scale: float = 0.5
    flip: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise ValueError(
                f"ResizedCrop: scale is {self.scale}; expected a share of the image's area in "
                "(0, 1]."
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
        share = self.scale + (1 - self.scale) * torch.rand(count, _TRIES, generator=generator)
        spread = 2 * torch.rand(count, _TRIES, generator=generator) - 1
        ratio = torch.exp(spread * math.log(4 / 3))  # width to height
        area = share * (height * width)
        wide, high = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        # All tries are drawn at once, and the first that fits is taken: no loop waits for a draw.
        fits = (wide >= 1) & (wide <= width) & (high >= 1) & (high <= height)
        first = fits.int().argmax(dim=1, keepdim=True)
        some = fits.any(dim=1)
        wide = torch.where(some, wide.gather(1, first)[:, 0], width)
        high = torch.where(some, high.gather(1, first)[:, 0], height)
        corner = torch.rand(2, count, generator=generator)
        top = (corner[0] * (height - high + 1)).floor()
        left = (corner[1] * (width - wide + 1)).floor()
        return torch.stack([top, left, high, wide], dim=1).long()


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
