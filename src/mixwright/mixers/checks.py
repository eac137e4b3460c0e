"""What every mixer refuses at its door: batches of the wrong shape, numbers out of range."""

from __future__ import annotations

import math
from typing import cast

from torch import Tensor


def check_batch(
    name: str, images: Tensor, labels: Tensor | None, *, dims: int | None = None
) -> None:
    """Refuse a batch of the wrong shape.

    Args:
        name: the mixer's, for the message.
        images: the batch.
        labels: its labels, if any.
        dims: wanted number of spatial dimensions; None for one or more.

    Raises:
        ValueError: images have no batch or spatial axes as wanted, or labels are of another
            number.
    """
    spatial = images.ndim - 2
    if dims is not None and spatial != dims:
        raise ValueError(
            f"{name}: images have shape {tuple(images.shape)}; expected (B, C, H, W): {name} is "
            "defined for 2-D images. MixUp, CutMix and Cutout take any number of dimensions."
        )
    if spatial < 0 or 0 in images.shape:
        raise ValueError(
            f"{name}: images have shape {tuple(images.shape)}; expected (B, C, *spatial) with at "
            "least one of each. A single image needs a batch axis: image[None]."
        )
    if labels is not None and (labels.ndim == 0 or len(labels) != len(images)):
        raise ValueError(
            f"{name}: labels have shape {tuple(labels.shape)}; expected one label for each of the "
            f"{len(images)} images."
        )


def check_number(
    name: str,
    argument: str,
    value: object,
    *,
    low: float = 0.0,
    high: float = math.inf,
    open_low: bool = False,
) -> None:
    """Refuse a number that is not finite or out of range.

    Raises:
        ValueError: the value is NaN, infinite, below ``low`` or above ``high``; or a bool or no
            number at all.
    """
    inside = False
    if isinstance(value, int | float) and not isinstance(value, bool):
        inside = math.isfinite(value) and low <= value <= high and not (open_low and value == low)
    if not inside:
        above = f"above {low:g}" if open_low else f"at least {low:g}"
        below = "" if math.isinf(high) else f" and at most {high:g}"
        raise ValueError(
            f"{name}: {argument} is {value!r}; expected a finite number {above}{below}."
        )


def check_choice(name: str, argument: str, value: object, known: tuple[object, ...]) -> None:
    """Refuse a word that is none of the known ones.

    Raises:
        ValueError: ``value`` is not in ``known``.
    """
    if value not in known:
        words = ", ".join(repr(one) for one in known)
        raise ValueError(f"{name}: {argument} is {value!r}; expected one of {words}.")


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
    first, second = cast(tuple[float, float], value)
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
