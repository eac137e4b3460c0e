"""SaliencyMix: a box of the partner, around what matters most in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright.masks.box import box_sides, clipped_box
from mixwright.masks.mask_forms import Box
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import PairMixer, check_pair, draw_lam, draw_partners
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.saliency import Saliency, SaliencyWord, check_saliency, salience
from mixwright.sampling import Pairing


@dataclass(frozen=True, kw_only=True)
class SaliencyMix(PairMixer):
    """Paste the box around the partner's most salient pixel into the sample.

    The box is CutMix's, similar to the image and of the area ``1 - lam`` before it is clipped at
    the border; it lies at the same place in both images. The label weight is the share of own
    pixels that is left, measured from the box.

    Args:
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off. The
            paper uses 1.0.
        saliency: a provider of ``mixwright.saliency``, or a word for one. ``"gradient"`` needs
            model and labels; ``"fine_grained"`` needs neither and is the paper's.
        lam: a fixed share in [0, 1] instead of a draw, for figures.
        per: ``"sample"``, a box for each sample; ``"batch"``, one for all, around the peak of the
            first sample's partner (the authors' code).
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> images = torch.zeros(2, 3, 8, 8)
        >>> images[1, :, 2, 4] = 1.0
        >>> mixer = SaliencyMix(saliency="fine_grained", lam=0.75)
        >>> plan = mixer.plan(images, generator=torch.Generator())
        >>> plan.boxes[0].tolist(), plan.weight[0].tolist()
        ([[0, 4], [2, 6]], [0.75, 0.25])

    Source: Uddin et al., "SaliencyMix: A Saliency Guided Data Augmentation Strategy for Better
    Regularization", ICLR 2021, arXiv:2006.01791; SaliencyMix/SaliencyMix.

    Departs from the authors' code, which looks at one image a batch, lets samples meet themselves,
    and hands OpenCV floating pixels, which its fine-grained saliency reads as bytes: the peaks it
    finds have no relation to the image. ``Sometimes(SaliencyMix(saliency="fine_grained",
    per="batch", pairing="perm"), 0.5, per="batch")`` is theirs on CIFAR, with true peaks.
    """

    card: ClassVar[Card] = Card(
        title="SaliencyMix",
        paper="Uddin et al., ICLR 2021",
        link="https://arxiv.org/abs/2006.01791",
        needs="model",
        forwards=2,
        input_backwards=1,
        note="A box of the partner around its most salient pixel; needs labels too.",
        formula="lam ~ Beta(alpha, alpha),  s = saliency of x'\n"
        "M = 0 in a box of sides sqrt(1 - lam) H and sqrt(1 - lam) W around the peak of s, "
        "clipped at the border; else 1\n"
        "x~ = M x + (1 - M) x'\n"
        "y~ = w y + (1 - w) y',  w = mean(M)",
        limits="Worth no more than its saliency: in the first epochs the model's is noise, and a "
        "forward and a backward are paid for it. The same image gives much the same box whenever "
        "the model has settled, so there is less variety than in CutMix.",
        cites=("uddin2021saliencymix",),
    )

    alpha: float = 1.0
    saliency: Saliency | SaliencyWord = "gradient"
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)
        check_saliency("SaliencyMix", self.saliency)

    def mix(
        self, images: Tensor, labels: Tensor | None, *, generator: Generator, model: Module | None
    ) -> MixPlan:
        """See ``PairMixer.mix``; labels and model are read as far as ``saliency`` needs them."""
        count, size = len(images), tuple(images.shape[2:])
        with drawing(images):
            lam = draw_lam(self, images, generator=generator)
            partner = draw_partners(images, self.pairing, generator=generator)
        peak = self._peaks(images, labels, partner, model=model)
        with drawing(images):
            height, width = size
            # Centres of pixels as shares of the sides, as drawn positions are.
            row = (peak.div(width, rounding_mode="floor").float() + 0.5) / height
            column = (peak.remainder(width).float() + 0.5) / width
            position = torch.stack([row, column], dim=1)
            edges = clipped_box(box_sides(1 - lam, size), position, size)
            keep = Box(edges, size).expand(count)
            return MixPlan.pair(partner, keep, lam=lam.expand(count))

    def _peaks(
        self, images: Tensor, labels: Tensor | None, partner: Tensor, *, model: Module | None
    ) -> Tensor:
        """Give the most salient pixel of each partner, or of the first one's only."""
        if self.per == "batch":
            first = partner[:1]
            images, labels = images[first], None if labels is None else labels[first]
        found = salience(self.saliency, images, labels, model=model, name="SaliencyMix")
        peak = found.flatten(1).argmax(dim=1)
        return peak if self.per == "batch" else peak[partner]
