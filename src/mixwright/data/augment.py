"""Random crop and mirror image, a batch at a time, on the images' device."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


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
        """A shifted and mirrored copy of the images.

        Args:
            images: ``(B, C, H, W)`` of any dtype; not written to.
            generator: source of all randomness, on the CPU. What it draws depends on B only, not
                on which parts are switched on.

        Returns:
            ``(B, C, H, W)`` with the images' dtype and device.
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
