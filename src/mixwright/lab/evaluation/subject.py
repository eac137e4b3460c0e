"""What is evaluated, what an evaluation asks of it, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from mixwright.lab.data.subset import class_turns
from mixwright.lab.evaluation.predictions import Batches, logits_of

if TYPE_CHECKING:
    from mixwright.lab.data.lazy import LazyImages
    from mixwright.lab.data.sets import Dataset, ImageSet
    from mixwright.mixers import Mixer

Arrays = Mapping[str, Tensor]
"""Tensors by name, on the CPU."""


class NotApplicableError(ValueError):
    """An evaluation has nothing to measure on this subject; the message says why."""


class Cache(Protocol):
    """Keeps intermediate results, so that an interrupted evaluation continues where it was."""

    def get_or_compute(
        self, key: str, make: Callable[[], Arrays], *, shared: bool = False
    ) -> Arrays:
        """Return what was kept under a key, unique in the evaluation, or make and keep it.

        ``shared`` arrays depend on model and images alone, not on the options of the evaluation,
        so that all evaluations of a subject take the same.
        """
        ...

    def kept(self, key: str) -> Arrays | None:
        """Return what was kept under a key of the evaluation's own; None where nothing was."""
        ...


class NoCache:
    """Keeps nothing."""

    def get_or_compute(
        self, key: str, make: Callable[[], Arrays], *, shared: bool = False
    ) -> Arrays:
        """Make the arrays anew."""
        return make()

    def kept(self, key: str) -> Arrays | None:
        """Nothing was."""
        return None


def quiet(done: float, note: str) -> None:
    """Report no progress."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """One classifier with one set of weights, and the images it is judged on.

    Args:
        model: network from images ``(B, C, H, W)`` in [0, 1] to logits ``(B, K)``; normalisation
            is inside it. On ``device``.
        data: train and test images; ``data.test`` is what is judged on.
        ids: ``(n,)`` int64, the place of each test image in the set's own order.
        device: where batches are wanted.
        batch_size: images at a time.
        autocast: dtype to compute in under autocast; None for the model's own.
        seed: of everything that is drawn; the same for all models that are compared.
        mixer: how the model was trained, where it is known and mixes.
        folder: of its training run, where it has one.
        cache: keeps intermediate results.
        progress: called with the share done, in [0, 1], and a short note.
    """

    model: nn.Module
    data: Dataset
    ids: Tensor
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    batch_size: int = 250
    autocast: torch.dtype | None = None
    seed: int = 0
    mixer: Mixer | None = None
    folder: Path | None = None
    cache: Cache = field(default_factory=NoCache)
    progress: Callable[[float, str], None] = quiet

    def rows(self, count: int | None = None) -> Tensor:
        """Return rows ``(count,)`` int64 of the test images that are looked at.

        Classes take turns, so that a larger part holds a smaller one and each is fair; None for
        all, in the set's own order.
        """
        if count is None:
            return torch.arange(len(self.data.test))
        return class_turns(self.data.test.labels)[:count]

    def count(self, limit: int) -> int:
        """Return how many test images an option asks for; 0 for all."""
        whole = len(self.data.test)
        return min(limit or whole, whole)

    def batches(self, count: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield test images in [0, 1] and labels, batch by batch, on the device; see ``rows``."""
        return self.shown(self.data.test, self.rows(count))

    def shown(
        self, images: ImageSet | LazyImages, rows: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows of a set, all by default: images in [0, 1] and labels, batch by batch.

        Both are on the device.
        """
        rows = torch.arange(len(images)) if rows is None else rows
        parts = rows.split(self.batch_size)
        for part, pixels in zip(parts, images.stream(parts), strict=True):
            yield pixels.to(self.device).float().div_(255), images.labels[part].to(self.device)

    def logits(self, key: str, batches: Batches, note: str) -> tuple[Tensor, Tensor]:
        """Return ``logits_of`` batches, computed once for all evaluations under a key."""

        def make() -> Arrays:
            self.progress(0.0, note)
            logits, labels = logits_of(self.model, batches, autocast=self.autocast)
            return {"logits": logits, "labels": labels}

        kept = self.cache.get_or_compute(key, make, shared=True)
        return kept["logits"], kept["labels"]

    def clean_logits(self) -> tuple[Tensor, Tensor]:
        """Return ``logits`` of all clean test images, in the order of ``ids``."""
        return self.logits("clean", self.batches(), "clean test images")

    def cached_batches(
        self, count: int, key: str, make: Callable[[Tensor, Tensor, int], Arrays]
    ) -> Iterator[tuple[int, Arrays]]:
        """Yield what is made of each batch, or was kept, after the number of images done so far.

        ``make`` takes images, labels and the place of the first image; see ``batches``.
        """
        start = 0
        for images, labels in self.batches(count):
            name = f"{key}-{start:06d}-{len(labels)}"
            made = self.cache.get_or_compute(
                name, lambda x=images, y=labels, first=start: make(x, y, first)
            )
            start += len(labels)
            yield start, made


def as_bytes(pictures: Tensor) -> Tensor:
    """Return pictures in [0, 1], of any shape, as uint8 on the CPU, to be kept."""
    return pictures.clamp(0, 1).mul(255).round().to(torch.uint8).cpu()


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurement:
    """What an evaluation measured.

    Args:
        summary: plain values for JSON: numbers as numbers, shares as fractions in [0, 1], lists
            and dicts of them.
        arrays: tensors to keep beside it, above all ``correct``, bool, the last axis over images.
    """

    summary: dict[str, Any]
    arrays: Arrays = field(default_factory=dict[str, Tensor])


@runtime_checkable
class Together(Protocol):
    """An evaluation whose images are dear to make, and may be shown to several models."""

    def measure_pieces(self, subjects: Sequence[Subject]) -> None:
        """Put into the subjects' caches the pieces that are missing; ``measure`` finds them there.

        The subjects have the same images, and the first is told of progress. One whose model gives
        what cannot be judged is left out: its own ``measure`` says so.

        Raises:
            NotApplicableError: there is nothing to measure on these images.
        """
        ...


class Evaluation(Protocol):
    """One evaluation with its options; implementations are frozen dataclasses.

    An option that is out of range, or needs what is not installed, raises ValueError at
    construction.

    ``name`` is how the command line calls it, ``about`` one line for its help. ``pictures`` names
    the ``Measurement.arrays`` that figures show, of the first seed or averaged over seeds; the
    others are for inference.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    pictures: ClassVar[tuple[str, ...]]

    def measure(self, subject: Subject) -> Measurement:
        """Measure.

        Raises:
            NotApplicableError: there is nothing to measure on this subject.
            ValueError: model and data do not fit, or the model gives what cannot be judged.
        """
        ...
