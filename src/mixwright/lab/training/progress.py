"""How far a run is, as it reports while it trains."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The state of a run at one moment: epochs from 1, steps done in this epoch, means so far.

    Args:
        lr: learning rate of the last step.
        seconds_left: estimate for the rest of the run, evaluation included.
        scores: top-1 of the newest evaluation by set of weights: ``raw``, ``ema`` and, where the
            objective has one, ``teacher``; empty before the first.
        warnings: of the objective about the newest finished epoch, a sentence each.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    lr: float
    seconds_left: float
    scores: Mapping[str, float]
    warnings: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Share of the run that is done, in [0, 1]."""
        return (self.epoch - 1 + self.step / self.steps) / self.epochs


def warning_kind(message: str) -> str:
    """Return a warning without its numbers, which vary from epoch to epoch.

    Example:
        >>> warning_kind("masks vary by 0.0041 only") == warning_kind("masks vary by 3e-05 only")
        True
    """
    return _NUMBER.sub("#", message)
