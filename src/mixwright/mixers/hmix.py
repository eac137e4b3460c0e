"""HMix: a box of the partner, and a mean of both around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from mixwright import sampling
from mixwright.arguments import check_number
from mixwright.masks.box import box_sides, clipped_box
from mixwright.masks.mask_forms import Box
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import PairDraw, RandomPairMixer, check_pair, draw_lam
from mixwright.sampling import Pairing


@dataclass(frozen=True, kw_only=True)
class HMix(RandomPairMixer):
    """Paste a box of the partner and average the two images outside.

    The box takes ``ratio`` of the partner's share, clipped at the border; outside, the share of
    own pixels is what brings the mean to ``lam``. So the label weight is ``lam`` itself.

    Args:
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off. The
            paper uses 1.0.
        ratio: 0 gives MixUp, 1 gives CutMix with clipping made up for, in [0, 1]. The paper uses
            0.5 on CIFAR-100 and 0.75 on ImageNet.
        lam: a fixed share in [0, 1] instead of a draw, for figures.
        per: ``"sample"``, a box for each sample; ``"batch"``, one for all (the authors' code).
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> mixer = HMix(lam=0.75)
        >>> mixer.plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator()).weight.tolist()
        [[0.75, 0.25], [0.75, 0.25]]

    Source: Park et al., "A Unified Analysis of Mixed Sample Data Augmentation: A Loss Function
    Perspective", NeurIPS 2022, arXiv:2208.09913; naver-ai/hmix-gmix.

    Departs from the authors' code in its default ratio, 1.0, which is CutMix; and in drawing for
    each sample. ``HMix(per="batch", pairing="flip")`` is theirs but for the ratio.
    """

    card: ClassVar[Card] = Card(
        title="HMix",
        paper="Park et al., NeurIPS 2022",
        link="https://arxiv.org/abs/2208.09913",
        note="A box of the partner and a mean of both around it: between MixUp and CutMix.",
        formula="lam ~ Beta(alpha, alpha)\n"
        "a box of area ratio (1 - lam), clipped at the border, covers the share q of the image\n"
        "M = 0 in the box; lam / (1 - q) outside\n"
        "x~ = M x + (1 - M) x'\n"
        "y~ = w y + (1 - w) y',  w = mean(M) = lam",
        limits="Between MixUp and CutMix in all that it does, in their weaknesses too. The best "
        "ratio depends on the data: the paper takes 0.5 on CIFAR-100 and 0.75 on ImageNet.",
        cites=("park2022unified",),
    )

    alpha: float = 1.0
    ratio: float = 0.5
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)
        check_number("HMix", "ratio", self.ratio, high=1.0)

    def draw(self, images: Tensor, *, generator: Generator) -> PairDraw:
        """See ``RandomPairMixer.draw``."""
        lam = draw_lam(self, images, generator=generator)
        mask = self.keep(lam, size=tuple(images.shape[2:]), generator=generator)
        return PairDraw(mask=mask, lam=lam, own_weight=lam)  # which is the mean of the mask

    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> Box:
        """See ``MaskMethod.keep``."""
        position = sampling.uniform((len(lam), 2), device=lam.device, generator=generator)
        edges = clipped_box(box_sides((1 - lam) * self.ratio, size), position, size)
        # A box that fills the image leaves nothing outside: any share will do there.
        left = (1 - Box(edges, tuple(size)).fraction()).clamp_min_(1e-12)
        return Box(edges, tuple(size), outside=(lam / left).clamp_max_(1.0))
