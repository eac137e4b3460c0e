"""A trained model from its run folder or checkpoint, ready to be measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from mixwright.checkpoint import CheckpointError, checkpoint_of, load_checkpoint
from mixwright.lab.training.convert import convert_checkpoint
from mixwright.lab.training.heads import saved_columns
from mixwright.lab.training.rebuild import rebuild
from mixwright.lab.training.recipe import Recipe

_NEEDED = ("recipe", "weights", "ema_updates", "classes", "mean", "std", "epoch")


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds.

    Args:
        recipe: what was trained.
        classes: names, by label.
        epoch: after which it was saved.
        models: for images in [0, 1], by column (``training.heads``): ``raw``, ``ema``, ...
    """

    recipe: Recipe
    classes: tuple[str, ...]
    epoch: int
    models: Mapping[str, nn.Module]


def load_saved(path: Path, *, image_size: int, channels: int) -> Saved:
    """Build the models of a checkpoint or run folder, in evaluation mode, on the CPU.

    Raises:
        ValueError: there is no such file, it is damaged or foreign, or its weights do not fit.
    """
    state = _whole(path)
    recipe = Recipe.from_json(state["recipe"])
    models = {
        column: rebuild(path, state, weights, image_size=image_size, channels=channels)
        for column, weights in saved_columns(state).items()
    }
    return Saved(recipe, tuple(state["classes"]), int(state["epoch"]), models)


def recipe_of(path: Path) -> Recipe:
    """The recipe of a checkpoint or run folder, without building its model."""
    return Recipe.from_json(_whole(path)["recipe"])


def columns_of(path: Path) -> tuple[str, ...]:
    """The columns of a checkpoint or run folder: ``raw``, ``ema``, ...; see ``training.heads``."""
    return tuple(saved_columns(_whole(path)))


def heads_of(path: Path) -> dict[str, str]:
    """The last layer of each column, ``own`` or ``mixed``; empty where there is only its own."""
    return dict(_whole(path).get("heads", {}).get("columns", {}))


def _whole(path: Path) -> dict[str, Any]:
    """The state in a checkpoint, with all that a model is built from."""
    state = convert_checkpoint(load_checkpoint(checkpoint_of(path)))
    missing = [name for name in _NEEDED if name not in state]
    if missing:
        raise CheckpointError(
            f"{path} has no {', '.join(missing)}; expected a checkpoint of a training run. Give a "
            "run folder, or its last.pt or best.pt."
        )
    return state
