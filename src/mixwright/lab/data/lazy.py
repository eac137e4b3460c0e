"""Images that stay encoded until their batch is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.utils.data import get_worker_info

from mixwright.lab.data.augment import OriginalCrop
from mixwright.lab.data.cores import usable_cores
from mixwright.lab.data.decode import (
    PLAIN,
    Decoding,
    Encoded,
    Framing,
    UnreadableImageError,
    decode_crops,
    decode_image,
)
from mixwright.lab.data.decode_fast import decode_crops_fast, decode_image_fast
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.workers import (
    Job,
    Workers,
    checked,
    data_workers,
    enrol,
    workers_for,
)


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
        select = getattr(self.encoded, "select", None)  # of what is no list
        return EncodedImages(
            select(wanted) if select else [self.encoded[row] for row in wanted],
            [self.names[row] for row in wanted],
            self.labels[rows],
            self.framing,
        )


class LazyImages:
    """An ``ImageSet`` too large for memory: decoded batch by batch, by worker processes.

    It is used as an ``ImageSet`` is, except for ``images``. Decoding draws no random number, so
    an epoch depends on the generators given to ``Batches.epoch`` only, whatever the workers do.
    All sets of a process share the workers, which stay from one stream to the next.

    Args:
        stored: the images, encoded.
        image_size: height and width of the decoded images, in pixels; see ``decode_image``.
        workers: processes that decode; 0 decodes in this one. By default one per core, up to 16,
            or as ``--data-workers`` says.
        pin: whether batches lie in page-locked memory, for the way to a GPU.
    """

    def __init__(
        self,
        stored: EncodedImages,
        *,
        image_size: int,
        workers: int | None = None,
        pin: bool = False,
    ) -> None:
        self.stored = stored
        self.image_size = image_size
        self.workers = data_workers(usable_cores()) if workers is None else workers
        self.pin = pin
        self._pool: Workers | None = None
        enrol(stored)

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
        """Return the same images for batches that ``Batches`` moves to another device."""
        pin = torch.device(device).type == "cuda"
        return self if pin == self.pin else self._of(self.stored, pin=pin)

    def take(self, rows: Tensor) -> Tensor:
        """Return chosen images, ``(b, 3, H, W)`` uint8, decoded in this process."""
        return checked(_Whole(rows.tolist(), self.image_size)(self.stored))

    def subset(self, rows: Tensor) -> LazyImages:
        """Return chosen images as a set of their own, in the order asked for."""
        return self._of(self.stored.select(rows))

    def relabelled(self, numbers: Tensor) -> LazyImages:
        """Return the same images, those of class k with the label ``numbers[k]``."""
        return self._of(replace(self.stored, labels=numbers[self.stored.labels]))

    def stream(self, parts: Sequence[Tensor], *, decoding: Decoding = "exact") -> Iterator[Tensor]:
        """Yield the images of each part, ``(b, 3, H, W)`` uint8, decoded ahead by the workers."""
        return self._read([_Whole(rows.tolist(), self.image_size, decoding) for rows in parts])

    def stream_crops(
        self,
        parts: Sequence[Tensor],
        crop: OriginalCrop,
        seeds: Tensor,
        *,
        views: int,
        decoding: Decoding = "exact",
    ) -> Iterator[Tensor]:
        """Yield a random part of each image, ``(views b, 3, H, W)`` uint8, the first views first.

        A batch is drawn from its own one of ``seeds``, ``(len(parts),)`` int64, so that it does not
        depend on which worker reads it, nor on how far ahead.
        """
        return self._read(
            [
                _Crops(rows.tolist(), self.image_size, decoding, crop, views, seed)
                for rows, seed in zip(parts, seeds.tolist(), strict=True)
            ]
        )

    def _of(self, stored: EncodedImages, *, pin: bool | None = None) -> LazyImages:
        pin = self.pin if pin is None else pin
        return LazyImages(stored, image_size=self.image_size, workers=self.workers, pin=pin)

    def _read(self, jobs: Sequence[Job]) -> Iterator[Tensor]:
        if not self.workers:
            return (checked(job(self.stored)) for job in jobs)
        self._pool = workers_for(self.stored, self.workers, pin=self.pin)
        return self._pool.read(self.stored, jobs)


@dataclass(frozen=True)
class _Whole:
    """Decodes the images of some rows."""

    rows: list[int]
    image_size: int
    decoding: Decoding = "exact"

    def __call__(self, stored: EncodedImages) -> tuple[Tensor, str]:
        size = self.image_size
        images = _empty(len(self.rows), size)
        pixels = images.numpy()
        for position, row in enumerate(self.rows):
            try:
                if self.decoding == "fast":
                    images[position] = decode_image_fast(stored.encoded[row], size, stored.framing)
                else:
                    found = decode_image(stored.encoded[row], size, stored.framing)
                    pixels[position] = found.transpose(2, 0, 1)
            except UnreadableImageError as error:
                return images, f"{stored.names[row]} ({error})"
        return images, ""


@dataclass(frozen=True)
class _Crops:
    """Decodes random parts of the images of some rows, drawn from a seed."""

    rows: list[int]
    image_size: int
    decoding: Decoding
    crop: OriginalCrop
    views: int
    seed: int

    def __call__(self, stored: EncodedImages) -> tuple[Tensor, str]:
        size, count = self.image_size, len(self.rows)
        every = self.views * count
        drawn, mirror = self.crop.draw(every, generator=Generator().manual_seed(self.seed))
        mirrored = mirror.tolist() if self.crop.flip else [False] * every
        images = _empty(every, size)
        decode = decode_crops_fast if self.decoding == "fast" else _decode_crops
        for position, row in enumerate(self.rows):
            places = range(position, every, count)  # decoded once for all views
            try:
                found = decode(
                    stored.encoded[row],
                    size,
                    lambda height, width, places=places: [
                        drawn.box(place, height, width) for place in places
                    ],
                    stored.framing,
                )
            except UnreadableImageError as error:
                return images, f"{stored.names[row]} ({error})"
            for place, pixels in zip(places, found, strict=True):
                images[place] = pixels.flip(2) if mirrored[place] else pixels
        return images, ""


def _empty(count: int, size: int) -> Tensor:
    """Return a batch to be filled; in a worker, in memory that its parent sees too.

    A batch made elsewhere would be copied there: a tenth of what a photograph costs.
    """
    shape = count, 3, size, size
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    shared = torch.UntypedStorage._new_shared(  # pyright: ignore[reportPrivateUsage]
        count * 3 * size * size
    )
    batch = torch.empty(0, dtype=torch.uint8)
    return batch.set_(shared, 0, shape)  # pyright: ignore[reportCallIssue]


def _decode_crops(
    encoded: Encoded,
    image_size: int,
    boxes: Callable[[int, int], list[list[int]]],
    framing: Framing,
) -> list[Tensor]:
    """``decode_crops`` as tensors."""
    found = decode_crops(encoded, image_size, boxes, framing)
    return [torch.from_numpy(pixels.copy()).movedim(2, 0) for pixels in found]
