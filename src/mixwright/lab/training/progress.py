"""What a run says about itself while it trains."""

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The state of a run at one moment.

    Args:
        epoch: the running epoch, from 1.
        epochs: epochs of the run.
        step: optimiser steps done in this epoch.
        steps: optimiser steps of an epoch.
        loss: mean training loss of this epoch so far.
        accuracy: weighted training accuracy of this epoch so far, in [0, 1].
        lr: learning rate of the last step.
        seconds_left: estimate for the rest of the run, evaluation included.
        raw: top-1 of the raw weights when they were evaluated last; None before.
        ema: top-1 of the averaged weights, likewise.
        teacher: top-1 of the objective's own teacher, likewise; None where it has none.
        alarms: what the objective found wrong in the newest finished epoch, a sentence each.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    lr: float
    seconds_left: float
    raw: float | None
    ema: float | None
    teacher: float | None = None
    alarms: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Share of the run that is done, in [0, 1]."""
        return (self.epoch - 1 + self.step / self.steps) / self.epochs


def warning_kind(said: str) -> str:
    """What an alarm is about: its sentence without the numbers, which move from epoch to epoch.

    Args:
        said: the sentence.

    Returns:
        a text that is the same for the same thing gone wrong.

    Example:
        >>> warning_kind("masks vary by 0.0041 only") == warning_kind("masks vary by 3e-05 only")
        True
    """
    return _NUMBER.sub("#", said)
