"""From options to what the rooms below take: settings of a recipe, data, devices."""

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.arguments import counted
from mixwright.lab.cli.errors import UsageError
from mixwright.lab.cli.options import DataOptions, RecipeOptions
from mixwright.lab.data.names import WORKERS
from mixwright.lab.reports.plain_text import printable

if TYPE_CHECKING:
    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.experiments.grid import Place, Planned
    from mixwright.lab.training.recipe import Recipe

Plan = Callable[[dict[str, Any]], "list[Planned]"]
"""From fields of a recipe to the runs that have them."""


def recipe_settings(options: RecipeOptions, *, image_size: int | None = None) -> dict[str, Any]:
    """Return fields of a recipe, without method and seed: as given, else by data and network.

    ``image_size`` is that of the images, where it is to choose the network. A warm-up that was not
    asked for shrinks with short runs.
    """
    from mixwright.lab.experiments.defaults import recipe_defaults

    given = options.recipe_fields()
    defaults = recipe_defaults(
        options.data,
        given.get("model"),
        image_size,
        pretrained=given.get("pretrained", False),
    )
    settings = defaults | given
    if "init" in given and "pretrained" not in given:
        settings["pretrained"] = False  # a run's weights are asked for in its place
    if "warmup_epochs" not in given:
        usual = defaults["warmup_epochs"] * settings["epochs"] / defaults["epochs"]
        most = max(settings["epochs"] / 5, usual)
        settings["warmup_epochs"] = min(settings["warmup_epochs"], most)
    return settings


def load(
    options: DataOptions,
    *,
    train_size: int | None = None,
    subset_seed: int | None = None,
    val_share: float = 0.0,
    centre_crop: float | None = None,
) -> "Dataset":
    """Load the data set that was asked for; ``train_size`` None is the set's default.

    What happens on the way goes to standard error, of the first process alone.
    """
    from mixwright.lab.cli.unused import check_data_options
    from mixwright.lab.experiments.run import dataset, forget_dataset

    check_data_options(options, options.data)
    _set_workers(options)
    forget_dataset()  # of an earlier command in this process
    return dataset(
        options.data,
        data_dir=options.data_dir,
        train_size=train_size,
        image_size=options.image_size,
        skip_unreadable=options.skip_unreadable,
        subset_seed=subset_seed,
        val_share=val_share,
        centre_crop=centre_crop,
        on_message=telling(),
    )


def _set_workers(options: DataOptions) -> None:
    """Let this process and those that it starts decode with as many as were asked for."""
    if options.data_workers is not None:
        if options.data_workers < 0:
            raise UsageError(f"--data-workers is {options.data_workers}; expected at least 0.")
        os.environ[WORKERS] = str(options.data_workers)


def first_process() -> bool:
    """Whether this is rank 0, as torchrun and srun say it before the processes have met."""
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


def tell(message: str) -> None:
    """Write what happens on the way to standard error."""
    print(printable(message, keep="\n"), file=sys.stderr, flush=True)


def _silent(message: str) -> None:
    """Leave the telling to the first process."""


def telling() -> Callable[[str], None]:
    """Return ``tell`` in the first process, in others what says nothing."""
    return tell if first_process() else _silent


def out_folder(name: str) -> Path:
    """Return the path of ``--out``, which need not be there yet, but is no file nor in one."""
    if not name:
        raise UsageError("--out is empty; expected a folder. The one that you are in is --out .")
    if "\0" in name:
        raise UsageError(f"--out is {name!r}; expected a folder, whose name holds no null.")
    path = Path(name)
    try:
        path.absolute().exists()
    except OSError as error:
        long = error.errno == errno.ENAMETOOLONG
        found = f"{len(name)} letters long" if long else repr(name)
        raise UsageError(f"--out is {found}; expected a folder: {error.strerror}.") from error
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise UsageError(f"--out {name}: {place} is a file; expected a folder, new or old.")
    return path


def check_methods(recipes: "Sequence[Recipe]", data: "Dataset") -> None:
    """Build the network once, and each method (one recipe each) for it, before hours of training.

    Raises:
        ValueError: there is no such network, a method does not fit it, or the batches are too
            small to mix in.
    """
    import torch

    from mixwright.lab.experiments.methods import parse_method
    from mixwright.lab.experiments.run import new_model
    from mixwright.lab.training.distributed import World, launched
    from mixwright.lab.training.learner import build_criterion
    from mixwright.lab.training.session import (
        check_augmentations,
        check_partners,
        frozen_layers,
    )

    world = World(size=launched())
    check_augmentations(recipes[0], data)
    with torch.random.fork_rng(devices=[]):
        model = new_model(recipes[0], data, say=tell if first_process() else None)
        frozen_layers(recipes[0], model, data)
        _tell_of_ours(recipes[0], data)
        for recipe in recipes:
            method = parse_method(recipe.method)
            objective = method.objective(build_criterion(recipe))
            check_partners(recipe, objective, images=len(data.train), world=world)
            try:
                objective.build(model, data.num_classes)
            except ValueError as error:
                raise ValueError(f'method "{method.text}": {error}') from error


