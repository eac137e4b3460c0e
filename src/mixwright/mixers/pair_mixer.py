"""Mixers of pairs: a mask, a partner, and for most of them a share that the mask follows from.

Classes here are abstract and those that inherit from them are final, as in patrick-kidger/equinox:
what is written out here is never overridden, so that a mixer is read in one file, beside this one.
Users' own mixers inherit nothing; see ``Mixer``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, final, runtime_checkable

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_choice, check_number, check_settings
from mixwright.masks.mask_forms import MaskForm, share
from mixwright.mixers.mixer import PERS, Per, check_batch, check_step
from mixwright.plan import MixPlan
from mixwright.plan.labelling import as_labels
from mixwright.precision import drawing
from mixwright.sampling import PAIRINGS, Pairing
from mixwright.warps import Warp


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairDraw:
    """What a pair mixer draws beside the partners.

    Attributes:
        mask: what is kept of the samples, of B of them or of one for the whole batch.
        lam: ``(B,)`` or ``(1,)``, the shares that were asked for, if any were.
        own_weight: ``(B,)`` or ``(1,)``, the sample's own label weight; the mean of its mask by
            default.
        warp: resampling of the partners, of B rows.
    """

    mask: MaskForm
    lam: Tensor | None = None
    own_weight: Tensor | None = None
    warp: Warp | None = None

    def with_partners(self, images: Tensor, *, pairing: Pairing, generator: Generator) -> MixPlan:
        """Draw partners (see ``sampling.partners``) and plan the batch."""
        count = images.shape[0]
        return MixPlan.pair(
            draw_partners(images, pairing, generator=generator),
            self.mask.expand(count),
            weight=None if self.own_weight is None else self.own_weight.expand(count),
            warp=None if self.warp is None else (None, self.warp),
            lam=None if self.lam is None else self.lam.expand(count),
        )


class PairMixer(ABC):
    """A mixer of pairs of ours; it gives ``mix``."""

    dims: ClassVar[int | None] = 2
    """Wanted number of spatial dimensions; None for ``least_dims`` or more."""
    least_dims: ClassVar[int] = 0

    @abstractmethod
    def mix(
        self, images: Tensor, labels: Tensor | None, *, generator: Generator, model: Module | None
    ) -> MixPlan:
        """Plan two images or more, of a shape that is checked; see ``Mixer.plan``."""

    @final
    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """See ``Mixer.plan``; a batch of one is left as it is."""
        name = type(self).__name__
        check_step(name, images, generator=generator, model=model)
        if labels is not None:
            labels = as_labels(labels, device=images.device)
        check_batch(name, images, labels, dims=self.dims, least=self.least_dims)
        if images.shape[0] == 1:
            return singleton_plan(images)
        return self.mix(images, labels, generator=generator, model=model)


class RandomPairMixer(PairMixer):
    """A mixer of pairs that reads neither pixels nor labels nor model; it gives ``draw``."""

    lam: float | None
    """A fixed share instead of a draw."""
    per: Per
    pairing: Pairing

    @abstractmethod
    def draw(self, images: Tensor, *, generator: Generator) -> PairDraw:
        """Draw everything but partners; runs without gradients and autocast."""

    @final
    def mix(
        self, images: Tensor, labels: Tensor | None, *, generator: Generator, model: Module | None
    ) -> MixPlan:
        """See ``PairMixer.mix``."""
        with drawing(images):
            draw = self.draw(images, generator=generator)
            return draw.with_partners(images, pairing=self.pairing, generator=generator)


class ShareMixer(RandomPairMixer):
    """A mixer of pairs whose mask follows from a share of the Beta law; it gives ``keep``."""

    alpha: float
    """Both parameters of the Beta law of the share; 0 turns mixing off."""

    @abstractmethod
    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> MaskForm:
        """See ``MaskMethod.keep``."""

    @final
    def draw(self, images: Tensor, *, generator: Generator) -> PairDraw:
        """See ``RandomPairMixer.draw``."""
        lam = draw_lam(self, images, generator=generator)
        mask = self.keep(lam, size=tuple(images.shape[2:]), generator=generator)
        return PairDraw(mask=mask, lam=lam)


@runtime_checkable
class MaskMethod(Protocol):
    """A mixer whose masks can be had for any share; ``MiAMix`` stacks them."""

    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> MaskForm:
        """Draw masks that keep about ``lam`` of the own pixels.

        Args:
            lam: ``(R,)`` float32 in [0, 1], on the device of the images.
            size: spatial sizes, in pixels.
            generator: the CPU generator.

        Returns:
            R masks in any form of ``masks.mask_forms``.
        """
        ...


class PairSettings(Protocol):
    """Settings that all mixers of pairs have; some have ``alpha`` too."""

    @property
    def lam(self) -> float | None:
        """A fixed share instead of a draw."""
        ...

    @property
    def per(self) -> Per:
        """Whether each sample or each batch has a draw of its own."""
        ...

    @property
    def pairing(self) -> Pairing:
        """See ``sampling.partners``."""
        ...


class BetaSettings(PairSettings, Protocol):
    """Settings of mixers that draw a share of the Beta law."""

    @property
    def alpha(self) -> float:
        """Both parameters of the Beta law of the share; 0 turns mixing off."""
        ...


def check_pair(mixer: PairSettings) -> None:
    """Refuse settings (``alpha``, ``lam``, ``per``, ``pairing``) that no pair mixer takes.

    Called by constructors; raises a ValueError.
    """
    check_settings(mixer)
    name = type(mixer).__name__
    check_number(name, "alpha", getattr(mixer, "alpha", 0.0))  # some have none
    if mixer.lam is not None:
        check_number(name, "lam", mixer.lam, high=1.0)
    check_choice(name, "per", mixer.per, PERS)
    check_choice(name, "pairing", mixer.pairing, PAIRINGS)


def draw_lam(mixer: BetaSettings, images: Tensor, *, generator: Generator) -> Tensor:
    """Draw the shares: ``(B,)``, or ``(1,)`` where one draw serves the batch; float32."""
    count = count_draws(mixer.per, images)
    if mixer.lam is not None:
        return torch.full((count,), float(mixer.lam), device=images.device, dtype=torch.float32)
    return sampling.beta(mixer.alpha, count, device=images.device, generator=generator)


def draw_partners(images: Tensor, pairing: Pairing, *, generator: Generator) -> Tensor:
    """Draw the partner of each sample of a batch; see ``sampling.partners``."""
    return sampling.partners(
        images.shape[0], device=images.device, generator=generator, pairing=pairing
    )


def count_draws(per: Per, images: Tensor) -> int:
    """Give how many draws a batch needs: one for each image, or one for all."""
    return 1 if per == "batch" else images.shape[0]


def singleton_plan(images: Tensor) -> MixPlan:
    """Plan a batch of one: there is no partner, so the sample meets itself at share 1."""
    ones = torch.ones(len(images), device=images.device, dtype=torch.float32)
    partner = torch.arange(len(images), device=images.device)
    return MixPlan.pair(partner, share(ones, images.ndim - 2), lam=ones)
