"""What constructors refuse: numbers out of range, words nobody knows."""

from __future__ import annotations

import math
from typing import cast


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
