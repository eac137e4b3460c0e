"""The last step of mixers that draw more than a share: masks, partners and warps become a plan."""

from __future__ import annotations

from torch import Generator, Tensor

from mixwright import sampling
from mixwright.masks.mask_forms import MaskForm
from mixwright.plan import MixPlan
from mixwright.sampling import Pairing
from mixwright.warps import Warp


def with_partners(
    images: Tensor,
    held: MaskForm,
    *,
    pairing: Pairing,
    generator: Generator,
    lam: Tensor | None = None,
    own: Tensor | None = None,
    warp: Warp | None = None,
) -> MixPlan:
    """Draw partners for masks that are already drawn.

    Args:
        images: ``(B, C, *spatial)``.
        held: masks of B samples, or of one for the whole batch.
        pairing: see ``sampling.partners``.
        generator: the CPU generator.
        lam: ``(B,)`` or ``(1,)``, the shares that were asked for, if any were.
        own: ``(B,)`` or ``(1,)``, the sample's own label weight; the mean of its mask by default.
        warp: resampling of the partners, of B rows.
    """
    count = len(images)
    return MixPlan.pair(
        sampling.partners(count, like=images, generator=generator, pairing=pairing),
        held.expand(count),
        weight=None if own is None else own.expand(count),
        warp=None if warp is None else (None, warp),
        lam=None if lam is None else lam.expand(count),
    )
