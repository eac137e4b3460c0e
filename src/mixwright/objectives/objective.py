"""What an objective is: how a model learns from a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Generator, Tensor
from torch.nn import Module

from mixwright.plan import MixPlan


@dataclass(frozen=True, slots=True)
class Losses:
    """What one step of an objective gives.

    Attributes:
        total: 0-d, what is differentiated.
        terms: named 0-d parts of ``total``, for the record.
        logits: ``(B, K)`` of the images that the model saw, for metrics.
        plan: how these images were mixed; None where they were not.
        labels: labels of the plan's pool where that is not the batch; None where it is.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    logits: Tensor
    plan: MixPlan | None = None
    labels: Tensor | None = None


class Objective(Module):
    """How a model learns from mixing; subclasses define ``forward``.

    An objective may own parameters (heads, a generator of masks) and a teacher. Training wraps
    model and objective in one module and makes one backward for all players.
    """

    def build(self, model: Module, num_classes: int) -> None:
        """Make heads, teacher or generator; called once, before the optimiser is made.

        Args:
            model: the classifier.
            num_classes: K.
        """

    def forward(
        self,
        model: Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: Generator,
        progress: float,
    ) -> Losses:
        """Run the model on a batch and say what is to be minimised.

        Args:
            model: the classifier, images to logits ``(B, K)``.
            images: ``(B, C, H, W)`` floating in [0, 1].
            labels: ``(B,)`` int64 or ``(B, K)`` floating.
            generator: CPU generator, the source of all randomness.
            progress: share of training that is done, in [0, 1].
        """
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def param_groups(self, recipe: Any) -> list[dict[str, Any]]:
        """Give parameter groups that the optimiser gets beside the model's.

        Args:
            recipe: the run's ``training.Recipe``.

        Returns:
            Dictionaries as ``torch.optim`` takes them; by default one of all own parameters
            that want a gradient, and none if there are none.
        """
        del recipe
        own = [one for one in self.parameters() if one.requires_grad]
        return [{"params": own}] if own else []

    def after_step(self, model: Module) -> None:
        """Do what follows an optimiser step, such as moving a teacher."""

    def on_epoch_start(self, data: Any) -> None:
        """Do what precedes an epoch, such as adding samples to the data."""
