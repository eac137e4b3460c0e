"""One training run from its recipe: data, model, objective, loop."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from mixwright.checkpoint import CheckpointError
from mixwright.files import DiskFullError
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.identity import check_counts
from mixwright.lab.data.load import load_data
from mixwright.lab.evaluation.calibration.temperature import rescale
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.experiments.finetune import load_init
from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.models.build import build_model, published
from mixwright.lab.models.normalised import normalised
from mixwright.lab.training.folder import RunError
from mixwright.lab.training.learner import build_criterion
from mixwright.lab.training.loop import train
from mixwright.lab.training.recipe import RecipeError

if TYPE_CHECKING:
    from mixwright.lab.data.identity import DataIdentity
    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.training.loop import Result
    from mixwright.lab.training.progress import Progress
    from mixwright.lab.training.recipe import Recipe


MISTAKES = (DataError, RunError, CheckpointError, RecipeError, DiskFullError)
"""What ends a run by no fault of ours: the message is for the user, and says what to do."""


def failure_text(error: Exception) -> str:
    """What people are told of an error that ended a run."""
    kind = "" if isinstance(error, MISTAKES) else f"{type(error).__name__}: "
    return f"{kind}{error}"


def run(
    recipe: "Recipe",
    folder: Path,
    *,
    data_dir: str | None = None,
    skip_unreadable: bool = False,
    device: str = "cpu",
    trust: bool = False,
    data_name: str | None = None,
    identity: "DataIdentity | None" = None,
    on_progress: "Callable[[Progress], None] | None" = None,
    on_message: Callable[[str], None] | None = None,
) -> "Result":
    """Carry out a recipe in a run folder, or what is missing of it.

    ``trust`` imports the modules that a file behind ``trained:run=`` names. ``data_name`` is where
    the recipe's data are now, if not under the recipe's own name; ``identity`` is what they are,
    where that has been worked out.

    Raises:
        ValueError: method, data, model or folder do not fit the recipe.
    """
    data = dataset_of(
        recipe,
        data_name or recipe.data,
        data_dir=data_dir,
        skip_unreadable=skip_unreadable,
        on_message=on_message,
    )
    if identity is not None:
        check_counts(identity, data)
    return train(
        recipe,
        model=new_model(recipe, data),
        objective=parse_method(recipe.method, trust=trust).objective(build_criterion(recipe)),
        data=data,
        evaluate=evaluate,
        rescale=rescale,
        folder=folder,
        device=torch.device(device),
        identity=identity,
        on_progress=on_progress,
    )


def dataset_of(
    recipe: "Recipe",
    name: str,
    *,
    data_dir: str | None,
    skip_unreadable: bool,
    on_message: Callable[[str], None] | None = None,
) -> "Dataset":
    """The ``dataset`` that a recipe is trained on, found by this name."""
    return dataset(
        name,
        data_dir=data_dir,
        train_size=recipe.train_size,
        subset_seed=recipe.subset_seed,
        val_share=recipe.val_share,
        image_size=recipe.image_size,
        centre_crop=recipe.centre_crop,
        skip_unreadable=skip_unreadable,
        on_message=on_message,
    )


_KEPT: "dict[tuple[object, ...], Dataset]" = {}


def dataset(
    name: str,
    *,
    data_dir: str | None,
    train_size: int | None,
    image_size: int | None,
    skip_unreadable: bool,
    subset_seed: int | None = None,
    val_share: float = 0.0,
    photo_size: int | None = None,
    centre_crop: float | None = None,
    on_message: Callable[[str], None] | None = None,
) -> "Dataset":
    """``load_data``, kept for the next run of the same process, which is then told nothing."""

    def key() -> tuple[object, ...]:
        return (
            name, data_dir, train_size, image_size, skip_unreadable, subset_seed, val_share,
            centre_crop,
        )  # fmt: skip

    if key() not in _KEPT:
        _KEPT.clear()  # the last one alone: data sets are large
        data = load_data(
            name,
            data_dir=data_dir,
            train_size=train_size,
            image_size=image_size,
            photo_size=photo_size,
            skip_unreadable=skip_unreadable,
            subset_seed=subset_seed,
            val_share=val_share,
            centre_crop=centre_crop,
            on_message=on_message,
        )
        if data.image_size == photo_size:  # a recipe that names this size means the same images
            image_size = photo_size
        _KEPT[key()] = data
    return _KEPT[key()]


def forget_dataset() -> None:
    """Let the next ``dataset`` be read anew: files may have changed since."""
    _KEPT.clear()


def new_model(
    recipe: "Recipe", data: "Dataset", *, say: Callable[[str], None] | None = None
) -> nn.Module:
    """Build the recipe's network with fresh weights, drawn from its seed, or those of a run.

    Every method of one seed starts from the same weights, which is what makes pairs of runs
    comparable; where ``init`` gives each its own, a new last layer is still the same for all. The
    global generator is left as it was. Images are in [0, 1]; they are normalised by the data's
    statistics, or, where weights are published or a run's, by those that the weights expect; a
    network of the user's that is in ``Normalised`` keeps its own. ``say`` is told what of ``init``
    was taken.

    Raises:
        ValueError: there is no such network, or the weights of ``init`` do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = build_model(
            recipe.model,
            num_classes=data.num_classes,
            image_size=data.image_size,
            channels=data.channels,
            pretrained=recipe.pretrained,
            drop_path=recipe.drop_path,
        )
    mean, std = data.mean, data.std
    if recipe.pretrained:  # its weights have learned behind these
        mean, std = published(recipe.model).scale(data.channels)
    start = normalised(model, mean, std)
    if recipe.init:
        load_init(start, recipe, data, say=say)
    return start
