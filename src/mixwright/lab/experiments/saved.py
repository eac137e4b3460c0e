"""A trained model from its run folder or checkpoint, ready to be measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from mixwright.checkpoint import (
    CheckpointError,
    checkpoint_of,
    load_checkpoint,
    weights_digest,
)
from mixwright.lab.training.convert import convert_checkpoint
from mixwright.lab.training.folder import read_identity
from mixwright.lab.training.heads import saved_columns
from mixwright.lab.training.rebuild import rebuild
from mixwright.lab.training.recipe import Recipe, recipe_hash

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


def load_saved(path: Path, *, image_size: int, channels: int, trust: bool = False) -> Saved:
    """Build the models of a checkpoint or run folder, in evaluation mode, on the CPU.

    ``trust`` imports the module of a network of the user's that the run names.

    Raises:
        ValueError: there is no such file, it is damaged or foreign, or its weights do not fit.
    """
    state = _whole(path)
    recipe = Recipe.from_json(state["recipe"])
    models = {
        column: rebuild(path, state, weights, image_size=image_size, channels=channels, trust=trust)
        for column, weights in saved_columns(state).items()
    }
    return Saved(recipe, tuple(state["classes"]), int(state["epoch"]), models)


@dataclass(frozen=True)
class SavedRun:
    """What a checkpoint says of its run, without its models.

    Args:
        recipe: what was trained.
        columns: its columns (``training.heads``): ``raw``, ``ema``, ...
        classes: names, by label.
        heads: the last layer of each column, ``own`` or ``mixed``; empty where there is only its
            own.
        identity: the same for copies of a run, wherever they lie: recipe, seed and weights.
        data: digest of the images that it was trained and tested on; empty where its folder does
            not say, as older ones.
    """

    recipe: Recipe
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    heads: dict[str, str]
    identity: str
    data: str


def saved_run(path: Path) -> SavedRun:
    """Read what a checkpoint or run folder says of its run.

    Raises:
        ValueError: there is no such file, or it is damaged or foreign.
    """
    state = _whole(path)
    recipe = Recipe.from_json(state["recipe"])
    data = read_identity(checkpoint_of(path).parent)
    return SavedRun(
        recipe=recipe,
        columns=tuple(saved_columns(state)),
        classes=tuple(state["classes"]),
        heads=dict(state.get("heads", {}).get("columns", {})),
        identity=f"{recipe_hash(recipe)} {weights_digest(state['weights']['raw'])}",
        data="" if data is None else data.digest,
    )


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
