"""What a published item's commands would refuse after hours, refused before the first one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.arguments import did_you_mean
from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.parser import parse
from mixwright.lab.cli.shared_work import check_shared
from mixwright.lab.experiments.method_names import TRAINED
from mixwright.lab.models.names import own_model
from mixwright.lab.settings.own_code import own_module

if TYPE_CHECKING:
    from mixwright.lab.experiments.published.commands import Command
    from mixwright.lab.experiments.published.item import PublishedItem, ScaleName

_USERS_OWN = ("imagenet", "cars", "elpv", "medmnist", "folder", "csv", "parquet", "webdataset")
"""Kinds of data that nothing is downloaded for: whoever wants them puts them in their place."""


_NOT_OF_A_STEP = (
    *("", "help", "config", "trust", "out", "dry_run", "part", "collect", "executor", "resources"),
    *("workers", "device"),
)
"""Options that a table may not set. A file behind ``config`` could name code of anybody's."""


def options_class(command: str) -> type[Any]:
    """Return the dataclass of a command's options."""
    if command in ("compare", "train"):
        from mixwright.lab.cli.options import CompareOptions, TrainOptions

        return CompareOptions if command == "compare" else TrainOptions
    module = import_module(f"mixwright.lab.cli.{command}")
    return getattr(module, f"{command.capitalize()}Options")


def wanted_scale(name: str, item: PublishedItem, wanted: ScaleName | None) -> ScaleName:
    """The scale that was asked for, or the smallest; refuses items that have nothing to run."""
    if item.diagram:
        raise UsageError(f"{name} is a diagram ({item.title}): nothing to run.")
    if item.same_as:
        raise UsageError(
            f"{name} shows the data of {item.same_as}: mixwright reproduce {item.same_as} makes "
            "them."
        )
    if wanted is None:
        return item.scale_names[0]
    if wanted not in item.scale_names:
        raise UsageError(
            f"--scale is {wanted}, which {name} has not; expected {' or '.join(item.scale_names)}."
        )
    return wanted


def wanted_steps(text: str | None, known: Sequence[str]) -> list[str]:
    """The steps that are asked for; all where none is named."""
    if text is None:
        return list(known)
    names = [word.strip() for word in text.split(",")]
    for name in names:
        if not name:
            raise UsageError(
                f"--steps is {text or 'empty'}; expected names with commas between. Steps are "
                f"{', '.join(known)}."
            )
        if name not in known:
            raise UsageError(
                f"there is no step {name}.{did_you_mean(name, known)} Steps are {', '.join(known)}."
            )
    return names


def check_own_code(item: PublishedItem, file: Path) -> None:
    """Refuse modules that a file names and that are not imported: importing them runs their code.

    Raises:
        UsageError: there is one; the message says how to allow it.
    """
    from mixwright.lab.experiments.methods import parse_method

    methods = [row.method for row in item.rows.values()]
    methods += [method for scale in item.scales.values() for method in scale.methods.values()]
    options = [step.options for step in item.steps]
    options += [own for scale in item.scales.values() for own in scale.steps.values()]
    for step in item.steps:
        methods += [method for method in step.methods or () if not _to_come(method)]
    words = [word for own in options for word in _words(own)]
    with users_words():
        for method in methods:
            parse_method(method, file=file)
        for word in words:
            if (own := own_model(word)) is not None:
                what, expected = f"option value {word}", "a name of ours"
                own_module(what, own[0], expected=expected, file=file)


def _words(options: Mapping[str, object]) -> list[str]:
    """What may name a network or a METHOD among options: that of --model, cam:mixer=my.own:Mine."""
    found = re.findall(r"=([^,;\s]+)", str(options.get("only", "")))
    for name in ("model", "step_models"):
        found += str(options.get(name, "")).split(",")
    return found


def check_commands(every: Sequence[tuple[Command, Sequence[str]]], *, data_too: bool) -> None:
    """Read every command as the command line would, and look for data that nobody downloads.

    Raises:
        UsageError: an option or a METHOD is not understood, or, ``data_too``, data are not there.
    """
    from mixwright.lab.experiments.methods import parse_methods

    data = dict[tuple[str, str | None, bool], None]()
    for command, words in every:
        for name in command.options:
            _check_name(command.step, name)
        try:
            options = parse(
                options_class(command.command),
                words[1:],
                prog=f"mixwright {command.command}",
                about="",
            )
            if command.command == "compare":
                check_shared(options)
            with users_words():
                if command.command == "evaluate":
                    check_official(options.only, files_too=data_too)
                else:
                    parse_methods(one for one in options.methods if not _to_come(one))
        except UsageError as error:
            raise UsageError(f"step {command.step}: {error}") from None
        if command.command not in ("bench", "evaluate"):
            data[options.data, options.data_dir, options.skip_unreadable] = None
    with users_words():
        for name, folder, skip in data if data_too else ():
            check_data(name, folder, skip_unreadable=skip)


def _check_name(step: str, name: str) -> None:
    """Refuse an option that is not one of the table's: how it runs is for who runs it to say."""
    plain = name.replace("-", "_").casefold()
    if plain in _NOT_OF_A_STEP or plain != name:
        hint = f" Write {plain}." if plain != name and plain not in _NOT_OF_A_STEP else ""
        raise UsageError(
            f"step {step}: options has {name!r}; expected options of what is measured, in small "
            f"letters with _, not how or where it runs.{hint}"
        )


def _to_come(method: str) -> bool:
    """Whether a METHOD is the mixer of a run, which a step before may have to train."""
    return method.startswith(f"{TRAINED}:")


def check_data(name: str, folder: str | None, *, skip_unreadable: bool) -> None:
    """Read data that nobody downloads; their own message says what to put where."""
    from mixwright.lab.data.load import load_data
    from mixwright.lab.data.names import parse_data

    if parse_data(name).kind in _USERS_OWN:
        load_data(name, data_dir=folder, skip_unreadable=skip_unreadable, download=False)


def check_official(only: str | None, *, files_too: bool) -> None:
    """Read what is to be evaluated; refuse a folder of official images that lacks files."""
    from mixwright.lab.evaluation.corruption.corruption import Corruption
    from mixwright.lab.evaluation.corruption.official import require_files
    from mixwright.lab.experiments.evaluations.parts import parse_parts

    for part in parse_parts(only):
        if files_too and isinstance(part, Corruption) and part.source == "official":
            require_files(Path(part.path).expanduser(), part.types)
