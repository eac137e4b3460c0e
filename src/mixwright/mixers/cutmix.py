"""CutMix: a box of the partner, pasted at the same place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.masks.box import box_sides, clipped_box, fitted_box, uniform_box
from mixwright.masks.mask_forms import Box
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import PairDraw, RandomPairMixer, check_pair, draw_lam
from mixwright.sampling import Pairing

Placing = Literal["official", "fit", "uniform"]


@dataclass(frozen=True, kw_only=True)
class CutMix(RandomPairMixer):
    """Paste a box of the partner into the sample.

    The box is similar to the image and has the area ``1 - lam`` before it is clipped; the label
    weight is the share of own pixels that is left, measured from the box. Works for any number of
    spatial dimensions from 1.

    Args:
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off. The
            paper uses 1.0.
        box: ``"official"``, centred on a uniform pixel and clipped at the border (at alpha 1 and
            32 pixels 0.70 of the pixels are kept on average, not 0.50); ``"fit"``, moved inside,
            so that the area is kept; ``"uniform"``, placed so that each pixel is covered equally
            often.
        minmax: ``(low, high)`` in (0, 1): sides drawn independently as these shares of the image
            instead of from a drawn ``lam``, wholly inside (timm's ``cutmix_minmax``); then
            ``alpha`` and ``box`` have no effect, and ``plan.lam`` is None. A fixed ``lam``
            overrides it.
        lam: a fixed share in [0, 1] instead of a draw, for figures.
        per: ``"sample"``, a box for each sample; ``"batch"``, one for all (the authors' code).
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> mixer = CutMix(lam=0.75, box="fit")
        >>> mixer.plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator()).weight.tolist()
        [[0.75, 0.25], [0.75, 0.25]]

    Source: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features", 2019, arXiv:1905.04899; clovaai/CutMix-PyTorch.

    Departs from the authors' code, which draws one box a batch and lets samples meet themselves:
    ``Sometimes(CutMix(per="batch", pairing="perm"), 0.5, per="batch")`` is theirs on CIFAR.
    """

    card: ClassVar[Card] = Card(
        title="CutMix",
        paper="Yun et al., ICCV 2019",
        link="https://arxiv.org/abs/1905.04899",
        dims="any",
        note="A box of the partner, pasted at the same place.",
        formula="lam ~ Beta(alpha, alpha)\n"
        "M = 0 in a box of sides sqrt(1 - lam) H and sqrt(1 - lam) W, clipped at the border; "
        "else 1\n"
        "x~ = M x + (1 - M) x'\n"
        "y~ = w y + (1 - w) y',  w = mean(M)",
        limits="The label counts pixels, not what they show: where objects are small or off the "
        "middle, a box hides the object and leaves its label, or pastes background and its label. "
        "Because boxes are clipped, the sample keeps more than was asked for; box='fit' keeps the "
        "share.",
        cites=("yun2019cutmix",),
    )

    dims: ClassVar[int | None] = None
    least_dims: ClassVar[int] = 1

    alpha: float = 1.0
    box: Placing = "official"
    minmax: tuple[float, float] | None = None
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)
        if self.minmax is not None:
            low, high = self.minmax
            if not 0 < low <= high < 1:
                raise ValueError(
                    f"CutMix: minmax is {self.minmax!r}; expected (low, high) with "
                    "0 < low <= high < 1, shares of the image's sides."
                )

    def draw(self, images: Tensor, *, generator: Generator) -> PairDraw:
        """See ``RandomPairMixer.draw``."""
        lam = draw_lam(self, images, generator=generator)
        mask = self.keep(lam, size=tuple(images.shape[2:]), generator=generator)
        # Drawn sides follow no share that was asked for.
        asked = self.minmax is None or self.lam is not None
        return PairDraw(mask=mask, lam=lam if asked else None)

    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> Box:
        """See ``MaskMethod.keep``."""
        shape = (len(lam), len(size))
        position = sampling.uniform(shape, device=lam.device, generator=generator)
        if self.minmax is not None and self.lam is None:
            low, high = self.minmax
            side = sampling.uniform(
                shape, low=low, high=high, device=lam.device, generator=generator
            )
            sides = torch.stack([side[:, k] * n for k, n in enumerate(size)], dim=1)
            return Box(fitted_box(sides.floor().long(), position, size), tuple(size))
        sides = box_sides(1 - lam, size)
        if self.box == "fit":
            edges = fitted_box(sides, position, size)
        elif self.box == "uniform":
            edges = uniform_box(sides, position, size)
        else:
            edges = clipped_box(sides, position, size)
        return Box(edges, tuple(size))
