"""Training: from a recipe to a folder of records and checkpoints."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixwright.checkpoint import CheckpointError as CheckpointError
    from mixwright.checkpoint import load_checkpoint as load_checkpoint
    from mixwright.checkpoint import save_checkpoint as save_checkpoint
    from mixwright.lab.training.epoch import DivergedError as DivergedError
    from mixwright.lab.training.folder import RunError as RunError
    from mixwright.lab.training.folder import RunFolder as RunFolder
    from mixwright.lab.training.learner import build_criterion as build_criterion
    from mixwright.lab.training.loop import train as train
    from mixwright.lab.training.progress import Progress as Progress
    from mixwright.lab.training.recipe import Recipe as Recipe
    from mixwright.lab.training.recipe import RecipeError as RecipeError
    from mixwright.lab.training.recipe import recipe_hash as recipe_hash
    from mixwright.lab.training.result import Result as Result

_HOMES = {
    "CheckpointError": "mixwright.checkpoint",
    "DivergedError": "mixwright.lab.training.epoch",
    "Progress": "mixwright.lab.training.progress",
    "Recipe": "mixwright.lab.training.recipe",
    "RecipeError": "mixwright.lab.training.recipe",
    "Result": "mixwright.lab.training.result",
    "RunError": "mixwright.lab.training.folder",
    "RunFolder": "mixwright.lab.training.folder",
    "build_criterion": "mixwright.lab.training.learner",
    "load_checkpoint": "mixwright.checkpoint",
    "recipe_hash": "mixwright.lab.training.recipe",
    "save_checkpoint": "mixwright.checkpoint",
    "train": "mixwright.lab.training.loop",
}
__all__ = [*_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that recipes can be read without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
