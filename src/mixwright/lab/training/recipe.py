"""What decides a training run, in one record; read without importing torch."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

Optimizer = Literal["sgd", "adamw"]
Loss = Literal["ce", "bce"]
Precision = Literal["fp32", "bf16"]
Crop = Literal["shift", "resized"]
Weights = Literal["raw", "ema", "teacher"]


class RecipeError(ValueError):
    """A recipe cannot be carried out as it stands."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run: what is learned, how, and from which seed.

    Two runs with equal recipes on one kind of machine give equal numbers. Where files lie, the
    device and the number of processes are no part of it.

    Args:
        data: name of the data set, as ``load_data`` takes it.
        model: name of the network, as ``build_model`` takes it.
        method: how samples are mixed, e.g. ``cutmix`` or ``mixup:alpha=0.2+cutmix``.
        epochs: passes over the training images, at least 1.
        batch_size: images per optimiser step, over all processes and micro batches together.
        optimizer: ``sgd`` or ``adamw``.
        lr: learning rate at its highest, above 0.
        momentum: of SGD, in [0, 1).
        nesterov: whether SGD looks ahead; needs momentum.
        weight_decay: at least 0; decoupled from the gradient with ``adamw``.
        decay_norms: whether weight decay also pulls at biases and at the scales of norm layers
            (every parameter of fewer than two dimensions), as CIFAR recipes do.
        warmup_epochs: epochs of linear rise to ``lr``; fractions count.
        min_lr: learning rate that the cosine falls to, at most ``lr``.
        loss: ``ce``, softmax cross-entropy, or ``bce``, a binary cross-entropy per class.
        label_smoothing: share of each label spread evenly over all classes, in [0, 1).
        ema_decay: of the averaged weights that are evaluated beside the raw ones, in [0, 1).
        mix_off_epochs: epochs at the end that train on unmixed images with the plain loss.
        precision: ``fp32``, or ``bf16`` for bfloat16 autocast while training; weights and
            evaluation stay float32.
        accumulate: micro batches per optimiser step; ``batch_size`` is divided by it. Samples are
            mixed, and batch norm looks, within a micro batch.
        grad_clip: largest gradient norm, of the model's and of the objective's parameters each;
            null for no limit.
        channels_last: whether images and weights lie channel by channel within a pixel.
        compile: whether the network runs through ``torch.compile``.
        deterministic: whether torch refuses operations that differ from run to run.
        crop: how training images are cropped at random: ``shift``, moved by up to
            ``crop_padding`` pixels, or ``resized``, a rectangle of them enlarged.
        crop_padding: largest random shift of a training image, in pixels.
        crop_scale: smallest area of an enlarged rectangle, as a share of the image, in (0, 1].
        flip: whether training images are mirrored at random, where the data set allows it.
        pretrained: whether the network starts from published weights.
        init: run folder or checkpoint whose weights the network starts from; null for fresh ones.
        init_weights: which of its weights: ``raw``, ``ema`` or ``teacher``.
        init_digest: eight hex digits of these weights, so that another training into the same
            folder is another start; null to take what is there.
        train_size: training images used, drawn evenly over classes; null for the set's default.
        image_size: height and width in pixels that images are brought to; null to leave them.
        eval_every: epochs between evaluations; the last epoch is always evaluated.
        seed: of everything that is drawn.

    Raises:
        RecipeError: a value is out of its range or two of them contradict.

    Example:
        >>> Recipe(epochs=3).lr
        0.1
        >>> Recipe(lr=-1)
        Traceback (most recent call last):
        ...
        mixwright.lab.training.recipe.RecipeError: recipe: lr is -1.0; expected a number above 0.
    """

    data: str = "digits"
    model: str = "smallconv"
    method: str = "none"
    epochs: int = 20
    batch_size: int = 50
    optimizer: Optimizer = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    decay_norms: bool = True
    warmup_epochs: float = 1.0
    min_lr: float = 0.0
    loss: Loss = "ce"
    label_smoothing: float = 0.0
    ema_decay: float = 0.999
    mix_off_epochs: int = 0
    precision: Precision = "fp32"
    accumulate: int = 1
    grad_clip: float | None = None
    channels_last: bool = False
    compile: bool = False
    deterministic: bool = False
    crop: Crop = "shift"
    crop_padding: int = 4
    crop_scale: float = 0.5
    flip: bool = True
    pretrained: bool = False
    init: str | None = None
    init_weights: Weights = "raw"
    init_digest: str | None = None
    train_size: int | None = None
    image_size: int | None = None
    eval_every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = _of_type(field.name, str(field.type), getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        for name in ("data", "model", "method"):
            _need(self, name, bool(getattr(self, name).strip()), "a name")
        for name in ("epochs", "batch_size", "accumulate", "eval_every"):
            _need(self, name, getattr(self, name) >= 1, "a whole number, at least 1")
        for name in ("train_size", "image_size"):
            value = getattr(self, name)
            _need(self, name, value is None or value >= 1, "a whole number, at least 1, or null")
        for name in ("weight_decay", "min_lr", "warmup_epochs", "mix_off_epochs", "crop_padding"):
            _need(self, name, getattr(self, name) >= 0, "a number, at least 0")
        for name in ("momentum", "label_smoothing", "ema_decay"):
            _need(self, name, 0 <= getattr(self, name) < 1, "a number in [0, 1)")
        _need(self, "lr", self.lr > 0, "a number above 0")
        _need(self, "crop_scale", 0 < self.crop_scale <= 1, "a share of the area in (0, 1]")
        _need(self, "init", self.init is None or bool(self.init.strip()), "a path, or null")
        clip = self.grad_clip
        _need(self, "grad_clip", clip is None or clip > 0, "a number above 0, or null")
        self._agree()

    def _agree(self) -> None:
        """Check the fields against each other."""
        epochs = f"at most epochs, which is {self.epochs}"
        _need(self, "warmup_epochs", self.warmup_epochs <= self.epochs, epochs)
        _need(self, "mix_off_epochs", self.mix_off_epochs <= self.epochs, epochs)
        _need(self, "min_lr", self.min_lr <= self.lr, f"at most lr, which is {self.lr}")
        _need(self, "pretrained", not (self.pretrained and self.init), "false where init is given")
        if self.optimizer == "sgd":
            fits = self.momentum > 0 or not self.nesterov
            _need(self, "momentum", fits, "above 0 with nesterov; or set nesterov to false")
        if self.batch_size % self.accumulate:
            raise RecipeError(
                f"recipe: batch_size {self.batch_size} is not a multiple of accumulate "
                f"{self.accumulate}; expected micro batches of equal size. Take batch_size "
                f"{max(1, self.batch_size // self.accumulate) * self.accumulate}."
            )

    def to_json(self) -> str:
        """The recipe as indented JSON, fields in the order of this class."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what ``to_json`` wrote; fields that are not named have their defaults.

        Raises:
            RecipeError: the text is not a JSON object, a field is unknown or a value is wrong.
        """
        try:
            read = json.loads(text)
        except json.JSONDecodeError as error:
            raise RecipeError(f"recipe: not valid JSON ({error}).") from error
        if not isinstance(read, dict):
            raise RecipeError(
                f"recipe: JSON holds a {type(read).__name__}; expected an object of fields."
            )
        return cls.from_fields(read)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Build a recipe from names and values; names that are missing have their defaults.

        Raises:
            RecipeError: a field is unknown or a value is wrong.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(known)}."
                raise RecipeError(f"recipe: field {name!r} is not known.{hint}")
        return cls(**fields)


_LATER = ("crop", "crop_scale", "init", "init_weights", "init_digest")


def recipe_hash(recipe: Recipe) -> str:
    """Eight hex digits that name a recipe, its seed included.

    Equal recipes have equal hashes on every machine; the order of fields does not count. Fields
    that came later count where they are not at their defaults, so that older runs keep their
    names.

    Example:
        >>> recipe_hash(Recipe(lr=1)) == recipe_hash(Recipe(lr=1.0)) != recipe_hash(Recipe(seed=1))
        True
    """
    values = dataclasses.asdict(recipe)
    for field in dataclasses.fields(recipe):
        if field.name in _LATER and values[field.name] == field.default:
            del values[field.name]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def differences(one: Recipe, other: Recipe) -> dict[str, tuple[Any, Any]]:
    """The fields in which two recipes differ, with both values."""
    pairs = (
        (field.name, getattr(one, field.name), getattr(other, field.name))
        for field in dataclasses.fields(Recipe)
    )
    return {name: (left, right) for name, left, right in pairs if left != right}


def _need(recipe: Recipe, name: str, holds: bool, expected: str) -> None:
    if not holds:
        raise RecipeError(f"recipe: {name} is {getattr(recipe, name)!r}; expected {expected}.")


_CHOICES = {
    "Optimizer": get_args(Optimizer),
    "Loss": get_args(Loss),
    "Precision": get_args(Precision),
    "Crop": get_args(Crop),
    "Weights": get_args(Weights),
}
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a finite number",
    "bool": "true or false",
}


def _of_type(name: str, annotation: str, value: object) -> object:
    """The value in the field's type (whole numbers become floats), or an error."""
    kind, _, optional = annotation.partition(" | ")
    if optional and value is None:
        return None
    if kind in _CHOICES:
        if value in _CHOICES[kind]:
            return value
        near = difflib.get_close_matches(str(value).lower(), _CHOICES[kind], n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise RecipeError(
            f"recipe: {name} is {value!r}; expected one of {', '.join(_CHOICES[kind])}.{hint}"
        )
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        # One spelling for 1 and 1.0, or equal recipes would differ in their hashes.
        if math.isfinite(value):
            return float(value)
    elif type(value).__name__ == kind:
        return value
    also = " or null" if optional else ""
    raise RecipeError(f"recipe: {name} is {value!r}; expected {_WORDS[kind]}{also}.")
