"""Numbers of a METHOD that change while a model trains: ``cutmix:p=0to1``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixwright.arguments import check_number
from mixwright.lab.settings import option_types, read_value, without_none, write_value

if TYPE_CHECKING:
    from mixwright.mixers.mixer import Mixer, Per

_WORD = "to"  # needs no quotes in a shell, as > and | do, and is part of no number


@dataclass(frozen=True)
class Ramp:
    """A number that goes evenly from ``start``, at the first step, to ``end``, after the last.

    Call it with the progress of training in [0, 1]. Epochs of ``mix_off_epochs`` count too.

    Raises:
        ValueError: a number is not finite.

    Example:
        >>> Ramp(1, 0.5)(0.25), str(Ramp(1, 0.5))
        (0.875, '1to0.5')
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        for number in (self.start, self.end):
            check_number("schedule", str(self), number, low=-math.inf)

    def __call__(self, progress: float) -> float:
        """Return the number at a progress; rounding leads to neither side of both ends."""
        number = (1 - progress) * self.start + progress * self.end
        return min(max(number, min(self.start, self.end)), max(self.start, self.end))

    def __str__(self) -> str:
        """As it is written in a METHOD."""
        return f"{write_value(self.start)}{_WORD}{write_value(self.end)}"

    @property
    def label(self) -> str:
        """For people."""
        return f"{write_value(self.start)} {_WORD} {write_value(self.end)}"


Number = float | Ramp
"""What may stand for a number in a METHOD."""


def read_number(text: str) -> Number:
    """Read a number, or two of them as a ``Ramp``.

    Raises:
        ValueError: it is neither; the message begins with "expected".

    Example:
        >>> read_number("0.5"), read_number("0to1")
        (0.5, Ramp(start=0.0, end=1.0))
    """
    try:
        if _WORD not in text:
            return read_value(text, float)
        start, _, end = text.partition(_WORD)
        start, end = read_value(start, float), read_value(end, float)
    except ValueError:
        raise ValueError(
            f"expected a number, or two with {_WORD} between them, as in 0{_WORD}1, for one that "
            "changes evenly over training."
        ) from None
    return Ramp(start, end)


def take_ramps(cls: type, pairs: dict[str, str]) -> dict[str, Number]:
    """Take the options that change over training out of those of a mixer's class, given as text.

    Raises:
        ValueError: one is not understood, or the class is none whose objects can be made anew.
    """
    kinds = option_types(cls)
    numbers = [name for name in pairs if without_none(kinds.get(name)) is float]
    found: dict[str, Number] = {}
    for name in (name for name in numbers if _WORD in pairs[name]):
        text = pairs.pop(name)
        # What an object keeps for itself would be lost in every step.
        if not getattr(getattr(cls, "__dataclass_params__", None), "frozen", False):
            raise ValueError(
                f"{cls.__name__}: option {name}={text}: expected one number, since options that "
                "change over training are for mixers that are frozen dataclasses."
            )
        try:
            found[name] = read_number(text)
        except ValueError as error:
            raise ValueError(f"{cls.__name__}: option {name}={text}: {error}") from None
    return found


def ends(number: Number) -> tuple[float, float]:
    """Return the values between which a number stays, in the order of time."""
    return (number.start, number.end) if isinstance(number, Ramp) else (number, number)


@dataclass(frozen=True)
class RampedMixer:
    """A mixer of which options change, for ``Scheduled``: made anew at every progress."""

    cls: type
    options: Mapping[str, Any]

    def __call__(self, progress: float) -> "Mixer":
        """Return the mixer at a progress."""
        options = {
            name: value(progress) if isinstance(value, Ramp) else value
            for name, value in self.options.items()
        }
        return self.cls(**options)


@dataclass(frozen=True)
class RampedChance:
    """A mixer whose chance changes, for ``Scheduled``."""

    mixer: "Mixer"
    p: Ramp
    per: "Per"

    def __call__(self, progress: float) -> "Mixer":
        """Return the mixer at a progress."""
        from mixwright.mixers.combine import Sometimes

        return Sometimes(self.mixer, self.p(progress), self.per)
