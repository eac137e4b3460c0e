"""SaliencyGrafting: some of the partner's salient blocks, labels by the saliency they carry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_number, check_whole
from mixwright.masks.mask_forms import DenseMask
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import PairMixer, check_pair, draw_lam, draw_partners
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.saliency import Saliency, SaliencyWord, blocks_of, check_saliency, salience
from mixwright.sampling import Pairing

# Blocks that differ by less than a thousandth of their mean, or fail the threshold by less, count
# as equal: the sums of even maps differ by rounding.
_EQUAL = 1e-3


@dataclass(frozen=True, kw_only=True)
class SaliencyGrafting(PairMixer):
    """Graft salient blocks of the partner, each by chance, onto the sample.

    Blocks of the partner whose softened saliency is at least average are candidates, and each is
    taken with chance ``1 - lam``. The partner's label weight is its saliency in the grafted blocks
    divided by that plus what is left of the sample's.

    Args:
        grid: blocks in a row and in a column, at least 1; where it does not divide both sides of
            the image, the next smaller number that does (in the end 1, the whole image).
        temperature: of the softmax over the standardised saliency of blocks, above 0. A larger one
            adds blocks above the mean to the candidates, a smaller one leaves the peaks.
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off.
        saliency: what blocks are weighed by; see ``mixwright.saliency``. The gradient
            of the loss needs model and labels.
        lam: a fixed share in [0, 1] of candidate blocks that stay the sample's own, instead of a
            draw, for figures; 1 mixes nothing.
        per: ``"sample"``, a ``lam`` for each sample; ``"batch"``, one for all. Blocks are drawn for
            each sample.
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> left = torch.zeros(2, 8, 8)
        >>> left[:, :, :4] = 1.0
        >>> mixer = SaliencyGrafting(grid=2, lam=0.0, saliency=lambda *_, **__: left)
        >>> plan = mixer.plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator())
        >>> plan.mask[0, 1].tolist(), plan.weight[0].tolist()
        ([[1.0, 0.0], [1.0, 0.0]], [0.0, 1.0])

    Source: Park et al., "Saliency Grafting: Innocuous Attribution-Guided Mixup with Calibrated
    Label Mixing", 2022, arXiv:2112.08796.

    Written without the authors' code. The grid of 8 by 8 blocks, the law Beta(1, 1) of the chance,
    the standardised softmax and the sum as the norm of the label's ratio are readings of ours.
    """

    card: ClassVar[Card] = Card(
        title="SaliencyGrafting",
        paper="Park et al., AAAI 2022",
        link="https://arxiv.org/abs/2112.08796",
        needs="model",
        forwards=2,
        input_backwards=1,
        note="Salient blocks of the partner, drawn by chance; labels weigh by saliency; needs "
        "labels too.",
        labels="content",
        formula="lam ~ Beta(alpha, alpha),  S, S' = saliency of x and x' on a grid of blocks, "
        "each of sum 1\n"
        "q = softmax(standardised S' / temperature)\n"
        "G = Bernoulli(1 - lam) where q is at least its mean; else 0\n"
        "x~ = (1 - G) x + G x'\n"
        "y~ = w y + (1 - w) y',  w = sum((1 - G) S) / (sum((1 - G) S) + sum(G S'))",
        limits="Written without the authors' code; block size, threshold and the norm of the label "
        "are readings. A forward and a backward more in each step; before the model has learned "
        "something, both blocks and labels follow noise.",
        cites=("park2022grafting",),
    )

    grid: int = 8
    temperature: float = 1.0
    alpha: float = 1.0
    saliency: Saliency | SaliencyWord = "gradient"
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)
        check_whole("SaliencyGrafting", "grid", self.grid, low=1)
        check_number("SaliencyGrafting", "temperature", self.temperature, open_low=True)
        check_saliency("SaliencyGrafting", self.saliency)

    def mix(
        self, images: Tensor, labels: Tensor | None, *, generator: Generator, model: Module | None
    ) -> MixPlan:
        """See ``PairMixer.mix``; model and labels are needed where the saliency needs them."""
        maps = salience(self.saliency, images, labels, model=model, name="SaliencyGrafting")
        count, (height, width) = len(images), images.shape[2:]
        side = common_grid(self.grid, height, width)
        with drawing(images):
            lam = draw_lam(self, images, generator=generator).expand(count)
            partner = draw_partners(images, self.pairing, generator=generator)
            chance = sampling.uniform(
                (count, side, side), device=images.device, generator=generator
            )
            own = blocks_of(maps, (side, side))
            other = own[partner]
            graft = candidates(other, self.temperature) & (chance < (1 - lam).view(-1, 1, 1))
            return MixPlan.pair(
                partner,
                DenseMask(~graft[:, None]),
                weight=1 - grafted_share(graft, own, other),
                lam=lam,
            )


def common_grid(grid: int, height: int, width: int) -> int:
    """Return the largest number up to ``grid`` that divides both sides.

    Example:
        >>> common_grid(8, 224, 224), common_grid(8, 24, 40), common_grid(8, 33, 17)
        (8, 8, 1)
    """
    shared = math.gcd(height, width)
    return max(side for side in range(1, min(grid, shared) + 1) if shared % side == 0)


def candidates(blocks: Tensor, temperature: float) -> Tensor:
    """Mark the blocks whose softened saliency is at least the mean of all: ``(B, h, w)`` bool.

    That is ``softmax(z / temperature) >= 1 / (h w)``, where z has mean 0 and deviation 1 over each
    map; all True for an even map.
    """
    flat = blocks.flatten(1)
    cells = flat.shape[1]
    spread = flat.std(dim=1, correction=0, keepdim=True).clamp_min(_EQUAL / cells)
    score = (flat - flat.mean(dim=1, keepdim=True)) / spread / temperature
    salient = score.log_softmax(dim=1) >= -math.log(cells) - _EQUAL
    return salient.view(blocks.shape)


def grafted_share(graft: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """Return the share of the partner's saliency in all that is shown, ``(B,)``.

    ``graft`` ``(B, h, w)`` marks the blocks that show the partner. Where what is shown has no
    saliency, it is the share of blocks.
    """
    brought = (graft * other).sum(dim=(1, 2))
    total = brought + (~graft * own).sum(dim=(1, 2))
    area = graft.float().mean(dim=(1, 2))
    return torch.where(total > 0, brought / total.clamp_min(1e-30), area)
