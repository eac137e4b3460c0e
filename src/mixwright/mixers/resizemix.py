"""ResizeMix: the whole partner, made small, pasted somewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.arguments import check_number, check_range
from mixwright.constants import lengths
from mixwright.masks.box import clipped_box, fitted_box
from mixwright.masks.mask_forms import Box
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import PairDraw, RandomPairMixer, check_pair, count_draws
from mixwright.sampling import Pairing
from mixwright.warps import Interpolation, Rect, whole_image

Law = Literal["uniform", "beta"]
Placement = Literal["fit", "official-clip"]


@dataclass(frozen=True, kw_only=True)
class ResizeMix(RandomPairMixer):
    """Shrink the whole partner and paste it at a random place.

    Both sides shrink by a factor tau, so the partner's label weight is about ``tau ** 2``; it is
    measured from the box.

    Args:
        scope: least and most tau, in (0, 1]; the paper uses (0.1, 0.8).
        law: ``"uniform"``, tau of U(scope), the paper's; ``"beta"``, tau of Beta(alpha, alpha),
            drawn anew from U(scope) where it is outside (openmixup).
        alpha: both parameters of that Beta law, above 0; read for ``law="beta"`` only.
        interpolation: ``"nearest"``, exact for every dtype, the authors'; ``"bilinear"``;
            ``"antialias"``, bilinear over all pixels that a pixel stands for.
        placement: ``"fit"``, wholly inside (the authors' code); ``"official-clip"``, centred on a
            uniform pixel and clipped, the whole partner squeezed into what is left (openmixup).
        lam: a fixed share in [0, 1] of own pixels instead of a draw, for figures;
            ``tau = sqrt(1 - lam)``, whatever the scope.
        per: ``"sample"``, a tau for each sample; ``"batch"``, one for all (the authors' code).
            Every sample has a place of its own.
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> mixer = ResizeMix(lam=0.75)
        >>> mixer.plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator()).weight.tolist()
        [[0.75, 0.25], [0.75, 0.25]]

    Source: Qin et al., "ResizeMix: Mixing Data with Preserved Object Information and True
    Labels", 2020, arXiv:2012.11101; JayQine/ResizeMix.

    Departs from the authors' code in drawing a tau for each sample, and by at most a pixel in
    what nearest means: ``floor(r * H / height of the box)``.
    """

    card: ClassVar[Card] = Card(
        title="ResizeMix",
        paper="Qin et al., 2020",
        link="https://arxiv.org/abs/2012.11101",
        cost="two passes over the pixels",
        note="The whole partner, made small, pasted somewhere.",
        formula="tau ~ U(scope)\n"
        "x~ = x, with x' resized to tau H by tau W and pasted at a random place\n"
        "y~ = w y + (1 - w) y',  w = 1 - area of the box / (H W), about 1 - tau^2",
        limits="The partner is always whole but small: where size tells classes apart, or details "
        "do, what it teaches is wrong. On small images much of the partner is lost; its pixels are "
        "picked, not averaged, unless interpolation='bilinear'.",
        cites=("qin2020resizemix",),
    )

    scope: tuple[float, float] = (0.1, 0.8)
    law: Law = "uniform"
    alpha: float = 1.0
    interpolation: Interpolation = "nearest"
    placement: Placement = "fit"
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)
        check_range("ResizeMix", "scope", self.scope, high=1.0, open_low=True)
        check_number("ResizeMix", "alpha", self.alpha, open_low=True)

    def draw(self, images: Tensor, *, generator: Generator) -> PairDraw:
        """See ``RandomPairMixer.draw``."""
        count, (height, width) = len(images), images.shape[2:]
        tau = self._tau(images, generator=generator)
        # A side of floor(tau * H) must not lose a pixel to the rounding of a square root.
        sides = (tau[:, None] * lengths((height, width), images.device) + 1e-3).long()
        position = sampling.uniform((count, 2), device=images.device, generator=generator)
        put = fitted_box if self.placement == "fit" else clipped_box
        edges = put(sides.expand(count, 2), position, (height, width))
        warp = Rect(
            source=whole_image((height, width), images.device).expand(count, 2, 2),
            target=edges.float(),
            size=(height, width),
            interpolation=self.interpolation,
        )
        return PairDraw(mask=Box(edges, (height, width)), lam=1 - tau * tau, warp=warp)

    def _tau(self, images: Tensor, *, generator: Generator) -> Tensor:
        rows = count_draws(self.per, images)
        if self.lam is not None:
            return torch.full(
                (rows,), (1 - self.lam) ** 0.5, device=images.device, dtype=torch.float32
            )
        low, high = self.scope
        tau = sampling.uniform(
            (rows,), low=low, high=high, device=images.device, generator=generator
        )
        if self.law == "uniform":
            return tau
        drawn = sampling.beta(self.alpha, rows, device=images.device, generator=generator)
        return torch.where((drawn >= low) & (drawn <= high), drawn, tau)
