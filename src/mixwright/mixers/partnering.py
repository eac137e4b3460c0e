"""The last step of mixers that draw more than a share: masks, partners and warps become a plan."""

from __future__ import annotations

from typing import cast

from torch import Generator, Tensor

from mixwright import sampling
from mixwright.masks.held import Held
from mixwright.mixers.mixer import check_number
from mixwright.plan import MixPlan
from mixwright.sampling import Pairing
from mixwright.warps import Warp

Range = tuple[float, float]


def with_partners(
    images: Tensor,
    held: Held,
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


def check_range(
    name: str,
    argument: str,
    value: object,
    *,
    low: float = 0.0,
    high: float = float("inf"),
    open_low: bool = False,
) -> None:
    """Refuse anything but a pair of numbers in rising order.

    Raises:
        ValueError: ``value`` is no pair, a number is out of range, or the first is the larger.
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{name}: {argument} is {value!r}; expected two numbers, (low, high).")
    first, second = cast(Range, value)
    for number in (first, second):
        check_number(name, argument, number, low=low, high=high, open_low=open_low)
    if first > second:
        raise ValueError(
            f"{name}: {argument} is {value!r}; expected (low, high) with low <= high. Swap them."
        )


def check_whole(name: str, argument: str, value: object, *, low: int) -> None:
    """Refuse anything but a whole number from ``low``.

    Raises:
        ValueError: ``value`` is no int, or below ``low``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(
            f"{name}: {argument} is {value!r}; expected a whole number, at least {low}."
        )
