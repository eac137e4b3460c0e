"""The evaluation ``occlusion``: how often a classifier is right when patches are hidden."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Generator, Tensor

from mixwright.arguments import (
    check_arguments,
    check_number,
    check_settings,
    check_whole,
)
from mixwright.lab.evaluation.predictions import batch_logits, check_logits, rank
from mixwright.lab.evaluation.subject import Measurement, Subject, as_bytes
from mixwright.sampling import Stream, stream
from mixwright.taps import evaluating

Fill = Literal["mean", "black", "noise"]

PAPER_BATCH = 100
"""Images that share their patches where the paper's protocol is followed."""

_SHOWN = 2  # images that are kept as pictures


def occlusion_patch(height: int, width: int) -> int:
    """Return the side of a patch: about 16 pixels of 224, as much of the side as in the paper.

    The largest common divisor of both sides up to ``round(16 / 224 * shorter side)``.

    Example:
        >>> [occlusion_patch(side, side) for side in (28, 32, 64, 224)]
        [2, 2, 4, 16]
    """
    most = max(1, round(16 * min(height, width) / 224))
    return next(side for side in range(most, 0, -1) if height % side == width % side == 0)


def patch_ranks(count: int, patches: int, *, generator: Generator) -> Tensor:
    """Draw for each image the order in which its patches vanish, ``(count, patches)`` int64.

    Each row is the place of each patch in the order, so that at m hidden patches those below m are
    hidden: masks are nested in m.
    """
    drawn = torch.rand(count, patches, generator=generator, dtype=torch.float64)
    return drawn.argsort(dim=1)


@check_arguments
def occlude(images: Tensor, ranks: Tensor, ratio: float, *, patch: int, fill: Tensor) -> Tensor:
    """Hide the first patches of each image.

    Args:
        images: ``(B, C, H, W)`` floating; not written.
        ranks: ``(B, patches)`` of ``patch_ranks``, on the images' device.
        ratio: share of the patches that is hidden, in [0, 1]; their number is rounded.
        patch: side of a patch in pixels, a divisor of both sides.
        fill: what is seen instead; broadcasts to the shape of ``images``.

    Returns:
        ``(B, C, H, W)``; pixels outside the hidden patches are those of ``images``, bit for bit.

    Raises:
        ValueError: ``ratio`` is out of range, or ranks and patch do not fit the images.

    Example:
        >>> images = torch.ones(1, 1, 2, 2)
        >>> occlude(images, torch.tensor([[2, 0, 1, 3]]), 0.5, patch=1, fill=torch.tensor(0.0))
        tensor([[[[1., 0.],
                  [0., 1.]]]])
    """
    check_number("occlude", "ratio", ratio, high=1.0)
    height, width = images.shape[2:]
    rows, columns = height // max(1, patch), width // max(1, patch)
    if patch < 1 or height % patch or width % patch or ranks.shape != (len(images), rows * columns):
        raise ValueError(
            f"occlude: images are {tuple(images.shape)}, patch is {patch} and ranks are "
            f"{tuple(ranks.shape)}; expected a divisor of both sides and one rank per image and "
            "patch. occlusion_patch(height, width) gives a side that fits."
        )
    hidden = (ranks < round(ratio * rows * columns)).view(-1, 1, rows, columns)
    hidden = hidden.repeat_interleave(patch, dim=2).repeat_interleave(patch, dim=3)
    return torch.where(hidden, fill.to(images), images)


def area_under(ratios: Sequence[float], accuracies: Sequence[float], *, end: float = 0.9) -> float:
    """Average an accuracy over rising ratios from the first to ``end``, by the trapezoid rule.

    At a ratio of 1 nothing is left to see. NaN where fewer than two ratios count.

    Example:
        >>> area_under([0.0, 0.5, 1.0], [1.0, 0.5, 0.0], end=1.0)
        0.5
    """
    used = [(r, a) for r, a in zip(ratios, accuracies, strict=True) if r <= end + 1e-9]
    if len(used) < 2:
        return math.nan
    area = sum((s - r) * (a + b) / 2 for (r, a), (s, b) in itertools.pairwise(used))
    return area / (used[-1][0] - used[0][0])


