"""FMix: regions cut from low-frequency noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.arguments import check_number
from mixwright.masks.fourier import (
    fourier_field,
    official_fourier_field,
    rank_mask,
    soft_rank_mask,
)
from mixwright.masks.mask_forms import DenseMask
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import PairDraw, RandomPairMixer, check_pair, count_draws, draw_lam
from mixwright.sampling import Pairing

Spectrum = Literal["isotropic", "official"]


@dataclass(frozen=True, kw_only=True)
class FMix(RandomPairMixer):
    """Mix two images along the smooth border of a random region.

    Each mask keeps the brightest pixels of low-frequency noise, ``lam * H * W`` of them, rounded
    up or down by chance so that the mean is right. The label weight is the share that was kept.

    Args:
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off. The
            paper uses 1.0.
        decay: exponent of the frequency, at least 0; the paper uses 3. Larger gives fewer,
            rounder regions.
        max_soft: half the width of a linear ramp at the border, as a share of all pixels in
            [0, 0.5]; 0 gives a mask of 0 and 1.
        spectrum: ``"isotropic"``, the paper's noise; ``"official"``, that of the authors' code,
            whose masks are stripes, and with which the published figures were made.
        reformulate: draw ``lam`` from Beta(alpha + 1, alpha) and give the label of the sample
            alone, without mixing labels (an option of the authors' code).
        lam: a fixed share in [0, 1] instead of a draw, for figures.
        per: ``"sample"``, a mask for each sample; ``"batch"``, one for all (the authors' code).
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> mixer = FMix(lam=0.25)
        >>> mixer.plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator()).weight.tolist()
        [[0.25, 0.75], [0.25, 0.75]]

    Source: Harris et al., "FMix: Enhancing Mixed Sample Data Augmentation", 2020,
    arXiv:2002.12047; ecs-vlc/FMix.

    Departs from the authors' code, which draws one mask a batch, rounds the number of pixels up
    or down with equal chance, whatever the rest, gives the label the share that was asked for,
    and shapes its noise otherwise (``spectrum``).
    ``FMix(per="batch", pairing="perm", spectrum="official")`` is nearest to it.
    """

    card: ClassVar[Card] = Card(
        title="FMix",
        paper="Harris et al., 2020",
        link="https://arxiv.org/abs/2002.12047",
        cost="two Fourier transforms and a ranking of one plane a sample",
        note="Two images along the smooth border of a random region.",
        formula="lam ~ Beta(alpha, alpha)\n"
        "g = inverse Fourier transform of white noise / frequency^decay\n"
        "M = 1 at the lam H W brightest pixels of g; else 0\n"
        "x~ = M x + (1 - M) x'\n"
        "y~ = w y + (1 - w) y',  w = mean(M)",
        limits="The dearest mask of one layer: two Fourier transforms and a ranking for each "
        "image, five times the time of MixUp on 32 pixels (and still far below a training step). "
        "As with CutMix, the label counts pixels, not what they show.",
        cites=("harris2020fmix",),
    )

    alpha: float = 1.0
    decay: float = 3.0
    max_soft: float = 0.0
    spectrum: Spectrum = "isotropic"
    reformulate: bool = False
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)
        check_number("FMix", "decay", self.decay)
        check_number("FMix", "max_soft", self.max_soft, high=0.5)

    def draw(self, images: Tensor, *, generator: Generator) -> PairDraw:
        """See ``RandomPairMixer.draw``."""
        if self.reformulate and self.lam is None:
            rows = count_draws(self.per, images)
            own = torch.full((rows,), self.alpha + 1.0, device=images.device, dtype=torch.float32)
            concentration = torch.stack([own, own - 1.0], dim=1)
            lam = sampling.dirichlet(concentration, generator=generator)[:, 0]
        else:
            lam = draw_lam(self, images, generator=generator)
        return PairDraw(
            mask=self.keep(lam, size=images.shape[2:], generator=generator),
            lam=lam,
            own_weight=torch.ones_like(lam) if self.reformulate else None,
        )

    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> DenseMask:
        """See ``MaskMethod.keep``."""
        height, width = size
        rows = len(lam)
        if self.spectrum == "official":
            shape = (2, rows, width // 2 + 1, 2)
            real, imaginary = sampling.normal(shape, device=lam.device, generator=generator)
            field = official_fourier_field(
                real, imaginary, height=height, width=width, decay=self.decay
            )
        else:
            noise = sampling.noise((rows, height, width), device=lam.device, generator=generator)
            field = fourier_field(noise, decay=self.decay)
        chance = sampling.uniform((rows,), device=lam.device, generator=generator)
        pixels = height * width
        kept = (lam * pixels + chance).long().clamp_max_(pixels)
        if self.max_soft > 0:
            return DenseMask(soft_rank_mask(field, kept, softness=self.max_soft))
        return DenseMask(rank_mask(field, kept))
