"""Batches of an epoch, ready for the model, shared out over ranks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from mixwright.lab.data.lazy import LazyImages

if TYPE_CHECKING:
    from mixwright.lab.data.augment import Augmentation, OriginalCrop
    from mixwright.lab.data.decode import Decoding
    from mixwright.lab.data.sets import ImageSet


class Batches:
    """The batches of one rank, epoch after epoch.

    Images are kept as uint8 on the device and turned to float32 in [0, 1] batch by batch; their
    normalisation is the model's first layer. No batch is dropped; a last batch of a single image
    joins the one before it, since batch norm and pairing need two.

    Shuffled batches (training) give every rank the same number of images and hence of steps:
    when the ranks do not divide the images, the first few of the epoch's order are seen twice, at
    most ``world - 1`` of them. Unshuffled batches (testing) give each image to exactly one rank;
    rank r has one consecutive part, so that the ranks' results, joined by rank, are in the order
    of the set.

    Args:
        images: the images and labels; moved to ``device`` once, here, where they are in memory.
        batch_size: images per step of this rank, at least 1.
        device: where the batches are wanted.
        augment: applied to each batch of uint8 images; None leaves them alone.
        crop: what is cut out before, from the images as they were stored where ``images`` has them
            (``stored``), else from their pixels; None to take all.
        rank: which share of the images, in [0, world).
        world: number of ranks.
        shuffle: whether each epoch has an order of its own.
        views: how often each image of a batch is augmented, by draws of its own, at least 1.
        decoding: how images that are decoded in every pass become squares: ``exact`` as Pillow has
            it, or ``fast``, which differs in the last bits; see ``decode_fast``.

    ``decoded`` is the images as they were stored, where every pass decodes them, else None.

    Raises:
        ValueError: there are no images, or a number is out of its range.

    Example:
        >>> from mixwright.lab.data.sets import ImageSet
        >>> five = ImageSet(torch.zeros(5, 3, 2, 2, dtype=torch.uint8), torch.arange(5))
        >>> test = Batches(five, batch_size=2, device="cpu", augment=None, shuffle=False)
        >>> [labels.tolist() for images, labels in test]
        [[0, 1], [2, 3, 4]]
    """

    def __init__(
        self,
        images: ImageSet | LazyImages,
        *,
        batch_size: int,
        device: torch.device | str,
        augment: Augmentation | None,
        rank: int = 0,
        world: int = 1,
        shuffle: bool,
        views: int = 1,
        crop: OriginalCrop | None = None,
        decoding: Decoding = "exact",
    ) -> None:
        if not len(images):
            raise ValueError("Batches: the set holds no images; expected at least one.")
        if batch_size < 1:
            raise ValueError(f"Batches: batch_size is {batch_size}; expected at least 1.")
        if views < 1:
            raise ValueError(f"Batches: views is {views}; expected at least 1.")
        if not 0 <= rank < world:
            raise ValueError(f"Batches: rank {rank} of world {world}; expected 0 <= rank < world.")
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.augment = augment
        self.rank = rank
        self.world = world
        self.shuffle = shuffle
        self.views = views
        self.crop = crop
        self.decoding: Decoding = decoding
        self._set = images.to(self.device)
        self.decoded = self._stored()

    def __len__(self) -> int:
        """Steps per epoch of this rank."""
        return len(_sizes(self.num_images, self.batch_size))

    @property
    def num_images(self) -> int:
        """Images per epoch of this rank."""
        total = len(self._set)
        if self.shuffle:
            return -(-total // self.world)
        return total * (self.rank + 1) // self.world - total * self.rank // self.world

    def _stored(self) -> LazyImages | None:
        """Return the images as they were stored, where every pass decodes them."""
        images = self._set
        if isinstance(images, LazyImages):
            return images
        if self.crop is None or images.stored is None:
            return None
        return LazyImages(images.stored, image_size=images.shape[1]).to(self.device)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of a pass that needs no randomness (testing)."""
        return self.epoch()

    def epoch(
        self, order: Generator | None = None, augment: Generator | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images ``(b, C, H, W)`` float32 in [0, 1] and labels ``(b,)`` of each step.

        With V views there are ``V b`` images, the first views of all, then the second ones; the
        labels are still ``(b,)``.

        ``order``, needed with ``shuffle``, decides the order by one draw, in the same state on
        every rank; ``augment``, else ``order``, what is done to the images by one draw a batch.
        Both are on the CPU.
        """
        augment = order if augment is None else augment
        if self.shuffle and order is None:
            raise ValueError("Batches: shuffled batches need epoch(order=...), a CPU generator.")
        if (self.augment or self.crop) is not None and augment is None:
            raise ValueError("Batches: augmented batches need epoch(augment=...), a CPU generator.")
        return self._passes(self._share(order), augment)

    def _share(self, order: Generator | None) -> Tensor:
        """Return the row numbers of this rank, in the order of the epoch."""
        total = len(self._set)
        if order is None or not self.shuffle:
            first = total * self.rank // self.world
            return torch.arange(first, first + self.num_images)
        rows = torch.randperm(total, generator=order)
        wanted = torch.arange(self.num_images) * self.world + self.rank
        return rows[wanted % total]

    def _passes(self, rows: Tensor, augment: Generator | None) -> Iterator[tuple[Tensor, Tensor]]:
        sizes = _sizes(len(rows), self.batch_size)
        parts = rows.to(self._set.labels.device).split(sizes)
        changes = [change for change in (self.crop, self.augment) if change is not None]
        stored, views = self.decoded, self.views
        if stored is None:
            stream = self._set.stream(parts)
        elif self.crop is not None and augment is not None:
            seeds = torch.randint(2**62, (len(parts),), generator=augment)
            stream = stored.stream_crops(
                rows.split(sizes), self.crop, seeds, views=views, decoding=self.decoding
            )
            views, changes = 1, changes[1:]
        else:
            stream = stored.stream(parts, decoding=self.decoding)
        for part, images in zip(parts, stream, strict=True):
            images = images.to(self.device, non_blocking=True)
            labels = self._set.labels[part].to(self.device, non_blocking=True)
            if views > 1:
                images = images.repeat(views, 1, 1, 1)  # read and moved once
            if augment is not None:
                for change in changes:
                    images = change(images, generator=augment)
            yield images.float().div_(255), labels


def _sizes(count: int, batch_size: int) -> list[int]:
    """Return the sizes of the batches; a last single image joins the batch before it."""
    sizes = [batch_size] * (count // batch_size)
    left = count % batch_size
    if left == 1 and sizes:
        sizes[-1] += 1
    elif left:
        sizes.append(left)
    return sizes
