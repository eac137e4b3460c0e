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
from mixwright.lab.data.augment import (
    Augment,
    Augmentation,
    InTurn,
    OriginalCrop,
    ResizedCrop,
)
from mixwright.lab.data.batches import Batches
from mixwright.lab.data.erase import RandomErasing
from mixwright.lab.data.lazy import LazyImages
from mixwright.lab.data.policies import parse_policy
from mixwright.lab.data.sets import Dataset, ImageSet
from mixwright.lab.training.distributed import World
from mixwright.lab.training.folder import RunError
from mixwright.lab.training.heads import heads_by_column
from mixwright.lab.training.layers import freeze
from mixwright.lab.training.learner import Learner, build_criterion, spread
from mixwright.lab.training.optimiser import Optimisers, build_optimizer
from mixwright.lab.training.recipe import Recipe, RecipeError
from mixwright.objectives.objective import Objective
from mixwright.objectives.teacher import EMA
from mixwright.taps import classifier

_TEST_BATCH = 250


@dataclass(eq=False)
class Session:
    """The objects of a run, on their device; the training set may change between epochs.

    Args:
        model: the network itself, without wrappers; ``learner`` is it and the objective in one
            module, wrapped in DDP where there are several processes.
        optimizer: over all their parameters.
        ema: the averaged weights; ``ema_head`` are those of the layer for mixed images, where the
            objective has one that learns.
        layer: name of the model's last layer; empty where the objective has none for mixed images.
        train: batches of this process to train on, in this epoch, as ``make_train`` makes them of
            a set; ``test`` likewise by ``make_test``, and ``validation``, where there are images to
            choose the best epoch on.
        data: the run's own data set, as it was given; ``train_data`` is what ``train`` is of, that
            or what the objective made of it.
        set_by_data: options of the method that follow from the data, for the record.
        standing: batch norms that are frozen, and stay in evaluation mode.
    """

    recipe: Recipe
    model: nn.Module
    objective: Objective
    learner: nn.Module
    optimizer: Optimizer | Optimisers
    ema: EMA
    ema_head: EMA | None
    layer: str
    train: Batches
    test: Batches
    validation: Batches | None
    make_train: Callable[[ImageSet | LazyImages], Batches]
    make_test: Callable[[ImageSet | LazyImages], Batches]
    data: Dataset
    world: World
    device: torch.device
    train_data: Dataset
    set_by_data: dict[str, bool]
    standing: list[nn.Module]

    @property
    def steps(self) -> int:
        """Optimiser steps of this epoch."""
        return -(-len(self.train) // self.recipe.accumulate)

    def train_mode(self) -> None:
        """Put all that is trained in training mode."""
        self.learner.train()
        for module in self.standing:
            module.eval()

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

    def update_averages(self) -> None:
        """Move the averages one step towards what is learned."""
        self.ema.update(self.model)
        if self.ema_head is not None:
            self.ema_head.update(self.objective.mixed_heads()["raw"])

    def models(self) -> dict[str, nn.Module]:
        """Return the networks by set of weights, each with its own last layer."""
        models = {"raw": self.model, "ema": self.ema.model}
        teacher = self.objective.own_teacher()
        return models if teacher is None else {**models, "teacher": teacher}

    def mixed_heads(self) -> dict[str, nn.Linear]:
        """Return the layers for mixed images by set of weights; see ``Objective.mixed_heads``."""
        found = dict(self.objective.mixed_heads())
        if self.ema_head is not None:
            average = self.ema_head.model
            assert isinstance(average, nn.Linear)
            found["ema"] = average
        return found

    def columns(self) -> dict[str, str]:
        """Return what is evaluated, and with which last layer; see ``heads``."""
        # In epochs without mixing the plain loss trains the model through its own last layer.
        own = self.objective.own_head_learns() or self.recipe.mix_off_epochs > 0
        return heads_by_column(self.models(), self.mixed_heads(), own_learns=own)

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
        """Return what is needed to use the model: weights, heads, classes, statistics."""
        mixed = self.mixed_heads()
        heads = {
            "layer": self.layer,
            "columns": self.columns(),
            "mixed": {name: head.state_dict() for name, head in mixed.items()},
        }
        return {
            "recipe": self.recipe.to_json(),
            "weights": {name: model.state_dict() for name, model in self.models().items()},
            **({"heads": heads} if mixed else {}),
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
            if self.ema_head is not None:
                # Older checkpoints lack this average: it begins with the layer as it is now.
                mixed = state.get("heads", {}).get("mixed", {})
                head = mixed.get("ema", self.objective.mixed_heads()["raw"].state_dict())
                self.ema_head.load_state_dict({"model": head, "t": state["ema_updates"]})
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
        modules = (self.model, self.ema.model, self.objective)  # a Linear has no buffers
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
    augment = augmentations(recipe, data)
    set_by_data = objective.allow_flips(recipe.flip and data.mirrored)
    memory = torch.channels_last if recipe.channels_last else torch.preserve_format
    model.to(device=device, memory_format=memory)  # pyright: ignore[reportCallIssue]
    standing = frozen_layers(recipe, model, data)
    objective.build(model, data.num_classes)
    objective.to(device)
    heads = objective.mixed_heads()
    layer = last_layer(model, data) if heads else ""
    optimizer = build_optimizer(recipe, model=model, extra=objective.param_groups(recipe))
    learner = Learner(model, objective, build_criterion(recipe))
    spread_learner = spread(learner, recipe, world=world, device=device)
    ema = EMA(model, recipe.ema_decay)  # after DDP, which brings rank 0's weights to all
    ema_head = EMA(heads["raw"], recipe.ema_decay) if "raw" in heads else None
    if recipe.compile:
        # In place, so that names in checkpoints stay; after the copy for EMA.
        for part in (model, *objective.compiled_parts()):
            part.compile()
    share = partial(Batches, rank=world.rank, world=world.size, device=device)
    make_train = partial(
        share,
        batch_size=micro,
        augment=augment,
        crop=original_crop(recipe, mirrored=data.mirrored),
        decoding=recipe.decoding,
        shuffle=True,
        views=objective.views_wanted(),
    )
    make_test = partial(share, batch_size=_TEST_BATCH, augment=None, shuffle=False)
    return Session(
        recipe=recipe,
        model=model,
        objective=objective,
        learner=spread_learner,
        optimizer=optimizer,
        ema=ema,
        ema_head=ema_head,
        layer=layer,
        train=make_train(data.train),
        make_train=make_train,
        make_test=make_test,
        test=make_test(data.test),
        validation=None if data.validation is None else make_test(data.validation),
        data=data,
        world=world,
        device=device,
        train_data=data,
        set_by_data=set_by_data,
        standing=standing,
    )


def frozen_layers(recipe: Recipe, model: nn.Module, data: Dataset) -> list[nn.Module]:
    """Freeze what the recipe says; return the modules that must stay in evaluation mode.

    Raises:
        RecipeError: ``freeze`` fits no parameter, or all.
    """
    if recipe.freeze is None:
        return []
    return freeze(model, recipe.freeze, last=last_layer(model, data))


def last_layer(model: nn.Module, data: Dataset) -> str:
    """Return the name of the layer that makes the model's logits."""
    device = next(model.parameters()).device
    last = classifier(model, torch.zeros(2, *data.train.shape, device=device))
    return next(name for name, module in model.named_modules() if module is last)


def augmentations(recipe: Recipe, data: Dataset) -> Augmentation | None:
    """Return all that is done to training images once they are pixels, in turn."""
    found: list[Augmentation] = []
    if (shifted := augmentation(recipe, mirrored=data.mirrored)) is not None:
        found.append(shifted)
    if recipe.augment is not None:
        found.append(parse_policy(recipe.augment))
    if recipe.erase:
        erase = RandomErasing(recipe.erase, mean=data.mean, std=data.std, mode=recipe.erase_mode)
        found.append(erase)
    return InTurn(tuple(found)) if len(found) > 1 else found[0] if found else None


def check_augmentations(recipe: Recipe, data: Dataset) -> None:
    """Refuse an augmentation that is not known or does not fit the images, before training starts.

    Raises:
        RecipeError: a policy cannot be read, or the padding is wider than the images.
    """
    try:
        augment = augmentations(recipe, data)
        if augment is not None:
            blank = torch.zeros(2, *data.train.shape, dtype=torch.uint8)
            augment(blank, generator=torch.Generator().manual_seed(0))
    except ValueError as error:
        raise RecipeError(f"recipe: {error}") from error


def original_crop(recipe: Recipe, *, mirrored: bool) -> OriginalCrop | None:
    """Return what is cut from the images as they were stored; ``mirrored`` as below."""
    if recipe.crop != "original":
        return None
    return OriginalCrop(scale=recipe.crop_scale, flip=recipe.flip and mirrored)


def augmentation(recipe: Recipe, *, mirrored: bool) -> Augmentation | None:
    """Return the crop and flip of training images; ``mirrored`` where the data allow a flip."""
    flip = recipe.flip and mirrored
    if recipe.crop == "original":
        return None  # both happen while images are read
    if recipe.crop == "resized":
        return ResizedCrop(scale=recipe.crop_scale, flip=flip)
    return Augment(recipe.crop_padding, flip=flip, padding=recipe.crop_padding_mode)


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


def check_partners(recipe: Recipe, objective: Objective, *, images: int, world: World) -> None:
    """Refuse batches in which no image ever meets another, where the method mixes images.

    Samples are mixed within a micro batch of one process; a last one of a single image joins the
    one before it. ``images`` are those to train on.

    Raises:
        RecipeError: every micro batch is one image, and the objective would mix nothing.
    """
    micro, share = micro_batch(recipe, world), -(-images // world.size)
    if min(micro, share) > 1 or not objective.needs_partner():
        return
    if micro == 1:
        parts = world.size * recipe.accumulate
        why = f"batch_size {recipe.batch_size}, accumulate {recipe.accumulate}"
        hint = f"Take batch_size {2 * parts}" + (", or fewer micro batches" if parts > 1 else "")
    else:
        why, hint = f"training images {images}", "Take more images"
    if world.size > 1:
        hint += " or processes" if "fewer" in hint else ", or fewer processes"
    raise RecipeError(
        f"recipe: {why}, processes {world.size}: every micro batch is a single image, but "
        f"{recipe.method} mixes images of one micro batch with each other, so nothing would be "
        f"mixed; expected at least 2 in each. {hint}."
    )
