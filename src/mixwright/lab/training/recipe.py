"""What decides a training run, in one record; read without importing torch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from mixwright.arguments import HIGHEST_RATE
from mixwright.files import parse_json
from mixwright.lab.settings import Rule, check_fields, decode, option

Optimizer = Literal["sgd", "adamw", "lamb"]

DATA = "data and model"
TRAINING = "training (unset ones follow the data set)"
"""Headings of ``--help``."""

_NAME = Rule("a name", lambda value: bool(value.strip()))
_COUNT = Rule("a whole number, at least 1", lambda value: value >= 1)
_POSITIVE = Rule("a number above 0", lambda value: value > 0)
_NOT_NEGATIVE = Rule("a number, at least 0", lambda value: value >= 0)
_RATE = Rule(f"a number in [0, {HIGHEST_RATE:g}]", lambda value: 0 <= value <= HIGHEST_RATE)
_LEARNING_RATE = Rule(
    f"a number above 0, at most {HIGHEST_RATE:g}", lambda value: 0 < value <= HIGHEST_RATE
)
_FACTOR = Rule("a number in (0, 1]", lambda value: 0 < value <= 1)
_SHARE = Rule("a number in [0, 1]", lambda value: 0 <= value <= 1)
_BELOW_ONE = Rule("a number in [0, 1)", lambda value: 0 <= value < 1)
_AREA = Rule(
    "a share of the area in (0, 1], or the smallest and the largest, as in 0.08-1",
    lambda value: 0 < value <= 1 if isinstance(value, float) else 0 < value[0] <= value[1] <= 1,
)
_SOME = Rule("a share of the area in (0, 1]", lambda value: 0 < value <= 1)
_PATH = Rule("a path", lambda value: bool(value.strip()))


def _data(default: Any, about: str, metavar: str | None = None, rule: Rule | None = None) -> Any:
    return option(default, about, metavar=metavar, group=DATA, rule=rule)


def _training(
    default: Any, about: str, metavar: str | None = None, rule: Rule | None = None
) -> Any:
    return option(default, about, metavar=metavar, group=TRAINING, rule=rule)


class RecipeError(ValueError):
    """A recipe cannot be carried out as it stands."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run: what is learned, how, and from which seed.

    Two runs with equal recipes on one kind of machine give equal numbers. Where files lie, the
    device and the number of processes are no part of it. Fields of ``_data`` and ``_training`` are
    options of ``mixwright train`` and ``compare``.

    Raises:
        RecipeError: a value is out of its range or two of them contradict.

    Example:
        >>> Recipe(epochs=3).lr
        0.1
        >>> Recipe(loss="mse")
        Traceback (most recent call last):
        ...
        mixwright.lab.training.recipe.RecipeError: recipe: loss is 'mse'; expected one of ce, bce.
    """

    data: str = _data(
        "digits",
        "digits (default), cifar10, cub200, folder:PATH, folder:PATH:val (test on val/), csv:PATH, "
        "hub:NAME; mixwright list shows all",
        "NAME",
        _NAME,
    )
    model: str = _data(
        "smallconv",
        "one of ours (mixwright list), any timm name, or package.module:function of your own",
        "NAME",
        _NAME,
    )
    method: str = dataclasses.field(default="none", metadata={"rule": _NAME})  # a METHOD
    epochs: int = _training(20, "passes over the training images", "COUNT", _COUNT)
    # All micro batches of a step together.
    batch_size: int = _training(50, "images a step, over all processes", "COUNT", _COUNT)
    # The rule takes the call for a shared default; it makes a field, as in the lines around it.
    optimizer: Optimizer = _training("sgd", "the optimiser")  # noqa: RUF009
    lr: float = _training(0.1, "learning rate at its highest", "RATE", _LEARNING_RATE)
    momentum: float = _training(0.9, "of SGD", "SHARE", _BELOW_ONE)
    nesterov: bool = _training(True, "whether SGD looks ahead")  # needs momentum
    # Decoupled from the gradient with adamw and lamb.
    weight_decay: float = _training(5e-4, "weight decay", "RATE", _RATE)
    # Pulls at every parameter of fewer than two dimensions, as CIFAR recipes do.
    decay_norms: bool = _training(True, "whether it pulls at biases and norm layers too")
    warmup_epochs: float = _training(
        1.0, "epochs in which the learning rate grows to its highest", "N", _NOT_NEGATIVE
    )
    min_lr: float = _training(0.0, "learning rate at the end of the cosine", "RATE", _NOT_NEGATIVE)
    # Softmax cross-entropy, or a binary cross-entropy per class.
    loss: Literal["ce", "bce"] = _training("ce", "cross-entropy or binary cross-entropy")
    label_smoothing: float = _training(
        0.0, "share of each label spread over all classes", "SHARE", _BELOW_ONE
    )
    # They are evaluated beside the raw ones.
    ema_decay: float = _training(
        0.999, "decay of the averaged weights (the EMA column)", "SHARE", _BELOW_ONE
    )
    # They train with the plain loss.
    mix_off_epochs: int = _training(
        0, "last epochs in which nothing is mixed", "COUNT", _NOT_NEGATIVE
    )
    # bf16 is bfloat16 autocast while training; weights and evaluation stay float32.
    precision: Literal["fp32", "bf16"] = _training("fp32", "arithmetic of the model")
    # It divides batch_size; samples are mixed, and batch norm looks, within a micro batch.
    accumulate: int = _training(1, "backward passes that make one step", "COUNT", _COUNT)
    # Of the model's and of the objective's parameters each; None for no limit.
    grad_clip: float | None = _training(None, "largest norm of the gradient", "NORM", _POSITIVE)
    drop_path: float = _training(
        0.0, "chance that the last residual block is left out for an image", "SHARE", _BELOW_ONE
    )
    # Of each layer's rate to that of the next one; see ``training.layers``.
    layer_decay: float = _training(
        1.0, "learning rate of each layer, as a share of the next one's", "SHARE", _FACTOR
    )
    # Read by ``training.layers``, which knows the model's parameters.
    freeze: str | None = _training(
        None,
        "what is not trained: backbone (all but the last layer), or a regular expression for names "
        "of layers: conv1|bn1|layer1",
        "LAYERS",
        _NAME,
    )
    channels_last: bool = _training(False, "memory format of images and model")
    compile: bool = _training(False, "torch.compile the model")
    deterministic: bool = _training(False, "refuse operations that differ from run to run")
    crop: Literal["shift", "resized", "original"] = _training(
        "shift",
        "random cropping: by shifting, by enlarging a rectangle of the square image, or by cutting "
        "it out of the original and resizing it",
    )
    crop_padding: int = _training(4, "largest shift by random cropping", "PIXELS", _NOT_NEGATIVE)
    crop_padding_mode: Literal["zeros", "reflect"] = _training(
        "zeros", "what comes in from beyond the edge: black, or the image mirrored"
    )
    crop_scale: float | tuple[float, float] = _training(
        0.5,
        "smallest share of the image in such a rectangle, or smallest and largest: 0.08-0.5",
        "SHARE",
        _AREA,
    )
    flip: bool = _training(True, "mirror images at random")  # where the data set allows it
    # Exact is what it was before there was a choice, bit by bit; see ``data.decode_fast``.
    decoding: Literal["exact", "fast"] = _training(
        "exact",
        "how photographs that are decoded in every epoch become squares: as Pillow does it, or at "
        "two thirds of the cost or less, most values the same and the others off by little",
    )
    # A policy as data.policies reads it; what it holds is checked there, since it needs torch.
    augment: str | None = _training(
        None,
        "operations drawn for each image: trivialaugment, or randaugment:layers=2,magnitude=9",
        "POLICY",
        _NAME,
    )
    erase: float = _training(
        0.0, "chance of an image that a rectangle of it is erased", "SHARE", _SHARE
    )
    erase_mode: Literal["pixel", "rand", "const"] = _training(
        "pixel", "by noise in each pixel, one random colour, or the mean colour"
    )
    pretrained: bool = _data(False, "start from published ImageNet weights")
    init: str | None = _data(
        None,
        "start from the weights of a run folder, a checkpoint, a state dict or .safetensors; "
        "{method} and {seed} stand for the run's own, * for any letters",
        "PATH",
        _PATH,
    )
    init_weights: Literal["raw", "ema", "teacher"] = _data(
        "raw", "which of its weights (default raw)"
    )
    # Eight hex digits of these weights, so that another training into the same folder is another
    # start; None to take what is there.
    init_digest: str | None = None
    train_size: int | None = _data(
        None,
        "images to train on, chosen evenly by class (default: all; digits: 60 in train and "
        "compare, else 100)",
        "COUNT",
        _COUNT,
    )
    # The same images whatever the seed, and where it is 0 and the data have no part for it the best
    # epoch is chosen on the test images.
    val_share: float = _data(
        0.0,
        "share of the training images that is held out to choose the best epoch on",
        "SHARE",
        _BELOW_ONE,
    )
    # False: the same images for every seed, so that intervals leave their choice out.
    subset_seeds: bool = _data(False, "let each seed draw the images of train_size anew")
    image_size: int | None = _data(
        None,
        "side of the images in pixels (default: theirs; your own photographs: 64)",
        "PIXELS",
        _COUNT,
    )
    # Training on rectangles of the whole images (crop original) is not bound by it.
    centre_crop: float | None = _data(
        None,
        "share of the area of each image, in its centre, that is tested on and seen (default: the "
        "usual square)",
        "SHARE",
        _SOME,
    )
    # The last epoch is always evaluated.
    eval_every: int = _training(1, "epochs between two evaluations", "COUNT", _COUNT)
    seed: int = 0  # of everything that is drawn

    def __post_init__(self) -> None:
        check_fields(self, where="recipe", error=RecipeError)
        if isinstance(self.crop_scale, tuple) and self.crop_scale[1] == 1:
            object.__setattr__(self, "crop_scale", self.crop_scale[0])  # the same run, one name
        epochs = f"at most epochs, which is {self.epochs}"
        self._need("warmup_epochs", self.warmup_epochs <= self.epochs, epochs)
        self._need("mix_off_epochs", self.mix_off_epochs <= self.epochs, epochs)
        self._need("min_lr", self.min_lr <= self.lr, f"at most lr, which is {self.lr}")
        self._need("pretrained", not (self.pretrained and self.init), "false where init is given")
        if self.optimizer == "sgd":
            fits = self.momentum > 0 or not self.nesterov
            self._need("momentum", fits, "above 0 with nesterov; or set nesterov to false")
        if self.batch_size % self.accumulate:
            raise RecipeError(
                f"recipe: batch_size {self.batch_size} is not a multiple of accumulate "
                f"{self.accumulate}; expected micro batches of equal size. Take batch_size "
                f"{max(1, self.batch_size // self.accumulate) * self.accumulate}."
            )

    @property
    def subset_seed(self) -> int | None:
        """The seed that draws the images to train on; None for a choice that is always the same."""
        return self.seed if self.subset_seeds else None

    def _need(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise RecipeError(f"recipe: {name} is {getattr(self, name)!r}; expected {expected}.")

    def to_json(self) -> str:
        """Return the recipe as indented JSON, fields in the order of this class."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what ``to_json`` wrote; fields that are not named have their defaults.

        Raises:
            RecipeError: the text is not a JSON object, a field is unknown or a value is wrong.
        """
        try:
            read = parse_json(text)
        except ValueError as error:
            raise RecipeError(f"recipe: not valid JSON ({error}).") from error
        return cls.from_fields(read)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Build a recipe from names and values; names that are missing have their defaults."""
        return decode(cls, fields, where="recipe", error=RecipeError)


