"""What a run says about itself while it trains."""

from dataclasses import dataclass


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

    @property
    def share(self) -> float:
        """Share of the run that is done, in [0, 1]."""
        return (self.epoch - 1 + self.step / self.steps) / self.epochs
