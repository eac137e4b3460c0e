"""SnapMix: a box of the partner, resized into another box, labels by what the boxes mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_number
from mixwright.masks.box import box_sides, clipped_box
from mixwright.masks.mask_forms import Box
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import PairDraw, PairMixer, check_pair, count_draws
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.saliency import Saliency, SaliencyWord, check_saliency, salience
from mixwright.sampling import Pairing
from mixwright.warps import Rect


@dataclass(frozen=True, kw_only=True)
class SnapMix(PairMixer):
    """Resize a box of the partner into a box of the sample; weigh labels by what each box holds.

    Two boxes are drawn independently, each of area ``1 - lam`` with its own ``lam``, clipped at
    the border. A map of what matters sums to 1 over each image: the sample keeps
    ``1 - (sum of its map in the target box)``, the partner brings the sum of its map in the
    source box. The two weights need not sum to 1; use a loss that is linear in the target, such as
    cross-entropy. Where a box is empty nothing is mixed.

    Args:
        beta: both parameters of the Beta law of each ``lam``, at least 0; 0 turns mixing off. The
            paper uses 5 for pretrained networks, and 1 with ``Sometimes(SnapMix(beta=1.0), 0.5)``
            from scratch.
        official_same_label: give both sources of one class both weights, as the authors' code
            does: the class then counts twice. Needs labels.
        saliency: what the boxes are weighed by; see ``mixwright.saliency``. The paper's is the
            class activation map of the label, which needs model and labels.
        lam: a fixed share in [0, 1] for both boxes instead of draws, for figures.
        per: ``"sample"``, two boxes for each sample; ``"batch"``, two for all (the authors' code).
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> even = torch.ones(2, 8, 8)
        >>> mixer = SnapMix(saliency=lambda *_, **__: even)
        >>> plan = mixer.plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator())
        >>> bool((plan.weight.sum(dim=1) <= 2).all())
        True

    Source: Huang et al., "SnapMix: Semantically Proportional Mixing for Augmenting Fine-grained
    Data", 2020, arXiv:2012.04846; Shaoli-Huang/SnapMix: utils/mixmethod.py.

    Departs from the authors' code, which draws one pair of boxes a batch, lets samples meet
    themselves, counts pairs of one class twice, and looks through the model in training mode:
    ``SnapMix(per="batch", pairing="perm", official_same_label=True)`` comes closest. Maps that
    are constant or not finite count all pixels alike, in each box by itself.
    """

    card: ClassVar[Card] = Card(
        title="SnapMix",
        paper="Huang, Wang and Tao, AAAI 2021",
        link="https://arxiv.org/abs/2012.04846",
        needs="model",
        cost="two passes over the pixels",
        forwards=2,
        note="A box of the partner resized into another box; labels weigh by what the class "
        "activation maps hold in them; needs labels too.",
        labels="content",
        formula="lam, lam' ~ Beta(beta, beta)\n"
        "x~ = x, with a box of x' of area 1 - lam' resized into a box b of x of area 1 - lam; b' "
        "is the box in x'\n"
        "S, S' = class activation maps of x and x', each of sum 1\n"
        "y~ = (1 - sum of S in b) y + (sum of S' in b') y'",
        limits="Label weights need not sum to 1, so the loss must be linear in the target "
        "(cross-entropy is; binary cross-entropy is not). Made for fine-grained sets and networks "
        "trained before: from scratch its activation maps say little at first.",
        cites=("huang2021snapmix",),
    )

    beta: float = 5.0
    official_same_label: bool = False
    saliency: Saliency | SaliencyWord = "cam"
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)
        check_number("SnapMix", "beta", self.beta)
        check_saliency("SnapMix", self.saliency)

    def mix(
        self, images: Tensor, labels: Tensor | None, *, generator: Generator, model: Module | None
    ) -> MixPlan:
        """See ``PairMixer.mix``; model and labels are needed where the saliency needs them."""
        if self.official_same_label and labels is None:
            raise ValueError(
                "SnapMix: labels missing; official_same_label compares them. Pass labels=... to "
                "plan(), or leave official_same_label out."
            )
        maps = salience(self.saliency, images, labels, model=model, name="SnapMix")
        size = (images.shape[2], images.shape[3])
        with drawing(images):
            lam = self._lam(images, generator=generator)
            target, source = (
                _box(share, size, generator=generator).expand(len(images), 2, 2) for share in lam
            )
            target, source, mixed = whole_or_nothing(target, source)
            warp = Rect(
                source=source.float(), target=target.float(), size=size, interpolation="corners"
            )
            draw = PairDraw(mask=Box(target, size), lam=lam[0], warp=warp)
            plan = draw.with_partners(images, pairing=self.pairing, generator=generator)
            partner = plan.index[:, 1]
            weight = shares_of(maps, maps[partner], target=target, source=source)
            if labels is not None and self.official_same_label:
                same = (labels == labels[partner]).view(len(labels), -1).all(dim=1) & mixed
                weight = torch.where(same[:, None], weight.sum(dim=1, keepdim=True), weight)
            return plan.replace(weight=weight)

    def _lam(self, images: Tensor, *, generator: Generator) -> Tensor:
        """Draw the shares of both boxes, ``(2, B)`` or ``(2, 1)``."""
        rows = count_draws(self.per, images)
        if self.lam is not None:
            return torch.full((2, rows), float(self.lam), device=images.device, dtype=torch.float32)
        return sampling.beta(self.beta, 2 * rows, device=images.device, generator=generator).view(
            2, rows
        )


def whole_or_nothing(target: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Empty both boxes ``(B, 2, 2)`` where either is; also return where they are not, ``(B,)``."""
    mixed = ((target[..., 1] > target[..., 0]) & (source[..., 1] > source[..., 0])).all(dim=1)
    some = mixed[:, None, None]
    return torch.where(some, target, 0), torch.where(some, source, 0), mixed


def shares_of(own: Tensor, other: Tensor, *, target: Tensor, source: Tensor) -> Tensor:
    """Return label weights ``(B, 2)``: what stays of the own map, what comes of the partner's.

    ``target`` is the box of the sample that is covered, ``source`` that of the partner that is
    shown, ``(B, 2, 2)`` both; maps ``(B, H, W)`` sum to 1.

    Example:
        >>> even, half = torch.full((1, 2, 2), 0.25), torch.tensor([[[0, 2], [0, 1]]])
        >>> shares_of(even, even, target=half, source=torch.tensor([[[0, 1], [0, 1]]]))
        tensor([[0.5000, 0.2500]])
    """
    size = (own.shape[1], own.shape[2])
    covered, brought = (
        (maps * Box(edges, size).hit()[:, 0]).sum(dim=(1, 2))
        for maps, edges in ((own, target), (other, source))
    )
    return torch.stack([1 - covered, brought], dim=1).clamp(0, 1)


def _box(lam: Tensor, size: tuple[int, int], *, generator: Generator) -> Tensor:
    position = sampling.uniform((len(lam), 2), device=lam.device, generator=generator)
    return clipped_box(box_sides(1 - lam, size), position, size)
