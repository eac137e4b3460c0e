"""What mixers may cost: goals that a run of the bench is held against, on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

from mixwright.mixers import CARDS
from mixwright.objectives import OBJECTIVE_CARDS

SMALL, LARGE = (128, 3, 32, 32), (64, 3, 224, 224)

# In units of the shape, see ``mixing.unit_of``.
_GOALS: dict[tuple[int, ...], dict[str, float]] = {
    SMALL: {
        "mixup": 0.7, "cutout": 0.7, "gmix": 0.9, "smoothmix": 0.9, "cutmix": 1.0, "hmix": 1.0,
        "gridmix": 1.2, "agmix": 1.2, "resizemix": 1.5, "fmix": 2.5, "miamix": 4.0,
    },
    LARGE: {
        "mixup": 1.15, "cutmix": 1.15, "hmix": 1.15, "gmix": 1.15, "gridmix": 1.15,
        "smoothmix": 1.15, "agmix": 1.3, "resizemix": 1.3, "fmix": 3.2, "miamix": 3.5,
        "guidedmixup": 4.0,
    },
}  # fmt: skip
_OTHERS: dict[tuple[int, ...], float] = {LARGE: 3.0}

STEP_SHARE = {"miamix": 0.03}
"""Largest share of a ResNet-18 training step (batch 128, 32 pixels) that mixing may take."""

STEP_TIMES = {"puzzlemix": 2.1}
"""How many times as long as one without mixing that step may take, all in."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit: at most so many units; in older records so many times one lerp, or seconds."""

    times_lerp: float | None = None
    seconds: float | None = None
    units: float | None = None


def budget_of(name: str, shape: tuple[int, ...]) -> Budget | None:
    """Return the limit of a mixer, plan, images and targets together; None where none is set.

    Mixers with options and those that look through a model have none.

    Example:
        >>> budget_of("fmix", (64, 3, 224, 224))
        Budget(times_lerp=None, seconds=None, units=3.2)
    """
    card = CARDS.get(name)
    if card is None or card.needs == "model":
        return None
    goal = _GOALS.get(shape, {}).get(name, _OTHERS.get(shape))
    return None if goal is None else Budget(units=goal)


def exact_times(name: str) -> float | None:
    """Return the exact count of a method's training step, in steps without mixing.

    None where it is not known: for methods with options and classes of users.

    Example:
        >>> exact_times("attentivecutmix")
        1.3333333333333333
    """
    card = CARDS.get(name) or OBJECTIVE_CARDS.get(name)
    return card.times if card else 1.0 if name == "none" else None
