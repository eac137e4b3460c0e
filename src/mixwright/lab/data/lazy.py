"""Images that stay encoded until their batch is wanted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mixwright.lab.data.augment import OriginalCrop
from mixwright.lab.data.decode import (
    PLAIN,
    Encoded,
    Framing,
    UnreadableImageError,
    decode_crops,
    decode_image,
)
from mixwright.lab.data.errors import DataError


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Images as they were stored, files or their content, with names for messages and labels."""

    encoded: Sequence[Encoded]
    names: Sequence[str]
    labels: Tensor
    framing: Framing = PLAIN

    def __len__(self) -> int:
        """Number of images."""
        return len(self.encoded)

    def select(self, rows: Tensor) -> EncodedImages:
        """Return chosen images, in the order asked for."""
        wanted: list[int] = rows.tolist()
        return EncodedImages(
            [self.encoded[row] for row in wanted],
            [self.names[row] for row in wanted],
            self.labels[rows],
            self.framing,
        )


class LazyImages:
    """An ``ImageSet`` too large for memory: decoded batch by batch, by worker processes.

    It is used as an ``ImageSet`` is, except for ``images``. Decoding draws no random number, so
    an epoch depends on the generators given to ``Batches.epoch`` only, whatever the workers do.

    Args:
        stored: the images, encoded.
        image_size: height and width of the decoded images, in pixels; see ``decode_image``.
        workers: processes that decode; 0 decodes in this one. By default one per core, up to 4.
    """

    def __init__(
        self, stored: EncodedImages, *, image_size: int, workers: int | None = None
    ) -> None:
        self.stored = stored
        self.image_size = image_size
        self.workers = min(4, usable_cores()) if workers is None else workers

    def __len__(self) -> int:
        """Number of images."""
        return len(self.stored)

    @property
    def labels(self) -> Tensor:
        """``(M,)`` int64, on the CPU."""
        return self.stored.labels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        return 3, self.image_size, self.image_size

    @property
    def images(self) -> Tensor:
        """Refuse: all images at once do not fit."""
        raise DataError(
            f"these {len(self):,} images are decoded when they are wanted and never held "
            "together; use take(rows) for some of them, or stream(parts)."
        )

    def to(self, device: torch.device | str) -> LazyImages:
        """Return itself: ``Batches`` moves each batch."""
        del device
        return self

    def take(self, rows: Tensor) -> Tensor:
        """Return chosen images, ``(b, 3, H, W)`` uint8, decoded in this process."""
        return _checked(_Decoder(self.stored, self.image_size)[rows])

    def subset(self, rows: Tensor) -> LazyImages:
        """Return chosen images as a set of their own, in the order asked for."""
        return LazyImages(
            self.stored.select(rows), image_size=self.image_size, workers=self.workers
        )

    def relabelled(self, numbers: Tensor) -> LazyImages:
        """Return the same images, those of class k with the label ``numbers[k]``."""
        stored = replace(self.stored, labels=numbers[self.stored.labels])
        return LazyImages(stored, image_size=self.image_size, workers=self.workers)

    def stream(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the images of each part, ``(b, 3, H, W)`` uint8, decoded ahead by the workers."""
        return self._read(_Decoder(self.stored, self.image_size), parts)

    def stream_crops(
        self, parts: Sequence[Tensor], crop: OriginalCrop, seeds: Tensor, *, views: int
    ) -> Iterator[Tensor]:
        """Yield a random part of each image, ``(views b, 3, H, W)`` uint8, the first views first.

        A batch is drawn from its own one of ``seeds``, ``(len(parts),)`` int64, so that it does not
        depend on which worker reads it, nor on how far ahead.
        """
        decoder = _CropDecoder(self.stored, self.image_size, crop, views)
        return self._read(decoder, list(zip(parts, seeds.tolist(), strict=True)))

    def _read(
        self, decoder: Dataset[tuple[Tensor, str]], parts: Sequence[object]
    ) -> Iterator[Tensor]:
        loader = DataLoader(
            decoder,
            sampler=cast("Sampler[int]", parts),
            batch_size=None,
            num_workers=self.workers,
            # The loader takes one draw to seed its workers: not from the global generator, or
            # the numbers that follow would depend on how the images are read.
            generator=Generator().manual_seed(0),
        )
        return map(_checked, loader)


class _Decoder(Dataset[tuple[Tensor, str]]):
    """Decodes a batch of rows; returns what went wrong as text.

    An exception that crosses from a worker would arrive wrapped in the worker's traceback.
    """

    def __init__(self, stored: EncodedImages, image_size: int) -> None:
        self.stored = stored
        self.image_size = image_size

    def __getitem__(self, index: Tensor) -> tuple[Tensor, str]:
        size = self.image_size
        images = torch.empty(len(index), 3, size, size, dtype=torch.uint8)
        pixels = images.numpy()
        stored = self.stored
        for position, row in enumerate(index.tolist()):
            try:
                found = decode_image(stored.encoded[row], size, stored.framing)
            except UnreadableImageError as error:
                return images, f"{stored.names[row]} ({error})"
            pixels[position] = found.transpose(2, 0, 1)
        return images, ""


class _CropDecoder(Dataset[tuple[Tensor, str]]):
    """Decodes random parts of a batch of rows, drawn from a seed; see ``_Decoder``."""

    def __init__(
        self, stored: EncodedImages, image_size: int, crop: OriginalCrop, views: int
    ) -> None:
        self.stored = stored
        self.image_size = image_size
        self.crop = crop
        self.views = views

    def __getitem__(self, index: tuple[Tensor, int]) -> tuple[Tensor, str]:
        rows, seed = index
        stored, size, count = self.stored, self.image_size, len(rows)
        drawn, mirror = self.crop.draw(self.views * count, generator=Generator().manual_seed(seed))
        images = torch.empty(self.views * count, 3, size, size, dtype=torch.uint8)
        for position, row in enumerate(rows.tolist()):
            places = range(position, self.views * count, count)  # decoded once for all views
            try:
                found = decode_crops(
                    stored.encoded[row],
                    size,
                    lambda height, width, places=places: [
                        drawn[place].boxes(height, width)[0].tolist() for place in places
                    ],
                    stored.framing,
                )
            except UnreadableImageError as error:
                return images, f"{stored.names[row]} ({error})"
            for place, pixels in zip(places, found, strict=True):
                images[place] = torch.from_numpy(pixels.copy()).movedim(2, 0)
        if self.crop.flip:
            images[mirror] = images[mirror].flip(3)
        return images, ""


def _checked(decoded: tuple[Tensor, str]) -> Tensor:
    images, unreadable = decoded
    if unreadable:
        raise DataError(
            f"an image cannot be read: {unreadable}. Fix or remove it, or load the data with "
            "skip_unreadable (--skip-unreadable), which looks at every image first."
        )
    return images
