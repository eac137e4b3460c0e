"""AGMix: GMix with stretched and turned spots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.arguments import check_number
from mixwright.masks.gaussian import area_variance, turned_bump
from mixwright.masks.mask_forms import DenseMask
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import ShareMixer, check_pair
from mixwright.sampling import Pairing

Variant = Literal["gmix", "wide"]


@dataclass(frozen=True, kw_only=True)
class AGMix(ShareMixer):
    """Fade from one image to the other over a random ellipse.

    The bump of GMix with the covariance ``[[1, q], [q, 1]]``, turned by a random angle. The label
    weight is the mean of the mask: at 32 pixels, on average over ellipses,

        =======================================  ====  ====  ====  ====  ====  ===========
        ``lam``                                  0     0.25  0.5   0.75  1     Beta(1, 1)
        =======================================  ====  ====  ====  ====  ====  ===========
        ``variant="gmix"``                       0     0.17  0.72  0.83  1     0.50
        ``variant="wide"``                       0.18  0.22  0.30  0.45  1     0.37
        the same, ``normalise_area=False``       0.22  0.27  0.35  0.50  1     0.41
        =======================================  ====  ====  ====  ====  ====  ===========

    Args:
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off.
        q_max: q is drawn from U(-q_max, q_max), q_max in [0, 0.99]; at 0.95 the axes are at most
            as 6.2 to 1, at 0 this is GMix.
        rotate: turn each ellipse by an angle of U(0, pi); its axes are diagonal otherwise.
        variant: ``"gmix"``, the area of GMix's bump, and the image with the smaller share shows
            through; ``"wide"``, always the partner, through a bump whose variance is its share of
            the number of pixels, 2 pi times that of GMix.
        normalise_area: widen stretched ellipses so that all of one ``lam`` have one area; without
            it they shrink, to less than half at q = 0.9.
        lam: a fixed share in [0, 1] instead of a draw, for figures.
        per: ``"sample"``, an ellipse for each sample; ``"batch"``, one for all.
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> plan = AGMix(lam=1.0).plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator())
        >>> plan.weight.tolist()
        [[1.0, 0.0], [1.0, 0.0]]

    Source: Liang et al., "MiAMix: Enhancing Image Classification through a Multi-stage Augmented
    Mixed Sample Data Augmentation Method", 2023, arXiv:2308.02804; no code of the authors is
    public. Certain are the covariance with a random q and the random rotation; the law of q, how
    large the ellipse is and whose, are readings.

    Departs from the paper where it is silent: ``"gmix"``, our reading, has the area of GMix, and
    for ``lam`` below 0.5 the spot is the sample's own.
    ``AGMix(variant="wide", normalise_area=False)`` is that of two public implementations, neither
    the authors': with ``S`` the turned covariance, the sample's own share of the pixel at offset d
    from the centre is ``1 - exp(-d^T S^-1 d / (2 (1 - lam) H W))``. They write lam for the share
    that we take for the partner's, ``1 - lam``, as in the layers of MiAMix; where lam is drawn from
    Beta(alpha, alpha), both have one law.
    """

    card: ClassVar[Card] = Card(
        title="AGMix",
        paper="Liang et al., 2023",
        link="https://arxiv.org/abs/2308.02804",
        cost="one exponential of one plane a sample",
        note="A soft ellipse, stretched and turned at random.",
        formula="lam ~ Beta(alpha, alpha),  s = min(lam, 1 - lam),  c ~ a uniform pixel\n"
        "q ~ U(-q_max, q_max),  theta ~ U(0, pi)\n"
        "S = s H W / (2 pi sqrt(1 - q^2)) R(theta) [[1, q], [q, 1]] R(theta)^T\n"
        "K(p) = exp(-(p - c)^T S^-1 (p - c) / 2)\n"
        "M = K where lam < 1/2; else 1 - K\n"
        "x~ = M x + (1 - M) x'\n"
        "y~ = w y + (1 - w) y',  w = mean(M)",
        limits="Loses shares at the border as GMix does. The authors' code is not public and the "
        "paper leaves the size of the ellipse open: what is here is a reading of it. Made as one "
        "of MiAMix's masks, not to be used alone.",
        cites=("liang2023miamix",),
    )

    alpha: float = 1.0
    q_max: float = 0.95
    rotate: bool = True
    variant: Variant = "gmix"
    normalise_area: bool = True
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)
        check_number("AGMix", "q_max", self.q_max, high=0.99)

    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> DenseMask:
        """See ``MaskMethod.keep``."""
        height, width = size
        cy = sampling.integers(0, height, (len(lam),), device=lam.device, generator=generator)
        cx = sampling.integers(0, width, (len(lam),), device=lam.device, generator=generator)
        draws = sampling.uniform((2, len(lam)), device=lam.device, generator=generator)
        q = draws[0] * (2 * self.q_max) - self.q_max
        angle = draws[1] * math.pi if self.rotate else torch.zeros_like(q)
        if self.variant == "gmix":
            shows_partner, share = (lam >= 0.5).float(), torch.minimum(lam, 1 - lam)
            variance = area_variance(share, height=height, width=width)
        else:
            shows_partner, share = torch.ones_like(lam), 1 - lam
            variance = share * (height * width)
        if self.normalise_area:
            variance = variance / (1 - q * q).sqrt()
        bump = turned_bump(
            cy=cy,
            cx=cx,
            variance=variance.clamp_min(1e-6),
            correlation=q,
            angle=angle,
            height=height,
            width=width,
        )
        # A share of 0 is no spot at all, not one of a single pixel.
        sign = torch.rsub(shows_partner, 1, alpha=2) * (share > 0)  # 1 - 2 * shows_partner
        keep = bump.mul_(sign[:, None, None]).add_(shows_partner[:, None, None])
        return DenseMask(keep[:, None])
