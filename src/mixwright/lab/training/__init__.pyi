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

__all__: list[str]
