"""Images with their labels, and their split to train, to choose and to test on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mixwright.lab.data.lazy import EncodedImages, LazyImages


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in one tensor, each with its class.

    Args:
        images: ``(M, C, H, W)`` uint8.
        labels: ``(M,)`` int64, index into the classes of the ``Dataset``.
        stored: the same images as they were stored, where they had another size or were oblong;
            ``Batches`` cuts from them where ``OriginalCrop`` is asked for.

    Raises:
        ValueError: a shape or dtype is another, or the counts differ.
    """

    images: Tensor
    labels: Tensor
    stored: EncodedImages | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise ValueError(
                f"ImageSet: images have shape {tuple(self.images.shape)} and dtype "
                f"{self.images.dtype}; expected (M, C, H, W) of torch.uint8, values 0 to 255."
            )
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != torch.int64:
            raise ValueError(
                f"ImageSet: labels have shape {tuple(self.labels.shape)} and dtype "
                f"{self.labels.dtype}; expected one torch.int64 label for each of the "
                f"{len(self.images)} images."
            )

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device | str) -> ImageSet:
        """Return the same images and labels on another device."""
        return ImageSet(self.images.to(device), self.labels.to(device), self.stored)

    def take(self, rows: Tensor) -> Tensor:
        """Return a copy of the images of ``(b,)`` rows, which lie on the images' device."""
        return self.images.index_select(0, rows)

    def subset(self, rows: Tensor) -> ImageSet:
        """Return chosen images as a set of their own, in the order asked for."""
        stored = self.stored and self.stored.select(rows.cpu())
        return ImageSet(self.take(rows), self.labels[rows], stored)

    def relabelled(self, numbers: Tensor) -> ImageSet:
        """Return the same images, those of class k with the label ``numbers[k]``."""
        labels = numbers.to(self.labels.device)[self.labels]
        stored = self.stored and replace(self.stored, labels=labels.cpu())
        return ImageSet(self.images, labels, stored)

    def stream(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Return the images of each part, one after the other."""
        return (self.take(rows) for rows in parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A train and a test set over the same classes, and a validation set where there is one.

    Args:
        name: what was asked for, e.g. ``cifar10``.
        train: images to train on; ``LazyImages`` where they do not fit in memory.
        test: images to test on.
        classes: names of the classes, by label.
        mean: per channel, of the train images scaled to [0, 1].
        std: per channel, likewise; a channel that never changes has 1.
        note: where the images come from and how they were split, for reports.
        mirrored: whether an image may be flipped left to right and stay in its class; false for
            digits.
        validation: images to choose settings and epochs by, which are neither trained nor tested
            on; None where the data have no such part.
        summary: images of each part and class, what was left out and why, and how many pictures
            are both trained and tested on, in one line.
        withheld: why pictures of its images are kept out of records, pages and figures, a sentence
            without its full stop; empty where they may be shown.
    """

    name: str
    train: ImageSet | LazyImages
    test: ImageSet | LazyImages
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    note: str
    mirrored: bool = field(default=True)
    validation: ImageSet | LazyImages | None = None
    summary: str = ""
    withheld: str = ""

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def channels(self) -> int:
        """Number of colour channels."""
        return self.train.shape[0]

    @property
    def image_size(self) -> int:
        """Height of the images, which is their width too in every set we load."""
        return self.train.shape[1]
