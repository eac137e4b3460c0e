"""Options that do nothing beside the others: refused, since whoever wrote them expects something.

Only what was written counts, on the command line or in a file of ``--config``; what a published
recipe or the data set sets is as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from mixwright.lab.cli.errors import UsageError
from mixwright.lab.data.names import parse_data
from mixwright.lab.settings import option_flag, write_value

if TYPE_CHECKING:
    from mixwright.lab.cli.options import DataOptions
    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.training.recipe import Recipe

_Rule = tuple[Callable[["Recipe"], bool], str, str]
"""Whether an option does something, the option that decides it, and what to do."""

_SHIFT: _Rule = (lambda r: r.crop == "shift", "crop", "give --crop shift")
_SGD: _Rule = (lambda r: r.optimizer == "sgd", "optimizer", "give --optimizer sgd")

_RULES: dict[str, tuple[_Rule, ...]] = {
    "erase_mode": ((lambda r: r.erase > 0, "erase", "give --erase above 0"),),
    "init_weights": ((lambda r: r.init is not None, "init", "name with --init whose they are"),),
    "crop_scale": ((lambda r: r.crop != "shift", "crop", "give --crop resized"),),
    "crop_padding": (_SHIFT,),
    "crop_padding_mode": (
        _SHIFT,
        (lambda r: r.crop_padding > 0, "crop_padding", "give --crop-padding above 0"),
    ),
    "momentum": (_SGD,),
    "nesterov": (_SGD,),
    "decay_norms": ((lambda r: r.weight_decay > 0, "weight_decay", "give --weight-decay above 0"),),
    "layer_decay": (
        (lambda r: r.freeze != "backbone", "freeze", "leave more of the layers to train"),
    ),
}

WITHOUT_FOLDER = ("digits", "folder", "csv", "parquet", "webdataset")
"""Kinds of data that need no folder for files of theirs."""

# Those that are no single pictures.
_WITHOUT_PICTURES = ("digits", "cifar10", "cifar100", "fashion-mnist", "medmnist")


def check_recipe_options(
    given: Mapping[str, Any], recipe: Recipe, *, preset: str | None, mixes: bool
) -> None:
    """Refuse fields of a recipe that were given and do nothing in it.

    Args:
        given: what was written, by the name of its field.
        recipe: what came of it.
        preset: name of the published recipe that was asked for.
        mixes: whether one of the methods mixes.

    Raises:
        UsageError: one does nothing.
    """
    for name, rules in _RULES.items():
        for holds, decides, remedy in rules if name in given else ():
            if not holds(recipe):
                value = getattr(recipe, decides)
                raise _nothing(name, beside(decides, value, given, preset), remedy)
    if given.get("mix_off_epochs") and not mixes:
        raise _nothing("mix_off_epochs", "where nothing is mixed", "name a method that mixes")


def beside(name: str, value: Any, given: Collection[str], preset: str | None) -> str:
    """Say what another option is and, where it was not written, who says so."""
    from mixwright.lab.experiments.presets import PRESETS

    if value is None or (not value and name not in given):
        return f"without {option_flag(name)}"
    text = f"with {option_flag(name)} {write_value(value)}"
    if name in given:
        return text
    if preset is not None and name in PRESETS[preset].fields:
        return f"{text}, which --recipe {preset} stands for"
    return f"{text}, which is the default here"


def check_flip(given: Mapping[str, Any], data: Dataset) -> None:
    """Refuse a flip of images that are never mirrored.

    Raises:
        UsageError: it was asked for.
    """
    if given.get("flip") and not data.mirrored:
        raise UsageError(
            f"--flip true does nothing with {data.name}, whose images would mean something else as "
            "mirror images; leave it out."
        )


def check_decoding(given: Mapping[str, Any], recipe: Recipe, data: Dataset) -> None:
    """Refuse another decoding of images that are decoded once, when they are loaded.

    Raises:
        UsageError: it was asked for.
    """
    from mixwright.lab.data.lazy import LazyImages

    train = data.train
    cut = recipe.crop == "original" and getattr(train, "stored", None) is not None
    if given.get("decoding") == "fast" and not (isinstance(train, LazyImages) or cut):
        raise UsageError(
            f"--decoding fast does nothing here: the images of {data.name} are held in memory and "
            "decoded once; leave it out, or cut from the originals with --crop original."
        )


def check_data_options(options: DataOptions, data: str) -> None:
    """Refuse what is of no use for a kind of data.

    Raises:
        UsageError: such an option was given.
        DataError: there is no such kind.
    """
    kind = parse_data(data).kind
    if options.data_dir is not None and kind in WITHOUT_FOLDER:
        lies = "are shipped with us" if kind == "digits" else "lie where --data says"
        raise UsageError(
            f"--data-dir does nothing with --data {data}, whose files {lies}; leave it out."
        )
    useless = {
        "--skip-unreadable": options.skip_unreadable,
        "--data-workers": options.data_workers is not None,
    }
    for flag in (flag for flag, given in useless.items() if given and kind in _WITHOUT_PICTURES):
        raise UsageError(
            f"{flag} does nothing with --data {data}, whose images are no files of their own; "
            "leave it out."
        )


def check_probe(model: str | None, *, used: bool) -> None:
    """Refuse a network to look through where no method does.

    Raises:
        UsageError: one was named.
    """
    if model is not None and not used:
        raise UsageError(
            "--model does nothing here, since none of these methods looks through a model; leave "
            "it out, or name one that does, such as saliencymix."
        )


def _nothing(name: str, beside: str, remedy: str) -> UsageError:
    return UsageError(f"{option_flag(name)} does nothing {beside}; leave it out, or {remedy}.")