def _tell_of_ours(recipe: "Recipe", data: "Dataset") -> None:
    """Name our network for small images where timm's for photographs was asked for."""
    from mixwright.lab.experiments.defaults import PHOTO_SIZE
    from mixwright.lab.models.names import MODELS, TIMM, ours_like

    name, ours = recipe.model, ours_like(recipe.model)
    fresh = not (recipe.pretrained or recipe.init or name in MODELS or name.startswith(TIMM))
    if ours and fresh and data.image_size <= PHOTO_SIZE:
        telling()(
            f"model {name} is timm's, made for photographs of 224 pixels; for these of "
            f"{data.image_size} ours is {ours}. {TIMM}{name} says that timm's is meant"
        )


def devices(name: str) -> tuple[str, ...]:
    """Return the devices that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` stands for, in turn."""
    import torch

    count = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if count else "cpu"
    kind, colon, index = name.partition(":")
    if kind == "cuda":
        if not count or (colon and (not index.isdigit() or int(index) >= count)):
            raise UsageError(
                f"--device {name}: torch sees {counted(count, 'CUDA device')} here, numbered "
                "from 0."
            )
        return (name,) if colon else tuple(f"cuda:{place}" for place in range(count))
    try:
        torch.empty(0, device=name)
        torch.Generator(name)  # which "meta" has not, nor values
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(
            f"--device {name}: torch has no such device here; expected cpu, cuda or cuda:N."
        ) from None
    return (name,)


def prepare_runs(
    plan: Plan,
    options: RecipeOptions,
    *,
    device: str,
    seed: int = 0,
    given: Mapping[str, Any] | None = None,
) -> "tuple[list[Planned], Dataset, Place]":
    """Plan runs, load their data and check that all can begin, or go on where they stopped.

    ``plan`` is given the fields of a recipe; ``seed`` is that of the first run; ``given`` are the
    fields that were written, by default all that the options have: a published recipe fills in
    others. Return the runs as they stand in their folders, the data as the first of them has them,
    and where runs find their data and what they run on.

    Raises:
        ValueError: there are no such data, a method cannot be trained on them, or a run was begun
            on others.
        UsageError: an option does nothing beside the others.
    """
    from mixwright.lab.cli.unused import (
        check_data_options,
        check_decoding,
        check_flip,
        check_recipe_options,
    )
    from mixwright.lab.data.identity import data_identity
    from mixwright.lab.experiments.continuing import continued
    from mixwright.lab.experiments.defaults import OWN
    from mixwright.lab.experiments.grid import Place
    from mixwright.lab.experiments.run import dataset_of, forget_dataset

    given = options.recipe_fields() if given is None else given
    check_data_options(options, options.data)
    _set_workers(options)
    forget_dataset()  # of an earlier command in this process
    own = options.data.partition(":")[0] in OWN
    shared = _SharedBatch(plan, options)
    runs = _sized(shared, options, seed=seed) if own else shared(recipe_settings(options))
    if shared.note:
        telling()(shared.note)
    first = runs[0].recipe
    mixes = any(run.method.parts for run in runs)
    check_recipe_options(given, first, preset=options.recipe, mixes=mixes)
    _check_weights(options, first, given)
    data = dataset_of(
        first,
        options.data,
        data_dir=options.data_dir,
        skip_unreadable=options.skip_unreadable,
        on_message=telling(),
    )
    check_flip(given, data)
    check_decoding(given, first, data)
    _check_batch(options, runs, data, given)
    _check_padding(runs, data, given)
    check_methods(list({run.recipe.method: run.recipe for run in runs}.values()), data)
    folder = str(Path(options.data_dir).expanduser().resolve()) if options.data_dir else None
    place = Place(
        folder,
        options.skip_unreadable,
        devices(device),
        options.trust,
        data=options.data,
        identity=data_identity(data),
        subset_seed=first.subset_seed,
    )
    return continued(runs, place, say=telling()), data, place


