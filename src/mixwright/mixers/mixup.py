"""MixUp: a weighted mean of two images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from mixwright.masks.mask_forms import MaskForm, share
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import ShareMixer, check_pair
from mixwright.sampling import Pairing


@dataclass(frozen=True, kw_only=True)
class MixUp(ShareMixer):
    """Average two images, pixel by pixel, by one share.

    The label weight of the sample is its share ``lam``. Works for any number of spatial
    dimensions, none included.

    Args:
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off. The
            paper uses 1.0 on CIFAR and 0.2 on ImageNet.
        lam: a fixed share in [0, 1] instead of a draw, for figures.
        per: ``"sample"``, a draw for each sample; ``"batch"``, one for all (the authors' code).
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> plan = MixUp(lam=0.75).plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator())
        >>> plan.weight.tolist()
        [[0.75, 0.25], [0.75, 0.25]]

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018, arXiv:1710.09412.

    Departs from the authors' code, which draws one share a batch and lets samples meet
    themselves: ``MixUp(per="batch", pairing="perm")`` is theirs.
    """

    card: ClassVar[Card] = Card(
        title="MixUp",
        paper="Zhang et al., ICLR 2018",
        link="https://arxiv.org/abs/1710.09412",
        dims="any",
        note="A weighted mean of two images.",
        formula="lam ~ Beta(alpha, alpha)\nx~ = lam x + (1 - lam) x'\ny~ = lam y + (1 - lam) y'",
        limits="Every pixel shows two images at once, which no camera does: where classes differ "
        "in small details, both are half as strong. It lowers confidence more than the other "
        "simple methods, so probabilities want a temperature fitted afterwards.",
        cites=("zhang2018mixup",),
    )

    dims: ClassVar[int | None] = None

    alpha: float = 1.0
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)

    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> MaskForm:
        """See ``MaskMethod.keep``; nothing is drawn."""
        return share(lam, len(size))
