"""Cutout: square holes in the sample itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_number, check_settings, check_whole
from mixwright.masks.box import clipped_box
from mixwright.masks.mask_forms import Box, DenseMask, MaskForm
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per, check_batch, check_step
from mixwright.mixers.pair_mixer import count_draws
from mixwright.plan import MixPlan
from mixwright.precision import drawing

Fill = float | tuple[float, ...] | Literal["noise"]


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """Cut square holes and fill them; the label stays as it is.

    A hole is centred on a uniform pixel and clipped at the border, so the middle of the image is
    cut more often than its corners. Works for any number of spatial dimensions from 1, and for a
    batch of one: no partner is needed.

    Args:
        length: side of a hole: a whole number of pixels from 1, or a share of the shortest side
            in (0, 1). 0.5 is 16 pixels at 32; the paper uses 16 on CIFAR-10, 8 on CIFAR-100 and
            20 on SVHN. Half the side is rounded down, so an odd side loses a row.
        holes: how many holes, at least 1; they may overlap.
        fill: what a hole shows, in the images' scale: a number, one number a channel (a tuple; a
            list or a ``(C,)`` tensor becomes one), or ``"noise"``, drawn from N(0, 1), for
            normalised images. On normalised images 0 is the mean colour of the data set, on
            others black.
        per: ``"sample"``, own holes for each sample (the authors' code); ``"batch"``, the same.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> plan = Cutout(length=4).plan(torch.ones(1, 1, 8, 8), generator=torch.Generator())
        >>> plan.weight.tolist(), plan.index.tolist()
        ([[1.0, 0.0]], [[0, -1]])

    Source: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with
    Cutout", 2017, arXiv:1708.04552; uoguelph-mlrg/Cutout.
    """

    card: ClassVar[Card] = Card(
        title="Cutout",
        paper="DeVries and Taylor, 2017",
        link="https://arxiv.org/abs/1708.04552",
        dims="any",
        note="Square holes; the label stays as it is.",
        labels="own",
        formula="M = 0 in a square of side length * min(H, W), clipped at the border; else 1\n"
        "x~ = M x + (1 - M) fill\n"
        "y~ = y",
        limits="The label stays sure even where the hole hides the object, so it does nothing for "
        "confidence. Holes of half the side, the default, are large: published runs take 16 of 32 "
        "pixels on CIFAR-10, 8 on CIFAR-100. No second image takes part, so nothing is learned "
        "from mixed labels.",
        cites=("devries2017cutout",),
    )
    needs_partner: ClassVar[bool] = False  # see ``combine.needs_partner``

    length: float = 0.5
    holes: int = 1
    fill: Fill = 0.0
    per: Per = "sample"

    def __post_init__(self) -> None:
        check_settings(self)
        if isinstance(self.length, int):
            check_number("Cutout", "length", self.length, low=1)
        else:
            check_number("Cutout", "length", self.length, high=1, open_low=True)
            if self.length >= 1:
                raise ValueError(
                    "Cutout: length is 1.0; expected a share of the image's side below 1, or a "
                    "whole number of pixels (an int)."
                )
        check_whole("Cutout", "holes", self.holes, low=1, high=10_000)
        given: Any = self.fill
        if isinstance(given, Tensor | list):  # kept as values that can be compared and hashed
            object.__setattr__(self, "fill", tuple(torch.as_tensor(given).flatten().tolist()))
        if self.fill != "noise":
            numbers = self.fill if isinstance(self.fill, tuple) else (self.fill,)
            for number in numbers:
                check_number("Cutout", "fill", number, low=-float("inf"))

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """See ``Mixer.plan``; labels and model are not read."""
        check_step("Cutout", images, generator=generator, model=model)
        check_batch("Cutout", images, labels, least=1)
        if isinstance(self.fill, tuple) and len(self.fill) != images.shape[1]:
            raise ValueError(
                f"Cutout: fill has {len(self.fill)} numbers, images have {images.shape[1]} "
                "channels; expected one number a channel."
            )
        with drawing(images):
            count = len(images)
            me = torch.arange(count, device=images.device)
            ones = torch.ones(count, device=images.device, dtype=torch.float32)
            return MixPlan(
                index=torch.stack([me, torch.full_like(me, -1)], dim=1),
                mask=self._keep(images, generator=generator).expand(count),
                weight=torch.stack([ones, torch.zeros_like(ones)], dim=1),
                pool=count,
                fill=self._fill(images, generator=generator),
                self_first=True,
            )

    def _keep(self, images: Tensor, *, generator: Generator) -> MaskForm:
        size: Sequence[int] = tuple(images.shape[2:])
        rows = count_draws(self.per, images)
        side = self.length if isinstance(self.length, int) else int(self.length * min(size))
        sides = torch.full((rows, len(size)), side, device=images.device)
        shape = (self.holes, rows, len(size))
        positions = sampling.uniform(shape, device=images.device, generator=generator)
        boxes = [Box(clipped_box(sides, position, size), tuple(size)) for position in positions]
        if len(boxes) == 1:
            return boxes[0]
        keep = boxes[0].first()
        for box in boxes[1:]:
            keep = keep * box.first()
        return DenseMask(keep.bool())

    def _fill(self, images: Tensor, *, generator: Generator) -> Tensor:
        if self.fill == "noise":
            return sampling.normal(images.shape, device=images.device, generator=generator)
        if isinstance(self.fill, tuple):
            return torch.tensor(self.fill, dtype=torch.float32).to(images.device, non_blocking=True)
        return torch.full((), float(self.fill), device=images.device, dtype=torch.float32)