class _SharedBatch:
    """A plan in which a batch that nobody asked for is one that all processes can share.

    ``note`` is what to say of it; empty where nothing was changed.
    """

    def __init__(self, plan: Plan, options: RecipeOptions) -> None:
        self.plan, self.given, self.note = plan, options.recipe_fields(), ""

    def __call__(self, settings: dict[str, Any]) -> "list[Planned]":
        from mixwright.lab.training.distributed import launched

        size, processes = settings["batch_size"], launched()
        parts = processes * settings.get("accumulate", 1)
        self.note = ""
        if processes > 1 and size % parts and "batch_size" not in self.given:
            shared = max(1, size // parts) * parts
            self.note = (
                f"{processes} processes cannot share batches of {size} images evenly, so they have "
                f"{shared}; --batch-size {shared} says so with any number of processes"
            )
            settings = settings | {"batch_size": shared}
        return self.plan(settings)


def _check_batch(
    options: RecipeOptions,
    runs: "Sequence[Planned]",
    data: "Dataset",
    given: Mapping[str, Any],
) -> None:
    """Refuse steps of more images than there are, except in runs that have begun with them."""
    from mixwright.lab.experiments.continuing import begun

    size, count = options.recipe_fields().get("batch_size"), len(data.train)
    if size is not None and size > count and not begun(runs):
        who = "--batch-size is" if "batch_size" in given else f"--recipe {options.recipe} has steps"
        of = f" of {size:,} images" if "batch_size" not in given else f" {size:,}"
        then = "" if "batch_size" in given else f" Give --batch-size {count} or less beside it."
        raise ValueError(
            f"{who}{of}, but there are {count:,} images to train on; expected at most {count:,}."
            f"{then}"
        )


def _check_weights(options: RecipeOptions, recipe: "Recipe", given: Mapping[str, Any]) -> None:
    """Refuse published weights of a network that has none, where a published recipe asks for them.

    What was written so is refused where the network is built.
    """
    from mixwright.lab.models.names import PRETRAINED, may_have_weights

    if recipe.pretrained and "pretrained" not in given and not may_have_weights(recipe.model):
        raise UsageError(
            f"--recipe {options.recipe} starts from published weights, and {recipe.model} has "
            f"none; give --pretrained false beside it, or --model {' or '.join(PRETRAINED)}, or "
            "the name of a network of timm."
        )


def _check_padding(runs: "Sequence[Planned]", data: "Dataset", given: Mapping[str, Any]) -> None:
    """Refuse shifts that take an image out of sight, except in runs that have begun with them."""
    from mixwright.lab.experiments.continuing import begun

    side = min(data.train.shape[1:])
    if given.get("crop_padding", 0) >= side and not begun(runs):
        raise ValueError(
            f"--crop-padding is {given['crop_padding']}, and images are {side} pixels wide or "
            f"high; expected less than that, since nothing is left of one that is shifted so far."
        )


def _sized(plan: Plan, options: RecipeOptions, *, seed: int) -> "list[Planned]":
    """Plan runs on images of the user's own, whose size decides what was not asked for.

    Runs that were begun before sizes decided anything go on as they began.
    """
    from mixwright.lab.experiments.continuing import begun
    from mixwright.lab.experiments.defaults import PHOTO_SIZE
    from mixwright.lab.experiments.run import dataset

    given = options.recipe_fields()
    try:
        before = plan(recipe_settings(options))
    except ValueError:
        if "init" not in given:  # else it may be of the network that the size stands for
            raise
    else:
        if begun(before):
            return before
    size = options.image_size
    if size is None:
        size = dataset(
            options.data,
            data_dir=options.data_dir,
            train_size=options.train_size,
            image_size=None,
            photo_size=PHOTO_SIZE,
            skip_unreadable=options.skip_unreadable,
            subset_seed=seed if given.get("subset_seeds") else None,
            val_share=given.get("val_share", 0.0),
            centre_crop=given.get("centre_crop"),
            on_message=telling(),
        ).image_size
    settings = recipe_settings(options, image_size=size)
    chosen = list[tuple[str, str]]()
    if options.image_size is None and size == PHOTO_SIZE:
        settings["image_size"] = size
        chosen.append((f"images are taken at {size}x{size} pixels", "--image-size"))
    if "model" not in given and settings["model"] != recipe_settings(options)["model"]:
        chosen.append((f"the network for this size is {settings['model']}", "--model"))
    if chosen:
        words, flags = zip(*chosen, strict=True)
        telling()(f"{', '.join(words)}; {' and '.join(flags)} would change that")
    return plan(settings)
