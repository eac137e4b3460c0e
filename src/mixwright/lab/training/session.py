"""What a run holds in memory, and how it is saved and resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from mixwright.checkpoint import CheckpointError
from mixwright.lab.data.augment import Augment, Augmentation, ResizedCrop
from mixwright.lab.data.batches import Batches
from mixwright.lab.data.lazy import LazyImages
from mixwright.lab.data.sets import Dataset, ImageSet
from mixwright.lab.training.distributed import World
from mixwright.lab.training.folder import RunError
from mixwright.lab.training.learner import Learner, build_criterion, spread
from mixwright.lab.training.optimiser import Optimisers, build_optimizer
from mixwright.lab.training.recipe import Recipe, RecipeError
from mixwright.objectives.objective import Objective
from mixwright.objectives.teacher import EMA

_TEST_BATCH = 250


@dataclass(eq=False)
class Session:
    """The objects of a run, on their device; the training set may change between epochs.

    Args:
        model: the network itself, without wrappers; ``learner`` is it and the objective in one
            module, wrapped in DDP where there are several processes.
        optimizer: over all their parameters.
        ema: the averaged weights.
        train: batches of this process to train on, in this epoch, as ``make_train`` makes them of
            a set; ``test`` likewise.
        data: the run's own data set, as it was given; ``train_data`` is what ``train`` is of, that
            or what the objective made of it.
    """

    recipe: Recipe
    model: nn.Module
    objective: Objective
    learner: nn.Module
    optimizer: Optimizer | Optimisers
    ema: EMA
    train: Batches
    test: Batches
    make_train: Callable[[ImageSet | LazyImages], Batches]
    data: Dataset
    world: World
    device: torch.device
    train_data: Dataset

    @property
    def steps(self) -> int:
        """Optimiser steps of this epoch."""
        return -(-len(self.train) // self.recipe.accumulate)

    def begin_epoch(self) -> None:
        """Let the objective begin an epoch, and train on the data that it returns.

        It is given the run's own data each time, so a resumed run needs nothing that the
        objective's state does not hold.
        """
        try:
            given: object = self.objective.on_epoch_start(self.data)
        except ValueError as error:  # data or settings that do not do
            raise RunError(str(error)) from error
        if not isinstance(given, Dataset | None):
            raise TypeError(
                f"{type(self.objective).__name__}: on_epoch_start returned a "
                f"{type(given).__name__}; expected a data.Dataset, or None for the data as it is."
            )
        data = self.data if given is None else given
        sizes = self.world.gather(len(data.train))
        if len({*sizes}) > 1:  # they would take different numbers of steps, and wait for ever
            raise ValueError(
                f"{type(self.objective).__name__}: on_epoch_start gave the processes sets of "
                f"{sizes} images; expected the same set in each. Draw from a stream that all "
                "processes share."
            )
        if data is not self.train_data:
            self.train, self.train_data = self.make_train(data.train), data

    def state(self) -> dict[str, Any]:
        """Return all that decides how the run continues after an epoch.

        No generator is in it: each epoch's are made anew from (seed, rank, epoch), so that any
        number of processes can continue. Buffers are rank 0's.
        """
        return {
            **self.weights(),
            "optimizer": self.optimizer.state_dict(),
            "objective": self.objective.state_dict(),
        }

    def weights(self) -> dict[str, Any]:
        """Return what is needed to use the model: its sets of weights, classes, statistics."""
        weights = {"raw": self.model.state_dict(), "ema": self.ema.model.state_dict()}
        teacher = self.objective.own_teacher()
        if teacher is not None:
            weights["teacher"] = teacher.state_dict()
        return {
            "recipe": self.recipe.to_json(),
            "weights": weights,
            "ema_updates": self.ema.t,
            "classes": list(self.data.classes),
            "mean": list(self.data.mean),
            "std": list(self.data.std),
            "shape": list(self.data.train.shape),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what ``state`` gave."""
        try:
            weights = state["weights"]  # a teacher's are in the objective's own state too
            self.model.load_state_dict(weights["raw"])
            self.ema.load_state_dict({"model": weights["ema"], "t": state["ema_updates"]})
            self._restore_optimizer(state["optimizer"])
            self.objective.load_state_dict(state["objective"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"checkpoint does not fit the model and objective: {error}; expected one of the "
                "same code and recipe. Train in another folder."
            ) from error

    def _restore_optimizer(self, state: dict[str, Any]) -> None:
        """Load the optimiser's state, but keep the settings of recipe and objective."""
        built = [
            {name: value for name, value in group.items() if name not in ("params", "lr")}
            for group in self.optimizer.param_groups
        ]
        self.optimizer.load_state_dict(state)
        for group, settings in zip(self.optimizer.param_groups, built, strict=True):
            group.update(settings)

    def equalise(self) -> None:
        """Give every process rank 0's buffers, of the model, the average and the objective."""
        modules = (self.model, self.ema.model, self.objective)
        self.world.equalise(buffer for module in modules for buffer in module.buffers())


def prepare(
    recipe: Recipe,
    *,
    model: nn.Module,
    objective: Objective,
    data: Dataset,
    world: World,
    device: torch.device,
) -> Session:
    """Bring everything to its device, build the objective, the optimiser and the average."""
    micro = micro_batch(recipe, world)
    augment = augmentation(recipe, mirrored=data.mirrored)
    memory = torch.channels_last if recipe.channels_last else torch.preserve_format
    model.to(device=device, memory_format=memory)  # pyright: ignore[reportCallIssue]
    objective.build(model, data.num_classes)
    objective.to(device)
    optimizer = build_optimizer(recipe, model=model, extra=objective.param_groups(recipe))
    learner = Learner(model, objective, build_criterion(recipe))
    spread_learner = spread(learner, recipe, world=world, device=device)
    ema = EMA(model, recipe.ema_decay)  # after DDP, which brings rank 0's weights to all
    if recipe.compile:
        # In place, so that names in checkpoints stay; after the copy for EMA.
        for part in (model, *objective.compiled_parts()):
            part.compile()
    share = partial(Batches, rank=world.rank, world=world.size, device=device)
    make_train = partial(share, batch_size=micro, augment=augment, shuffle=True)
    return Session(
        recipe=recipe,
        model=model,
        objective=objective,
        learner=spread_learner,
        optimizer=optimizer,
        ema=ema,
        train=make_train(data.train),
        make_train=make_train,
        test=share(data.test, batch_size=_TEST_BATCH, augment=None, shuffle=False),
        data=data,
        world=world,
        device=device,
        train_data=data,
    )


def augmentation(recipe: Recipe, *, mirrored: bool) -> Augmentation:
    """Return the crop and flip of training images; ``mirrored`` where the data allow a flip."""
    flip = recipe.flip and mirrored
    if recipe.crop == "resized":
        return ResizedCrop(scale=recipe.crop_scale, flip=flip)
    return Augment(crop_padding=recipe.crop_padding, flip=flip)


def micro_batch(recipe: Recipe, world: World) -> int:
    """Return how many images one process has in a micro batch."""
    parts = world.size * recipe.accumulate
    if recipe.batch_size % parts:
        raise RecipeError(
            f"recipe: batch_size {recipe.batch_size} cannot be shared by {world.size} processes "
            f"with {recipe.accumulate} micro batches each; expected a multiple of {parts}, "
            f"e.g. {max(1, recipe.batch_size // parts) * parts}."
        )
    return recipe.batch_size // parts
