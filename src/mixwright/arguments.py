"""What constructors take and refuse: plain numbers, ranges, words; and which word was meant."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from torch import Tensor

_P = ParamSpec("_P")
_R = TypeVar("_R")


def plain(value: Any) -> Any:
    """Return NumPy's scalars and 0-d tensors, and those in a tuple or list, as Python's numbers.

    Anything else is returned as it is.

    Example:
        >>> import torch
        >>> plain(torch.tensor(2)), plain((torch.tensor(0.5), None)), plain("fit")
        (2, (0.5, None), 'fit')
    """
    if type(value) in (tuple, list):
        return type(value)(plain(part) for part in value)
    # Of NumPy, torch and their like alike, none of which needs to be imported.
    scalar = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return value.item() if scalar else value


def plain_settings(record: Any) -> None:
    """Make every setting of a dataclass plain, at the start of its ``__post_init__``.

    So it shows, compares, hashes and is stored as one that was made of Python's numbers.
    """
    for field in dataclasses.fields(record):
        if field.init:
            value = getattr(record, field.name)
            if (changed := plain(value)) is not value:
                object.__setattr__(record, field.name, changed)


def plain_arguments(constructor: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate an ``__init__`` that is written out, so that its arguments arrive plain."""

    @functools.wraps(constructor)
    def made(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        call: Any = constructor
        return call(*map(plain, args), **{name: plain(value) for name, value in kwargs.items()})

    return made


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
    value = plain(value)
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
    first, second = cast(tuple[float, float], plain(value))
    for number in (first, second):
        check_number(name, argument, number, low=low, high=high, open_low=open_low)
    if first > second:
        raise ValueError(
            f"{name}: {argument} is {value!r}; expected (low, high) with low <= high. Swap them."
        )


def check_whole(name: str, argument: str, value: object, *, low: int) -> None:
    """Refuse anything but a whole number from ``low``."""
    value = plain(value)
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

    named = {_letters(name): name for name in known}
    near = get_close_matches(_letters(word), named, n=count, cutoff=cutoff)
    return [named[letters] for letters in near]


def did_you_mean(word: str, known: Iterable[str], *, quote: str = '"') -> str:
    """Return a sentence that names the nearest known word, a blank before it; or nothing.

    Example:
        >>> did_you_mean("mixupp", ["mixup", "cutmix"])
        ' Did you mean "mixup"?'
    """
    near = nearest(word, known)
    return f" Did you mean {quote}{near[0]}{quote}?" if near else ""


def _letters(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "").replace(" ", "")
