"""SmoothMix: a wide Gaussian spot of the partner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.arguments import check_range
from mixwright.masks.gaussian import gaussian_factors
from mixwright.masks.mask_forms import SeparableMask
from mixwright.mixers.cards import Card
from mixwright.mixers.gmix import calibrated_spot
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import PairDraw, RandomPairMixer, check_pair, count_draws
from mixwright.sampling import Pairing


@dataclass(frozen=True, kw_only=True)
class SmoothMix(RandomPairMixer):
    """Fade to the partner around a uniform pixel.

    The width of the spot is drawn, not its share; the label weight is the mean of the mask (at 32
    pixels the partner's is 0.43 on average, from 0.12 to 0.73).

    Args:
        sigma: least and most standard deviation of the spot, as shares of the shorter side, above
            0; the paper uses (0.25, 0.5).
        invert_labels: give the sample the partner's label weight and the partner the sample's, as
            openmixup does by mistake. For comparison with its figures, never for new ones.
        lam: a fixed share in [0, 1] of own pixels instead of a draw, for figures; the spot is
            made as wide as that takes, whatever ``sigma``.
        per: ``"sample"``, a spot for each sample; ``"batch"``, one for all (openmixup).
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> plan = SmoothMix(lam=0.75).plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator())
        >>> plan.weight.round(decimals=3)
        tensor([[0.7500, 0.2500],
                [0.7500, 0.2500]])

    Source: Lee et al., "SmoothMix: a Simple Yet Effective Data Augmentation to Train Robust
    Classifiers", CVPR Workshops 2020; Westlake-AI/openmixup.

    Departs from openmixup, which gives the partner's label the sample's share.
    """

    card: ClassVar[Card] = Card(
        title="SmoothMix",
        paper="Lee et al., CVPR Workshops 2020",
        link="https://github.com/Westlake-AI/openmixup",
        note="A wide soft spot of the partner.",
        formula="c ~ a uniform pixel,  sigma ~ U(0.25, 0.5) min(H, W)\n"
        "M(p) = 1 - exp(-|p - c|^2 / (2 sigma^2))\n"
        "x~ = M x + (1 - M) x'\n"
        "y~ = w y + (1 - w) y',  w = mean(M)",
        limits="The width of the spot is drawn, not its share, so that no mixture is mild: at 32 "
        "pixels the partner has 0.43 on average, from 0.12 to 0.73. Figures published of a port of "
        "it were made with the two labels swapped (invert_labels=True).",
        cites=("lee2020smoothmix",),
    )

    sigma: tuple[float, float] = (0.25, 0.5)
    invert_labels: bool = False
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_range("SmoothMix", "sigma", self.sigma, open_low=True)
        check_pair(self)

    def draw(self, images: Tensor, *, generator: Generator) -> PairDraw:
        """See ``RandomPairMixer.draw``."""
        lam, spot = self._spot(images, generator=generator)
        inverted = 1 - spot.means()[:, 0] if self.invert_labels else None
        return PairDraw(mask=spot, lam=lam, own_weight=inverted)

    def _spot(self, images: Tensor, *, generator: Generator) -> tuple[Tensor | None, SeparableMask]:
        height, width = images.shape[2:]
        rows = count_draws(self.per, images)
        cy = sampling.integers(0, height, (rows,), device=images.device, generator=generator)
        cx = sampling.integers(0, width, (rows,), device=images.device, generator=generator)
        if self.lam is not None:
            lam = torch.full((rows,), float(self.lam), device=images.device, dtype=torch.float32)
            partners = torch.zeros_like(cy, dtype=torch.bool)
            spot = calibrated_spot(1 - lam, shows_own=partners, cy=cy, cx=cx, size=(height, width))
            return lam, spot
        low, high = self.sigma
        side = min(height, width)
        sigma = sampling.uniform(
            (rows,), low=low * side, high=high * side, device=images.device, generator=generator
        )
        ones = torch.ones_like(sigma)
        rows, columns = gaussian_factors(cy, cx, sigma * sigma, height=height, width=width)
        return None, SeparableMask(rows=rows, columns=columns, base=ones, scale=-ones)