# Fields that decide every hash. Those that came later are left out at their defaults, so that a
# new field gives older runs no new names.
_HASHED = frozenset(
    (
        "data", "model", "method", "epochs", "batch_size", "optimizer", "lr", "momentum",
        "nesterov", "weight_decay", "decay_norms", "warmup_epochs", "min_lr", "loss",
        "label_smoothing", "ema_decay", "mix_off_epochs", "precision", "accumulate", "grad_clip",
        "channels_last", "compile", "deterministic", "crop_padding", "flip", "pretrained",
        "train_size", "image_size", "eval_every", "seed",
    )
)  # fmt: skip


def recipe_hash(recipe: Recipe) -> str:
    """Return eight hex digits that name a recipe, its seed included.

    Equal recipes have equal hashes on every machine; the order of fields does not count.

    Example:
        >>> recipe_hash(Recipe(lr=1)) == recipe_hash(Recipe(lr=1.0)) != recipe_hash(Recipe(seed=1))
        True
    """
    values = {
        field.name: value
        for field in dataclasses.fields(recipe)
        if (value := getattr(recipe, field.name)) != field.default or field.name in _HASHED
    }
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def differences(one: Recipe, other: Recipe) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two recipes differ, with both values."""
    left, right = dataclasses.asdict(one), dataclasses.asdict(other)
    return {name: (left[name], right[name]) for name in left if left[name] != right[name]}
