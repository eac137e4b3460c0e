"""What mixers may cost: limits that a run of the bench is held against, on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

from mixwright.mixers import CARDS
from mixwright.objectives import OBJECTIVE_CARDS

SMALL, LARGE = (128, 3, 32, 32), (64, 3, 224, 224)

# On LARGE in times of one lerp; on SMALL, where calls cost more than pixels, in seconds.
_TIMES_LERP = {"mixup": 1.3, "cutmix": 1.3, "hmix": 1.3, "fmix": 8.0, "miamix": 15.0}
_OTHERS_TIMES_LERP = 3.0
_SECONDS = {"agmix": 0.8e-3, "fmix": 3e-3, "miamix": 5e-3}
_OTHERS_SECONDS = 0.6e-3

STEP_SHARE = {"miamix": 0.03}
"""Largest share of a ResNet-18 training step (batch 128, 32 pixels) that mixing may take."""

STEP_TIMES = {"puzzlemix": 2.1}
"""How many times as long as one without mixing that step may take, all in."""

_UNLIMITED = ("guidedmixup",)  # it reads the pixels and pairs the batch


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit: at most so many times one lerp, or so many seconds; the other one is None."""

    times_lerp: float | None = None
    seconds: float | None = None

    def allows(self, *, seconds: float, times_lerp: float) -> bool:
        """Say whether a time is within the limit."""
        if self.times_lerp is not None:
            return times_lerp <= self.times_lerp
        return self.seconds is None or seconds <= self.seconds


def budget_of(name: str, shape: tuple[int, ...]) -> Budget | None:
    """Return the limit of a mixer, plan and images together; None where none is set.

    Mixers with options and those that look through a model have none.

    Example:
        >>> budget_of("fmix", (64, 3, 224, 224))
        Budget(times_lerp=8.0, seconds=None)
    """
    card = CARDS.get(name)
    if card is None or card.needs == "model" or name in _UNLIMITED:
        return None
    if shape == LARGE:
        return Budget(times_lerp=_TIMES_LERP.get(name, _OTHERS_TIMES_LERP))
    if shape == SMALL:
        return Budget(seconds=_SECONDS.get(name, _OTHERS_SECONDS))
    return None


def exact_times(name: str) -> float | None:
    """Return the exact count of a method's training step, in steps without mixing.

    None where it is not known: for methods with options and classes of users.

    Example:
        >>> exact_times("attentivecutmix")
        1.3333333333333333
    """
    card = CARDS.get(name) or OBJECTIVE_CARDS.get(name)
    return card.times if card else 1.0 if name == "none" else None
