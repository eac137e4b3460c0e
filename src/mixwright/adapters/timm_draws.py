"""What timm's ``Mixup`` draws, as mixers of ours: its boxes, its pairs and its half batches."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.masks.box import box_sides, centred_box, fitted_box
from mixwright.masks.mask_forms import Box, DenseMask, MaskForm
from mixwright.mixers.combine import OneOf, Sometimes
from mixwright.mixers.mixer import Mixer, Per
from mixwright.mixers.mixup import MixUp
from mixwright.mixers.pair_mixer import PairDraw, RandomPairMixer, count_draws, draw_lam
from mixwright.plan import MixPlan
from mixwright.sampling import Pairing

Mode = Literal["batch", "pair", "elem", "half"]
"""Whether a batch, a sample and its mirror image, or a sample has a draw of its own.

``"half"`` has one for each sample of the first half, the only outputs that there are.
"""


def timm_mixer(
    *,
    mixup_alpha: float,
    cutmix_alpha: float,
    cutmix_minmax: tuple[float, float] | None,
    prob: float,
    switch_prob: float,
    mode: Mode,
    correct_lam: bool,
) -> Mixer:
    """Make the mixer that draws as timm's ``Mixup`` with these arguments does."""
    per: Per = "batch" if mode == "batch" else "sample"
    mixer: Mixer = MixUp(alpha=mixup_alpha, per=per, pairing="flip")
    if cutmix_alpha > 0 or cutmix_minmax is not None:
        cutmix = TimmCutMix(
            alpha=cutmix_alpha, minmax=cutmix_minmax, correct_lam=correct_lam, per=per
        )
        chances = (1 - switch_prob, switch_prob)
        mixer = OneOf(mixer, cutmix, p=chances, per=per) if mixup_alpha > 0 else cutmix
    if prob < 1:
        mixer = Sometimes(mixer, prob, per=per)
    return Mirrored(mixer=mixer, half=mode == "half") if mode in ("pair", "half") else mixer


@dataclass(frozen=True, kw_only=True)
class TimmCutMix(RandomPairMixer):
    """CutMix with timm's boxes, whose odd sides are whole, from the mirror image of the batch.

    ``minmax`` draws each side from ``int(low * side)`` to ``int(high * side) - 1`` pixels, wholly
    inside; without ``correct_lam`` a clipped box of a drawn share has that share as label weight.
    """

    alpha: float
    minmax: tuple[float, float] | None
    correct_lam: bool
    lam: float | None = None
    per: Per = "batch"
    pairing: Pairing = "flip"

    def draw(self, images: Tensor, *, generator: Generator) -> PairDraw:
        """See ``RandomPairMixer.draw``."""
        height, width = images.shape[2:]
        size = (height, width)
        if self.minmax is not None:
            sides = self._drawn_sides(images, generator=generator)
            position = sampling.uniform(sides.shape, device=images.device, generator=generator)
            return PairDraw(mask=Box(fitted_box(sides, position, size), size))
        lam = draw_lam(self, images, generator=generator)
        position = sampling.uniform((len(lam), 2), device=images.device, generator=generator)
        mask = Box(centred_box(box_sides(1 - lam, size), position, size), size)
        return PairDraw(mask=mask, lam=lam, own_weight=None if self.correct_lam else lam)

    def _drawn_sides(self, images: Tensor, *, generator: Generator) -> Tensor:
        assert self.minmax is not None
        count = count_draws(self.per, images)
        sides: list[Tensor] = []
        for length in images.shape[2:]:
            low, high = (int(length * share) for share in self.minmax)
            if low >= high:
                raise ValueError(
                    f"Mixup: cutmix_minmax is {self.minmax!r}, of {length} pixels sides from {low} "
                    f"to below {high}; expected at least one. Give shares further apart."
                )
            drawn = sampling.integers(
                low, high, (count,), device=images.device, generator=generator
            )
            sides.append(drawn)
        return torch.stack(sides, dim=1)


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    """One draw for a sample and its mirror image in the batch, both mixed from one another.

    Args:
        mixer: draws for each sample; of what it planned the draws of the first half are used.
        half: give the first half of the batch alone; the second half is mixed into it. In the
            middle of an odd batch stands a sample that meets itself, which leaves it as it is.
    """

    mixer: Mixer
    half: bool = False

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """See ``Mixer.plan``; labels and model go to the mixer."""
        plan = self.mixer.plan(images, labels, generator=generator, model=model)
        count, sources = plan.index.shape
        own = torch.arange(count, device=plan.index.device)
        partner = own.flip(0)
        rows = own[: (count + 1) // 2] if self.half else torch.minimum(own, partner)
        return MixPlan(
            index=torch.stack([own, partner], dim=1)[: len(rows), :sources],
            mask=_rows_of(plan.mask_form, rows),
            weight=plan.weight[rows],
            pool=count,
            lam=None if plan.lam is None else plan.lam[rows],
            self_first=True,
        )


def _rows_of(form: MaskForm, rows: Tensor) -> MaskForm:
    if isinstance(form, DenseMask):
        return dataclasses.replace(form, values=form.values[rows])
    assert isinstance(form, Box)  # MixUp and CutMix know no other
    return dataclasses.replace(
        form,
        edges=form.edges[rows],
        inside=None if form.inside is None else form.inside[rows],
        outside=None if form.outside is None else form.outside[rows],
    )
