"""What mixers of pairs have in common: a share, a mask of that share, a partner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.arguments import check_choice, check_number
from mixwright.masks.mask_forms import MaskForm, share
from mixwright.mixers.checks import check_batch
from mixwright.mixers.partnering import with_partners
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.sampling import PAIRINGS, Pairing

Per = Literal["sample", "batch"]
PERS: tuple[Per, ...] = ("sample", "batch")


class Settings(Protocol):
    """What mixers of pairs that draw a share have in common."""

    @property
    def alpha(self) -> float:
        """Both parameters of the Beta law of the share; 0 turns mixing off."""
        ...

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


class PairMixer(Settings, Protocol):
    """A mixer whose mask follows from a share: the settings, and the mask."""

    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> MaskForm:
        """Draw masks that keep about ``lam`` of the own pixels.

        Args:
            lam: ``(R,)`` float32 in [0, 1], on the device of the images.
            size: spatial sizes, in pixels.
            generator: the CPU generator.

        Returns:
            R masks in any form of ``masks.held``.
        """
        ...


def check_pair(mixer: Settings) -> None:
    """Refuse settings that no pair mixer takes; called by constructors.

    Raises:
        ValueError: ``alpha``, ``lam``, ``per`` or ``pairing`` is out of range.
    """
    name = type(mixer).__name__
    check_number(name, "alpha", mixer.alpha)
    if mixer.lam is not None:
        check_number(name, "lam", mixer.lam, high=1.0)
    check_choice(name, "per", mixer.per, PERS)
    check_choice(name, "pairing", mixer.pairing, PAIRINGS)


def draw_lam(mixer: Settings, images: Tensor, *, generator: Generator) -> Tensor:
    """Draw the shares: ``(B,)``, or ``(1,)`` where one draw serves the batch; float32."""
    count = 1 if mixer.per == "batch" else len(images)
    if mixer.lam is not None:
        return torch.full((count,), float(mixer.lam), device=images.device)
    return sampling.beta(mixer.alpha, count, like=images, generator=generator)


def pair_plan(
    mixer: PairMixer,
    images: Tensor,
    labels: Tensor | None,
    *,
    generator: Generator,
    dims: int | None = 2,
) -> MixPlan:
    """Draw shares, masks and partners; a batch of one is left as it is.

    Args:
        mixer: the settings and the mask.
        images: ``(B, C, *spatial)``.
        labels: looked at for their number only.
        generator: the CPU generator.
        dims: wanted number of spatial dimensions; None for any.

    Raises:
        ValueError: see ``check_batch``.
    """
    check_batch(type(mixer).__name__, images, labels, dims=dims)
    if len(images) == 1:
        return alone(images)
    with drawing(images):
        lam = draw_lam(mixer, images, generator=generator)
        held = mixer.keep(lam, size=tuple(images.shape[2:]), generator=generator)
        return with_partners(images, held, pairing=mixer.pairing, generator=generator, lam=lam)


def alone(images: Tensor) -> MixPlan:
    """Plan a batch of one: nobody to mix with, so the sample meets itself at share 1."""
    ones = torch.ones(len(images), device=images.device)
    partner = torch.arange(len(images), device=images.device)
    return MixPlan.pair(partner, share(ones, images.ndim - 2), lam=ones)
