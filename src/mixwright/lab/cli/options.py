"""What the commands that train take; every field is an option of the command line.

None stands for "not given": ``experiments.defaults`` and the recipe fill it by the data set.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal

from mixwright.lab.cli.parser import option

_DATA = "data and model"
_LEARN = "training (unset ones follow the data set)"
_WHERE = "where and how it runs"


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

    data: str = option(
        "digits",
        "digits (default), cifar10, cub200, folder:PATH, hub:NAME; mixwright list shows all",
        metavar="NAME",
        group=_DATA,
    )
    data_dir: str | None = option(
        None, "where files of data sets lie or are downloaded to", metavar="DIR", group=_DATA
    )
    image_size: int | None = option(
        None, "side of the images in pixels; unset keeps theirs", metavar="PIXELS", group=_DATA
    )
    train_size: int | None = option(
        None,
        "images to train on, chosen evenly by class; digits: 100, others: all",
        metavar="COUNT",
        group=_DATA,
    )
    skip_unreadable: bool = option(
        False, "leave out images that cannot be read instead of stopping", group=_DATA
    )


@dataclass(frozen=True)
class RecipeOptions(DataOptions):
    """What decides how a model is trained."""

    model: str | None = option(
        None, "one of ours (mixwright list) or any timm name", metavar="NAME", group=_DATA
    )
    pretrained: bool | None = option(None, "start from timm's published weights", group=_DATA)
    init: str | None = option(
        None,
        "start from the weights of a run folder or checkpoint; {method} and {seed} stand for the "
        "run's own, * for any letters",
        metavar="RUN",
        group=_DATA,
    )
    init_weights: Literal["raw", "ema", "teacher"] | None = option(
        None, "which of its weights (default raw)", group=_DATA
    )
    epochs: int | None = option(
        None, "passes over the training images", metavar="COUNT", group=_LEARN
    )
    batch_size: int | None = option(
        None, "images a step, over all processes", metavar="COUNT", group=_LEARN
    )
    optimizer: Literal["sgd", "adamw"] | None = option(None, "the optimiser", group=_LEARN)
    lr: float | None = option(None, "learning rate at its highest", metavar="RATE", group=_LEARN)
    momentum: float | None = option(None, "of SGD", metavar="SHARE", group=_LEARN)
    nesterov: bool | None = option(None, "whether SGD looks ahead", group=_LEARN)
    weight_decay: float | None = option(None, "weight decay", metavar="RATE", group=_LEARN)
    decay_norms: bool | None = option(
        None, "whether it pulls at biases and norm layers too", group=_LEARN
    )
    warmup_epochs: float | None = option(
        None, "epochs in which the learning rate grows to its highest", metavar="N", group=_LEARN
    )
    min_lr: float | None = option(
        None, "learning rate at the end of the cosine", metavar="RATE", group=_LEARN
    )
    loss: Literal["ce", "bce"] | None = option(
        None, "cross-entropy or binary cross-entropy", group=_LEARN
    )
    label_smoothing: float | None = option(
        None, "share of each label spread over all classes", metavar="SHARE", group=_LEARN
    )
    ema_decay: float | None = option(
        None, "decay of the averaged weights (the EMA column)", metavar="SHARE", group=_LEARN
    )
    mix_off_epochs: int | None = option(
        None, "last epochs in which nothing is mixed", metavar="COUNT", group=_LEARN
    )
    grad_clip: float | None = option(
        None, "largest norm of the gradient", metavar="NORM", group=_LEARN
    )
    accumulate: int | None = option(
        None, "backward passes that make one step", metavar="COUNT", group=_LEARN
    )
    crop: Literal["shift", "resized"] | None = option(
        None, "random cropping: by shifting, or by enlarging a rectangle", group=_LEARN
    )
    crop_padding: int | None = option(
        None, "largest shift by random cropping", metavar="PIXELS", group=_LEARN
    )
    crop_scale: float | None = option(
        None, "smallest share of the image in an enlarged rectangle", metavar="SHARE", group=_LEARN
    )
    flip: bool | None = option(None, "mirror images at random", group=_LEARN)
    precision: Literal["fp32", "bf16"] | None = option(
        None, "arithmetic of the model", group=_LEARN
    )
    channels_last: bool | None = option(None, "memory format of images and model", group=_LEARN)
    compile: bool | None = option(None, "torch.compile the model", group=_LEARN)
    deterministic: bool | None = option(
        None, "refuse operations that differ from run to run", group=_LEARN
    )
    eval_every: int | None = option(
        None, "epochs between two looks at the test images", metavar="COUNT", group=_LEARN
    )

    def recipe_fields(self) -> dict[str, Any]:
        """The fields that were given and belong to a recipe."""
        named = {field.name: getattr(self, field.name) for field in fields(RecipeOptions)}
        for other in ("data_dir", "skip_unreadable", "trust"):
            del named[other]
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class CompareOptions(RecipeOptions):
    """``mixwright compare``."""

    methods: tuple[str, ...] = option((), "what to compare; see below", metavar="METHOD")
    seeds: int = option(3, "runs of each method (default 3)", metavar="COUNT", group=_LEARN)
    out: str = option(
        "runs/compare", "folder of runs, record and report (default runs/compare)",
        metavar="DIR", group=_WHERE,
    )  # fmt: skip
    workers: int | None = option(
        None, "runs at a time (default: one a core, or one a GPU)", metavar="COUNT", group=_WHERE
    )
    device: str = option(
        "auto", "cpu, cuda or cuda:N (default: cuda where there is one)", metavar="NAME",
        group=_WHERE,
    )  # fmt: skip


@dataclass(frozen=True)
class TrainOptions(RecipeOptions):
    """``mixwright train``."""

    methods: tuple[str, ...] = option((), "what to train with; see below", metavar="METHOD")
    seed: int = option(0, "of everything that is drawn", metavar="NUMBER", group=_LEARN)
    out: str | None = option(
        None, "run folder (default: runs/train/ and the recipe's name)", metavar="DIR",
        group=_WHERE,
    )  # fmt: skip
    device: str = option(
        "auto", "cpu, cuda or cuda:N (default: cuda where there is one)", metavar="NAME",
        group=_WHERE,
    )  # fmt: skip
