"""What the commands that train take; every field is an option of the command line.

None stands for "not given": ``experiments.defaults`` and the recipe fill it by the data set.
"""

from dataclasses import dataclass, field, fields, make_dataclass
from typing import TYPE_CHECKING, Any, Literal

from mixwright.lab.cli.parser import option
from mixwright.lab.experiments.defaults import recipe_defaults
from mixwright.lab.settings import field_types, write_value
from mixwright.lab.training.recipe import DATA, TRAINING, Recipe

WHERE = "where and how it runs"
_RECIPE = {field.name: field for field in fields(Recipe) if "about" in field.metadata}


# What the defaults are shown of; every other set of data has its own, as the images are.
_SHOWN = {"digits": "digits", "cifar10": "cifar10", "folder:": "your own images"}
_TEXTS = {
    "model": ": smallconv for digits, resnet18_cifar for cifar10, by the size of your own images",
    "optimizer": " sgd; adamw for vision transformers",
    "pretrained": " false; true for cub200, aircraft and cars",
    "warmup_epochs": " 5, at most a fifth of the epochs",
}


def _of_recipe(name: str, default: Any = None) -> Any:
    """The option of a recipe's field; its default in words, as far as it follows the data."""
    about = _RECIPE[name].metadata["about"]
    text = None if "default" in about else _TEXTS.get(name) or _default_text(name)
    return field(default=default, metadata={**_RECIPE[name].metadata, "default": text})


def _default_text(name: str) -> str:
    """The defaults of a recipe's field by data set, behind the word default.

    Example:
        >>> _default_text("batch_size"), _default_text("momentum"), _default_text("grad_clip")
        (': 20 for digits, 128 for cifar10, 64 for your own images', ' 0.9', ': none')
    """
    by_text: dict[str, list[str]] = {}
    for data, shown in _SHOWN.items():
        value = recipe_defaults(data).get(name, _RECIPE[name].default)
        by_text.setdefault(write_value(value), []).append(shown)
    if len(by_text) == 1:
        (text,) = by_text
        return ": none" if text == "none" else f" {text}"
    return ": " + ", ".join(f"{text} for {' and '.join(sets)}" for text, sets in by_text.items())


def device_option(**more: Any) -> Any:
    """Return the option that names a device."""
    about = "cpu, cuda or cuda:N (default: cuda where there is one)"
    return option("auto", about, metavar="NAME", **more)


def probe_option() -> Any:
    """Return the option that names a network which is trained to be looked through."""
    about = (
        "network that is trained to be looked through where there is no --run (default smallconv); "
        "as in mixwright train"
    )
    return option(None, about, metavar="NAME")


def dry_run_option() -> Any:
    """Return the option that ends a command before it starts."""
    about = "say what would be done and what it would take, and write nothing"
    return option(False, about, group=WHERE)


@dataclass(frozen=True)
class TrustOptions:
    """What files may do."""

    trust: bool = option(
        False,
        "import the modules of your own methods that run folders and checkpoints name, which runs "
        "their code",
    )


@dataclass(frozen=True)
class DataOptions(TrustOptions):
    """Data, and how it is brought to the model's size."""

    data: str = _of_recipe("data", "digits")
    data_dir: str | None = option(
        None,
        "where files of data sets lie or are downloaded to",
        metavar="DIR",
        group=DATA,
        default_text=": mixwright in the user's cache folder",
    )
    image_size: int | None = _of_recipe("image_size")
    train_size: int | None = _of_recipe("train_size")
    skip_unreadable: bool = option(
        False, "leave out images that cannot be read instead of stopping", group=DATA
    )
    data_workers: int | None = option(
        None,
        "processes that decode images which are not held in memory, 0 for none (default: one a "
        "core, up to 16; in compare, what the runs at a time leave each)",
        metavar="COUNT",
        group=WHERE,
    )


if TYPE_CHECKING:
    _RecipeFields = DataOptions
else:
    _RecipeFields = make_dataclass(
        "_RecipeFields",
        [
            (name, field_types(Recipe)[name] | None, _of_recipe(name))
            for name in _RECIPE
            if name not in DataOptions.__dataclass_fields__
        ],
        bases=(DataOptions,),
        frozen=True,
    )


@dataclass(frozen=True)
class RecipeOptions(_RecipeFields):
    """What decides how a model is trained: data, and every other option of a ``Recipe``."""

    recipe: str | None = option(
        None,
        "a published recipe, which stands for its options: automix-cifar, timm-a2, finetune; "
        "options beside it win (mixwright list recipes shows all values)",
        metavar="NAME",
        group=TRAINING,
    )

    def recipe_fields(self) -> dict[str, Any]:
        """Return the fields that were given and belong to a recipe."""
        given = {name: getattr(self, name) for name in _RECIPE}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class CompareOptions(RecipeOptions):
    """``mixwright compare``."""

    methods: tuple[str, ...] = option((), "what to compare; see below", metavar="METHOD")
    seeds: int = option(3, "runs of each method (default 3)", metavar="COUNT", group=TRAINING)
    learned_min_lr: float | None = option(
        None,
        "learning rate at the end of methods that learn a mixer (default: that of the others)",
        metavar="RATE",
        group=TRAINING,
    )
    out: str = option(
        "runs/compare", "folder of runs, record and report (default runs/compare)",
        metavar="DIR", group=WHERE,
    )  # fmt: skip
    equal_time: bool = option(
        False,
        "give every method the processor time of --epochs without mixing: costs are measured "
        "first, and dearer methods train for fewer epochs",
        group=TRAINING,
    )
    workers: int | None = option(
        None, "runs at a time (default: one a core, or one a GPU)", metavar="COUNT", group=WHERE
    )
    executor: Literal["local", "ray", "slurm"] = option(
        "local",
        "where runs are done: processes here, tasks of Ray, or jobs of SLURM (default local)",
        group=WHERE,
    )
    resources: str | None = option(
        None,
        "what Ray or SLURM gives each run, as in cpus=2,gpus=0.5 or gpus=1,partition=NAME",
        metavar="NAME=VALUE,...",
        group=WHERE,
        default_text=" cpus=1",
    )
    part: str | None = option(
        None,
        "do every N-th of the runs, from the K-th on, and write no report: one command of N that "
        "share the work, at once or not, here or on other machines with the same --out",
        metavar="K/N",
        group=WHERE,
    )
    collect: bool = option(
        False,
        "train nothing: write the record and report of the runs that are there, and name those "
        "that are missing",
        group=WHERE,
    )
    device: str = device_option(group=WHERE)
    dry_run: bool = dry_run_option()


@dataclass(frozen=True)
class TrainOptions(RecipeOptions):
    """``mixwright train``."""

    methods: tuple[str, ...] = option((), "what to train with; see below", metavar="METHOD")
    seed: int = option(0, "of everything that is drawn", metavar="NUMBER", group=TRAINING)
    out: str | None = option(
        None, "run folder (default: runs/train/ and the recipe's name)", metavar="DIR",
        group=WHERE,
    )  # fmt: skip
    device: str = device_option(group=WHERE)
    dry_run: bool = dry_run_option()
