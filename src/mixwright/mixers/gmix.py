"""GMix: a soft Gaussian spot of the one image in the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.masks.gaussian import area_variance, calibrated_variance, gaussian_factors
from mixwright.masks.mask_forms import SeparableMask
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import ShareMixer, check_pair
from mixwright.sampling import Pairing


@dataclass(frozen=True, kw_only=True)
class GMix(ShareMixer):
    """Fade from one image to the other with the distance from a uniform pixel.

    The image with the smaller share shows through a round bump that would cover its share of an
    endless plane. Tails that the border cuts are lost: at 32 pixels a share of 0.49 covers 0.295
    on average. The label weight is the mean of the mask.

    Args:
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off. The
            paper uses 1.0.
        calibrate: widen each bump until its mean over the image is the share asked for, so that
            label weights follow ``lam`` (no published figure does this).
        lam: a fixed share in [0, 1] instead of a draw, for figures.
        per: ``"sample"``, a bump for each sample; ``"batch"``, one for all (the authors' code).
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> mixer = GMix(lam=0.75, calibrate=True)
        >>> plan = mixer.plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator())
        >>> plan.weight.round(decimals=3)
        tensor([[0.7500, 0.2500],
                [0.7500, 0.2500]])

    Source: Park et al., "A Unified Analysis of Mixed Sample Data Augmentation: A Loss Function
    Perspective", NeurIPS 2022, arXiv:2208.09913; naver-ai/hmix-gmix.

    Departs from the authors' code in working for images that are not square, and in drawing for
    each sample. ``GMix(per="batch", pairing="flip")`` is theirs.
    """

    card: ClassVar[Card] = Card(
        title="GMix",
        paper="Park et al., NeurIPS 2022",
        link="https://arxiv.org/abs/2208.09913",
        note="A soft round spot of the one image in the other.",
        formula="lam ~ Beta(alpha, alpha),  s = min(lam, 1 - lam),  c ~ a uniform pixel\n"
        "K(p) = exp(-pi |p - c|^2 / (s H W))\n"
        "M = K where lam < 1/2; else 1 - K\n"
        "x~ = M x + (1 - M) x'\n"
        "y~ = w y + (1 - w) y',  w = mean(M)",
        limits="The tails that the border cuts are lost, so hardly a mixture is near one half: at "
        "32 pixels a share of 0.49 asked for is 0.295 on average. calibrate=True mends that, and "
        "no published figure has it.",
        cites=("park2022unified",),
    )

    alpha: float = 1.0
    calibrate: bool = False
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)

    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> SeparableMask:
        """See ``MaskMethod.keep``."""
        height, width = size
        cy = sampling.integers(0, height, (len(lam),), device=lam.device, generator=generator)
        cx = sampling.integers(0, width, (len(lam),), device=lam.device, generator=generator)
        share = torch.minimum(lam, 1 - lam)
        if self.calibrate:
            return calibrated_spot(share, shows_own=lam < 0.5, cy=cy, cx=cx, size=size)
        variance = area_variance(share, height=height, width=width)
        rows, columns = gaussian_factors(cy, cx, variance, height=height, width=width)
        shows_partner = (lam >= 0.5).float()
        # A share of 0 is no spot at all, not one of a single pixel.
        sign = torch.rsub(shows_partner, 1, alpha=2) * (share > 0)  # 1 - 2 * shows_partner
        return SeparableMask(rows=rows, columns=columns, base=shows_partner, scale=sign)


def calibrated_spot(
    share: Tensor, *, shows_own: Tensor, cy: Tensor, cx: Tensor, size: Sequence[int]
) -> SeparableMask:
    """Hold the masks of round bumps at (cy, cx) whose mean over the image is ``share``.

    Where ``shows_own``, ``(B,)`` bool, the bump shows the sample itself, not its partner.
    """
    height, width = size
    variance = calibrated_variance(share, cy=cy, cx=cx, height=height, width=width)
    # Below one pixel's share only the height of the bump is left to lower.
    peak = (share * (height * width)).clamp_max(1.0)
    rows, columns = gaussian_factors(cy, cx, variance, height=height, width=width)
    return SeparableMask(
        rows=rows,
        columns=columns,
        base=(~shows_own).float(),
        scale=torch.where(shows_own, peak, -peak),
    )
