"""What a plan does to a batch, sample by sample: who is mixed with whom, where, how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from mixwright.mixers.combine import views_of, with_flips

if TYPE_CHECKING:
    from torch.nn import Module

    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.experiments.methods import Method
    from mixwright.mixers import Mixer

_LEAST = 0.005  # a smaller share of a label is not worth a word
_PARTNERS = 4  # as many as have a colour of their own
_SIDE = 96  # pixels of the longest side of a picture

_LEARNED = "Drawn by the mixer that the first of its runs has learned."
_OWN = "Drawn by its mixer alone; in training it may weigh the labels otherwise."


@dataclass(frozen=True, kw_only=True)
class ClassShare:
    """One class of a mixed label.

    Attributes:
        name: of the class.
        weight: its share.
        source: its place among the sources, the image itself being 0 and then the heaviest first.
    """

    name: str
    weight: float
    source: int


@dataclass(frozen=True, kw_only=True)
class SampleText:
    """The text beside a mixed image; its pictures are arrays.

    Attributes:
        labels: shares of the classes, by source.
        fills: for each plane of its mask, whether it belongs to a fill, which is no image's.
    """

    labels: tuple[ClassShare, ...]
    fills: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class MethodSamples:
    """Mixed images of one method.

    Attributes:
        method: its METHOD.
        name: how people call it.
        samples: none for no mixing, and where ``note`` says why.
        note: why there are no pictures, or what they do not show, or nothing.
    """

    method: str
    name: str
    samples: tuple[SampleText, ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class AllSamples:
    """Mixed images of several methods, of the same images under the same seed."""

    methods: tuple[MethodSamples, ...]


def choose_images(data: Dataset, count: int) -> tuple[Tensor, Tensor]:
    """Return the first training images of ``count`` classes, at least 2, of each class in turn.

    Images are ``(count, C, H, W)`` float32 in [0, 1], labels ``(count,)``.
    """
    labels = data.train.labels
    rows: list[int] = []
    turn = 0
    while len(rows) < min(count, len(labels)):
        for label in range(data.num_classes):
            found = (labels == label).nonzero().flatten()
            if turn < len(found):
                rows.append(int(found[turn]))
        turn += 1
    chosen = torch.tensor(rows[:count])
    return data.train.take(chosen).float() / 255, labels[chosen]


def draw_samples(
    method: Method,
    images: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    *,
    count: int,
    seed: int,
    flips: bool = True,
    model: Module | None = None,
    learned: Mixer | None = None,
) -> tuple[MethodSamples, dict[str, Tensor]]:
    """Draw one plan of a method and take it apart into samples, the first ``count`` of the batch.

    ``images`` are ``(B, C, H, W)`` float32 in [0, 1], and ``flips`` says whether they may be
    mirrored; ``learned``, what a run of the method has learned, is drawn instead of its own mixer.
    Return texts, and pictures as uint8 under
    ``PLACE/own``, ``PLACE/partners`` ``(P, C, H, W)``, ``PLACE/mask`` ``(N, H, W)``, the share of
    each source in the order of the labels, and ``PLACE/mixed``. A method that cannot be drawn says
    why in its note.
    """

    def without(note: str) -> tuple[MethodSamples, dict[str, Tensor]]:
        return MethodSamples(method=method.text, name=method.label, samples=(), note=note), {}

    mixer = method.mixer() if learned is None else learned
    if mixer is None:
        return without(_nothing_to_draw(method))
    try:
        views = views_of(mixer)  # all alike: training would crop and mirror each its own way
        images, labels = torch.cat([images] * views), labels.repeat(views)
        found, arrays = _samples(
            with_flips(mixer, flips), images, labels, classes, count, seed, model
        )
    except Exception as error:  # a picture must not cost hours of training their report
        return without(f"{type(error).__name__}: {error}")
    note = _LEARNED if learned is not None else _OWN if method.parts[0].learns else ""
    return MethodSamples(method=method.text, name=method.label, samples=found, note=note), arrays


def _nothing_to_draw(method: Method) -> str:
    """Why a method has no pictures."""
    if not method.parts:
        return ""
    if getattr(method.parts[0].cls, "make_network", None) is not None:
        return "It has learned nothing yet; draw the mixer of a run, trained:run=PATH."
    return "What it does to images depends on training; there is no plan to draw."


def _samples(
    mixer: Mixer,
    images: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    count: int,
    seed: int,
    model: Module | None,
) -> tuple[tuple[SampleText, ...], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    plan = mixer.plan(images, labels, generator=generator, model=model)
    mixed = plan.images(images)
    masks = _full(plan.mask, images)
    texts: list[SampleText] = []
    arrays: dict[str, Tensor] = {}
    for row in range(min(count, len(mixed))):
        index, weight = plan.index[row].tolist(), plan.weight[row].tolist()
        order = _order(row, index, weight)
        shares = [
            ClassShare(name=classes[int(labels[index[n]])], weight=weight[n], source=place)
            for place, n in enumerate(order)
            if index[n] >= 0 and weight[n] > _LEAST
        ]
        # Of many sources most have no share; the one other of a pair is shown in any case.
        others = [n for n in order[1:] if index[n] >= 0 and (weight[n] > _LEAST or len(index) == 2)]
        texts.append(SampleText(labels=tuple(shares), fills=tuple(index[n] < 0 for n in order)))
        arrays |= {
            f"{row}/own": _bytes(images[index[order[0]]]),
            f"{row}/partners": _bytes(images[[index[n] for n in others[:_PARTNERS]]]),
            f"{row}/mask": _bytes(masks[row, order]),
            f"{row}/mixed": _bytes(mixed[row]),
        }
    return tuple(texts), arrays


def _order(row: int, index: Sequence[int], weight: Sequence[float]) -> list[int]:
    """The sources of a sample: itself, then the heaviest first, fills last.

    Where many images are shared out among many outputs, the output may have nothing of its own
    row; then the heaviest stands first.
    """
    order = sorted(range(len(index)), key=lambda n: (index[n] < 0, -weight[n]))
    own = [n for n in order if index[n] == row and (weight[n] > _LEAST or len(index) <= 2)]
    if own:
        order.remove(own[0])
        order.insert(0, own[0])
    return order


def _full(mask: Tensor, images: Tensor) -> Tensor:
    """A mask on every pixel: shares are spread, block grids enlarged."""
    size = images.shape[-2:]
    return mask if mask.shape[-2:] == size else F.interpolate(mask, size=size, mode="nearest")


def _bytes(picture: Tensor) -> Tensor:
    """Pictures ``(..., H, W)`` in [0, 1] as bytes, large ones reduced: a page shows them small."""
    longest = max(picture.shape[-2:])
    if longest > _SIDE:
        size = [max(1, round(side * _SIDE / longest)) for side in picture.shape[-2:]]
        flat = picture.reshape(-1, 1, *picture.shape[-2:])
        picture = F.interpolate(flat, size=size, mode="area").reshape(*picture.shape[:-2], *size)
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8).cpu()
