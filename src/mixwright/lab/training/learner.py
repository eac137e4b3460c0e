"""Model and objective as one module, which is what DDP wraps."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mixwright.lab.training.distributed import World
from mixwright.lab.training.recipe import Recipe
from mixwright.objectives.criteria import BinaryCrossEntropy, CrossEntropy
from mixwright.objectives.mixed import Mixed
from mixwright.objectives.objective import Losses, Objective


def build_criterion(recipe: Recipe) -> CrossEntropy | BinaryCrossEntropy:
    """Return the recipe's loss, one value per sample."""
    if recipe.loss == "bce":
        return BinaryCrossEntropy(label_smoothing=recipe.label_smoothing)
    return CrossEntropy(label_smoothing=recipe.label_smoothing)


class Learner(nn.Module):
    """Model and objective: everything that gradients flow through in a step.

    One module holds the network and the objective, built already, so that DDP sees every player's
    parameters and one backward pass serves them all. While mixing is switched off ``criterion``,
    the plain loss on unmixed images, takes the objective's place.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, criterion: CrossEntropy | BinaryCrossEntropy
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.plain = Mixed(None, criterion)

    def forward(
        self, images: Tensor, labels: Tensor, *, generator: Generator, progress: float, mixing: bool
    ) -> Losses:
        """Return the losses of one batch; see ``Objective.forward``."""
        objective = self.objective if mixing else self.plain
        losses = objective(self.model, images, labels, generator=generator, progress=progress)
        # DDP waits for every player that anything returned here can be traced to: logits may show
        # one that rests in this step.
        return replace(losses, logits=losses.logits.detach())


def spread(learner: Learner, recipe: Recipe, *, world: World, device: torch.device) -> nn.Module:
    """Wrap the learner in DDP where there are several processes.

    From here on every process has rank 0's weights. Buffers (batch norm's running statistics)
    are each process's own within an epoch; the loop takes rank 0's at its end.
    """
    if world.size == 1:
        return learner
    # Epochs without mixing leave an objective's own parameters without a gradient, and players
    # that take turns leave each other's.
    own = any(parameter.requires_grad for parameter in learner.objective.parameters())
    # Newer versions of torch deprecate the older name.
    known = inspect.signature(DistributedDataParallel).parameters
    syncing = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    settings: dict[str, Any] = {syncing: False}
    return DistributedDataParallel(
        learner,
        device_ids=[device] if device.type == "cuda" else None,
        find_unused_parameters=learner.objective.alternates or (own and recipe.mix_off_epochs > 0),
        **settings,
    )


def without_sync(learner: nn.Module) -> AbstractContextManager[object]:
    """Return a context without DDP's exchange, for all micro batches but the last."""
    if isinstance(learner, DistributedDataParallel):
        return learner.no_sync()
    return nullcontext()
