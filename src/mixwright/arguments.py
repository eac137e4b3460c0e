"""What constructors refuse: numbers out of range, unknown words; and which word was meant."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from torch import Tensor


def check_number(
    name: str,
    argument: str,
    value: object,
    *,
    low: float = 0.0,
    high: float = math.inf,
    open_low: bool = False,
) -> None:
    """Refuse what is no number (a bool is none), not finite, or out of range, by a ValueError."""
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
    """Refuse a word that is none of the known ones."""
    if value not in known:
        words = ", ".join(map(repr, known))
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
    """Refuse anything but a pair of numbers in rising order."""
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
    """Refuse anything but a whole number from ``low``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(
            f"{name}: {argument} is {value!r}; expected a whole number, at least {low}."
        )


def check_unit(name: str, images: Tensor) -> None:
    """Refuse images that are not floating or not within [0, 1]; reads values.

    What rounding leaves beside 0 and 1, up to a hundred-thousandth, passes.
    """
    if not images.is_floating_point():
        raise ValueError(
            f"{name}: images have dtype {images.dtype}; expected floating ones in [0, 1]. Bytes "
            "become that by images.float() / 255."
        )
    if images.numel() == 0:
        return
    low, high = (float(end) for end in images.detach().aminmax())
    if not (low >= -1e-5 and high <= 1 + 1e-5):  # so that NaN is refused too
        raise ValueError(
            f"{name}: images run from {low:.3g} to {high:.3g}; expected values in [0, 1]. Undo a "
            "normalisation and let the model make it: Normalised(model, mean, std)."
        )


def nearest(word: str, known: Iterable[str], *, count: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return up to ``count`` known words most like ``word``, the nearest first.

    Case and the signs ``-``, ``_`` and spaces do not count.

    Example:
        >>> nearest("cut_mx", ["mixup", "cutmix"]), nearest("zebra", ["mixup", "cutmix"])
        (['cutmix'], [])
    """
    from difflib import get_close_matches  # needed for mistakes alone: startup does without it

    plain = {_plain(name): name for name in known}
    return [plain[name] for name in get_close_matches(_plain(word), plain, n=count, cutoff=cutoff)]


def did_you_mean(word: str, known: Iterable[str], *, quote: str = '"') -> str:
    """Return a sentence that names the nearest known word, a blank before it; or nothing.

    Example:
        >>> did_you_mean("mixupp", ["mixup", "cutmix"])
        ' Did you mean "mixup"?'
    """
    near = nearest(word, known)
    return f" Did you mean {quote}{near[0]}{quote}?" if near else ""


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "").replace(" ", "")