def half_point(ratios: Sequence[float], accuracies: Sequence[float]) -> float | None:
    """Return the first of rising ratios at which an accuracy has fallen to half of its first value.

    On straight lines between the values; None where it never falls so far.

    Example:
        >>> half_point([0.0, 0.5, 1.0], [0.8, 0.6, 0.2])
        0.75
    """
    half = accuracies[0] / 2
    steps = list(zip(ratios, accuracies, strict=True))
    for (r, a), (s, b) in itertools.pairwise(steps):
        if b <= half < a:
            return r + (s - r) * (a - half) / (a - b)
    return None


@dataclass(frozen=True, kw_only=True)
class Occlusion:
    """Hide a growing share of each image behind patches and count what is still recognised.

    Each image has its own patches, the same for all models, and what is hidden at one ratio stays
    hidden at the next.

    Args:
        ratios: shares of the patches that are hidden, rising from 0, in [0, 1].
        seeds: orders of hiding to average over, at least 1.
        fill: what is seen instead: ``mean``, the mean colour of the training images; ``black``;
            ``noise``, even noise in [0, 1], drawn once for each image and seed.
        patch: side of a patch in pixels, a divisor of the images' sides; 0 for about 16 of 224,
            which is 2 of 32. A coarser one is 4 of 32; curves of different patches do not compare.
        per_batch: the paper's protocol: all images of a hundred share their patches, drawn anew
            for each ratio.
        count: so many test images, classes in turn; 0 for all.
    """

    ratios: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    seeds: int = 5
    fill: Fill = "mean"
    patch: int = 0
    per_batch: bool = False
    count: int = 2000

    name: ClassVar[str] = "occlusion"
    about: ClassVar[str] = "accuracy as patches of the images are hidden"
    pictures: ClassVar[tuple[str, ...]] = ("shown",)

    def __post_init__(self) -> None:
        check_settings(self)
        for ratio in self.ratios:
            check_number("Occlusion", "ratios", ratio, high=1.0)
        if (
            len(self.ratios) < 2
            or self.ratios[0] != 0
            or sorted(set(self.ratios)) != [*self.ratios]
        ):
            raise ValueError(
                f"Occlusion: ratios is {self.ratios!r}; expected two or more, rising, from 0."
            )
        check_whole("Occlusion", "seeds", self.seeds, low=1)
        check_whole("Occlusion", "patch", self.patch, low=0)
        check_whole("Occlusion", "count", self.count, low=0)

    def measure(self, subject: Subject) -> Measurement:
        """See ``Evaluation.measure``."""
        count = subject.count(self.count)
        channels, height, width = subject.data.test.shape
        patch = self.patch or occlusion_patch(height, width)
        if height % patch or width % patch:
            raise ValueError(
                f"Occlusion: patch is {patch}, images are {height} x {width}; expected a divisor "
                "of both sides, or 0."
            )
        correct = list[Tensor]()
        for seed in range(self.seeds):
            piece = subject.cache.get_or_compute(
                f"seed-{seed}", lambda s=seed: {"correct": self._correct(subject, s, count, patch)}
            )
            correct.append(piece["correct"])
            subject.progress((seed + 1) / self.seeds, f"order {seed + 1} of {self.seeds}")
        table = torch.stack(correct, dim=1)  # (ratios, seeds, images)
        per_seed = table.double().mean(dim=2)
        curve = per_seed.mean(dim=1).tolist()
        areas = [area_under(self.ratios, column) for column in per_seed.T.tolist()]
        first, _ = next(subject.batches(_SHOWN))
        floor = self._floor(subject, count, (channels, height, width))
        summary: dict[str, Any] = {
            "count": count,
            "ratios": list(self.ratios),
            "accuracy": curve,
            "deviation": per_seed.std(dim=1).tolist() if self.seeds > 1 else None,
            "accuracy_per_order": per_seed.T.tolist(),
            "auc": sum(areas) / len(areas),
            "auc_per_order": areas,
            "half": half_point(self.ratios, curve),
            "floor": floor,
            "clean": curve[0],
            "patch": patch,
            "grid": [height // patch, width // patch],
            "fill": self.fill,
            "colour": list(subject.data.mean) if self.fill == "mean" else None,
            "orders": self.seeds,
            "per_batch": self.per_batch,
            "seed": subject.seed,
        }
        return Measurement(
            summary=summary,
            arrays={
                "correct": table,
                "ids": subject.ids[subject.rows(count)],
                "shown": as_bytes(torch.stack(list(self._views(subject, first, patch, 0, 0)), 1)),
            },
        )

    def _correct(self, subject: Subject, seed: int, count: int, patch: int) -> Tensor:
        """``(ratios, n)`` bool, what is recognised with one order of hiding."""
        columns, start = list[Tensor](), 0
        with evaluating(subject.model), torch.inference_mode():
            for images, labels in subject.batches(count):
                rows = list[Tensor]()
                for seen in self._views(subject, images, patch, seed, start):
                    logits = batch_logits(subject.model, seen, labels, autocast=subject.autocast)
                    check_logits(logits, labels)
                    rows.append((rank(logits, labels) == 0).cpu())
                columns.append(torch.stack(rows))
                start += len(labels)
        return torch.cat(columns, dim=1)

    def _views(
        self, subject: Subject, images: Tensor, patch: int, seed: int, start: int
    ) -> Iterator[Tensor]:
        """Yield a batch, whose first image is the ``start``-th, as it is seen at each ratio."""
        fill = self._fill(subject, images, seed, start)
        ranks = self._ranks(subject, images, patch, seed, start)
        for place, ratio in enumerate(self.ratios):
            order = ranks[place if self.per_batch else 0].to(images.device)
            yield occlude(images, order, ratio, patch=patch, fill=fill)

    def _ranks(
        self, subject: Subject, images: Tensor, patch: int, seed: int, start: int
    ) -> list[Tensor]:
        """Orders of a batch whose first image is the ``start``-th: one, or one for each ratio."""
        cells = (images.shape[2] // patch) * (images.shape[3] // patch)

        def order(*words: int) -> Tensor:
            generator = stream(subject.seed, Stream.OCCLUSION, seed, *words)
            return patch_ranks(1, cells, generator=generator)

        places = range(start, start + len(images))
        if not self.per_batch:
            return [torch.cat([order(place) for place in places])]
        blocks = torch.tensor([place // PAPER_BATCH for place in places])
        shared, which = blocks.unique(return_inverse=True)
        return [
            torch.cat([order(block, turn) for block in shared.tolist()])[which]
            for turn in range(len(self.ratios))
        ]

    def _fill(self, subject: Subject, images: Tensor, seed: int, start: int) -> Tensor:
        if self.fill == "black":
            return images.new_zeros(())
        if self.fill == "mean":
            return images.new_tensor(subject.data.mean).view(1, -1, 1, 1)
        drawn = [
            torch.rand(
                images.shape[1:], generator=stream(subject.seed, Stream.OCCLUSION, -1 - seed, place)
            )
            for place in range(start, start + len(images))
        ]
        return torch.stack(drawn).to(images)

    def _floor(self, subject: Subject, count: int, shape: tuple[int, ...]) -> float | None:
        """Accuracy when nothing is seen: how often the class comes that is then guessed."""
        if self.fill == "noise":
            return None
        blank = torch.zeros(1, *shape, device=subject.device)
        blank = blank + self._fill(subject, blank, 0, 0)
        with evaluating(subject.model), torch.inference_mode():
            label = torch.zeros(1, dtype=torch.int64, device=subject.device)
            logits = batch_logits(subject.model, blank, label, autocast=subject.autocast)
        check_logits(logits, label)
        guess = int(logits[0].argmax())
        return float((subject.data.test.labels[subject.rows(count)] == guess).double().mean())
