"""What a plan does to a batch, sample by sample: who is mixed with whom, where, how much."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from mixwright.lab.reports.palette import FAINT, SOURCES

if TYPE_CHECKING:
    from torch.nn import Module

    from mixwright.mixers import Mixer

_SEEN = 0.005  # a smaller share of a label is not worth a word
_PARTNERS = 4  # as many as have a colour of their own


@dataclass(frozen=True)
class Label:
    """One class of a mixed label.

    Args:
        name: of the class.
        weight: its share.
        source: its place among the sources, the image itself being 0 and then the heaviest first;
            decides the colour.
    """

    name: str
    weight: float
    source: int


@dataclass(frozen=True)
class Sample:
    """One mixed image and how it came about.

    Args:
        own: ``(C, H, W)`` float32 in [0, 1], the sample itself; the heaviest source where it has
            no share.
        partners: the other sources with a share, the heaviest first; none where it stands alone.
        mask: ``(3, H, W)``, whose pixel it is, in the colours of ``palette.SOURCES``.
        mixed: ``(C, H, W)``.
        labels: shares of the classes, by source.
    """

    own: Tensor
    partners: tuple[Tensor, ...]
    mask: Tensor
    mixed: Tensor
    labels: tuple[Label, ...]


def draw(
    mixer: "Mixer",
    images: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    *,
    seed: int,
    model: "Module | None" = None,
) -> list[Sample]:
    """One plan for a batch, taken apart into samples.

    Args:
        mixer: any.
        images: ``(B, C, H, W)`` float32 in [0, 1].
        labels: ``(B,)``.
        classes: their names.
        seed: of the draw.
        model: passed on to the mixer.

    Returns:
        B samples.
    """
    generator = torch.Generator().manual_seed(seed)
    plan = mixer.plan(images, labels, generator=generator, model=model)
    mixed = plan.images(images)
    masks = _full(plan.mask, images)
    samples: list[Sample] = []
    for b in range(len(mixed)):
        index, weight = plan.index[b].tolist(), plan.weight[b].tolist()
        order = _order(b, index, weight)
        colour_masks = torch.einsum("nhw,nc->chw", masks[b, order], _colours(plan.index[b, order]))
        shares = [
            Label(classes[int(labels[index[n]])], weight[n], place)
            for place, n in enumerate(order)
            if index[n] >= 0 and weight[n] > _SEEN
        ]
        # Of many sources most have no share; the one other of a pair is shown in any case.
        others = [n for n in order[1:] if index[n] >= 0 and (weight[n] > _SEEN or len(index) == 2)]
        samples.append(
            Sample(
                own=images[index[order[0]]],
                partners=tuple(images[index[n]] for n in others[:_PARTNERS]),
                mask=colour_masks,
                mixed=mixed[b].clamp(0, 1),
                labels=tuple(shares),
            )
        )
    return samples


def _order(row: int, index: Sequence[int], weight: Sequence[float]) -> list[int]:
    """The sources of a sample: itself, then the heaviest first, fills last.

    Where many images are shared out among many outputs, the output may have nothing of its own
    row; then the heaviest stands first.
    """
    order = sorted(range(len(index)), key=lambda n: (index[n] < 0, -weight[n]))
    own = [n for n in order if index[n] == row and (weight[n] > _SEEN or len(index) <= 2)]
    if own:
        order.remove(own[0])
        order.insert(0, own[0])
    return order


def _full(mask: Tensor, images: Tensor) -> Tensor:
    """A mask on every pixel: shares are spread, block grids enlarged."""
    size = images.shape[-2:]
    if mask.shape[-2:] == size:
        return mask
    return F.interpolate(mask, size=size, mode="nearest")


def _colours(index: Tensor) -> Tensor:
    """``(N, 3)``: a colour for each source, grey for a fill, which is nobody's."""
    known = torch.tensor([rgb(SOURCES[n % len(SOURCES)]) for n in range(len(index))])
    return torch.where(index[:, None] < 0, torch.tensor(rgb(FAINT.light)), known)


def rgb(name: str) -> list[float]:
    """Give a colour's red, green and blue in [0, 1], of ``#rrggbb``."""
    return [int(name[i : i + 2], 16) / 255 for i in (1, 3, 5)]
