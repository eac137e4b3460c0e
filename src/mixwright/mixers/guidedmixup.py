"""GuidedMixup: each pixel shared by how salient it is in either image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright.arguments import check_settings
from mixwright.masks.blocks import area_mean
from mixwright.mixers.cards import Card
from mixwright.mixers.pair_mixer import PairMixer, draw_partners
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.saliency import Saliency, SaliencyWord, check_saliency, salience
from mixwright.saliency.filters import blurred, by_parts, check_blur
from mixwright.sampling import Pairing

GuidedPairing = Literal["greedy"] | Pairing

_LONGEST = 32  # pixels of the maps that are compared


@dataclass(frozen=True, kw_only=True)
class GuidedMixup(PairMixer):
    """Mix each pixel in proportion to its saliency in the two images, and pair what differs.

    Maps are blurred and scaled to sum 1; a sample keeps ``own / (own + partner's)`` of a pixel,
    one half where both are 0. Its label weight is the mean of that. There is no ``lam``, and with
    greedy pairing no draw at all: equal batches give equal plans. The paper mixes a part of the
    batches only: ``Sometimes(GuidedMixup(), 0.5, per="batch")``.

    Args:
        saliency: a provider of ``mixwright.saliency``, or a word for one. ``"spectral"`` needs no
            model (the paper's SR); ``"gradient"`` needs model and labels (the paper's AP, which
            is applied with chance 0.8).
        blur: width of the Gaussian kernel for the maps, in pixels, odd; 1 for none. The paper
            uses 7.
        sigma: of that Gaussian, in pixels, above 0; the paper uses 3.
        pairing: ``"greedy"``, one cycle through the batch along large distances between maps,
            see ``farthest_cycle``; or see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> plan = GuidedMixup().plan(images, generator=torch.Generator())
        >>> bool((plan.weight.sum(dim=1) == 1).all())
        True

    Source: Kang and Kim, "GuidedMixup: An Efficient Mixup Strategy Guided by Saliency Maps",
    AAAI 2023, arXiv:2306.16612; 3neutronstar/GuidedMixup.

    Departs from the authors' code, whose pairing on CIFAR and Tiny-ImageNet is a random
    permutation (``pairing="perm"``), and whose gradient saliency leaves batch norm in training
    mode (``InputGradient(train_mode=True)``). Maps larger than 32 pixels are compared after area
    means.
    """

    card: ClassVar[Card] = Card(
        title="GuidedMixup",
        paper="Kang and Kim, AAAI 2023",
        link="https://arxiv.org/abs/2306.16612",
        cost="two Fourier transforms of one plane a sample, and a pairing of the batch",
        note="Pixel by pixel the share of the more salient image, partners chosen to overlap "
        "little; with saliency=gradient it needs model and labels.",
        formula="S, S' = saliency of x and x', blurred, each of sum 1\n"
        "M = S / (S + S'), pixel by pixel; 1/2 where both are 0\n"
        "x~ = M x + (1 - M) x'\n"
        "y~ = w y + (1 - w) y',  w = mean(M)\n"
        "partners: a cycle through the batch along large |S - S'|",
        limits="Nothing is drawn: the same batch gives the same mixtures, so variety comes from "
        "the shuffling alone, and every image is mixed near half and half. Use it on a part of the "
        "batches, as the paper does: Sometimes(GuidedMixup(), 0.5, per='batch'). Pairing walks "
        "through the batch one image after another.",
        cites=("kang2023guidedmixup",),
    )

    saliency: Saliency | SaliencyWord = "spectral"
    blur: int = 7
    sigma: float = 3.0
    pairing: GuidedPairing = "greedy"

    def __post_init__(self) -> None:
        check_settings(self)
        check_saliency("GuidedMixup", self.saliency)
        check_blur("GuidedMixup", self.blur, self.sigma)

    def mix(
        self, images: Tensor, labels: Tensor | None, *, generator: Generator, model: Module | None
    ) -> MixPlan:
        """See ``PairMixer.mix``; labels and model are read as far as ``saliency`` needs them."""
        found = salience(self.saliency, images, labels, model=model, name="GuidedMixup")
        with drawing(images):
            found = by_parts(self._blurred, found)
            partner = self._partners(images, found, generator=generator)
            keep = by_parts(
                lambda mine, other: _shares(mine, found.index_select(0, other)), found, partner
            )
            return MixPlan.pair(partner, keep[:, None])

    def _blurred(self, maps: Tensor) -> Tensor:
        maps = blurred(maps, width=self.blur, sigma=self.sigma)
        return maps / maps.sum(dim=(1, 2), keepdim=True)

    def _partners(self, images: Tensor, found: Tensor, *, generator: Generator) -> Tensor:
        if self.pairing == "greedy":
            return farthest_cycle(map_distances(found))
        return draw_partners(images, self.pairing, generator=generator)


def _shares(mine: Tensor, others: Tensor) -> Tensor:
    """Divide each pixel in proportion to two maps; ``others`` is written."""
    total = others.add_(mine)
    # One half where both are 0; in numbers, for comparisons take five times as long.
    nothing = torch.rsub(total, 1, alpha=1e38).clamp_min_(0)
    return (mine / total.clamp_min_(1e-38)).add_(nothing, alpha=0.5)


def map_distances(maps: Tensor) -> Tensor:
    """Return the squared l2 distances between maps ``(B, H, W)``, ``(B, B)`` up to rounding.

    Sides above 32 pixels are reduced to 32 by area means.

    Example:
        >>> map_distances(torch.tensor([[[0.0, 1.0]], [[2.0, 1.0]]])).tolist()
        [[0.0, 4.0], [4.0, 0.0]]
    """
    flat = area_mean(maps, [min(side, _LONGEST) for side in maps.shape[1:]]).flatten(1)
    flat = flat - flat.mean(dim=0)  # what all share would cost digits
    square = flat.square().sum(dim=1)
    return square[:, None] + square - 2 * (flat @ flat.T)


def farthest_cycle(distance: Tensor) -> Tensor:
    """Lead one cycle through all samples, always on to the farthest that is left.

    It begins with the largest of the ``(B, B)`` distances, B at least 2, from the row to the
    column; the diagonal is not looked at. Each has the next sample of the cycle, ``(B,)``.

    Example:
        >>> distance = torch.tensor([[0.0, 1.0, 9.0], [1.0, 0.0, 2.0], [9.0, 2.0, 0.0]])
        >>> farthest_cycle(distance).tolist()
        [2, 0, 1]
    """
    count = len(distance)
    left = distance.clone().fill_diagonal_(-torch.inf)
    here = left.amax(dim=1).argmax().view(1)
    path = [here]
    for _ in range(count - 1):
        left.index_fill_(1, here, -torch.inf)
        here = left.index_select(0, here).argmax(dim=1)
        path.append(here)
    order = torch.cat(path)
    return torch.empty_like(order).scatter_(0, order, order.roll(-1))
