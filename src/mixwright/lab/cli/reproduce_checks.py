"""What a published item's commands would refuse after hours, refused before the first one."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.parser import parse
from mixwright.lab.experiments.method_names import TRAINED

if TYPE_CHECKING:
    from mixwright.lab.experiments.published.commands import Command

_USERS_OWN = ("imagenet", "cars", "elpv", "medmnist", "folder", "csv", "parquet")
"""Kinds of data that nothing is downloaded for: whoever wants them puts them in their place."""


def options_class(command: str) -> type[Any]:
    """Return the dataclass of a command's options."""
    if command in ("compare", "train"):
        from mixwright.lab.cli.options import CompareOptions, TrainOptions

        return CompareOptions if command == "compare" else TrainOptions
    module = import_module(f"mixwright.lab.cli.{command}")
    return getattr(module, f"{command.capitalize()}Options")


def check_commands(every: Sequence[tuple[Command, Sequence[str]]]) -> None:
    """Read every command as the command line would, and look for data that nobody downloads.

    Raises:
        UsageError: an option or a METHOD is not understood, or data are not there.
    """
    from mixwright.lab.experiments.methods import parse_methods

    data = dict[tuple[str, str | None, bool], None]()
    for command, words in every:
        try:
            options = parse(
                options_class(command.command),
                words[1:],
                prog=f"mixwright {command.command}",
                about="",
            )
            with users_words():
                if command.command == "evaluate":
                    _check_official(options.only)
                else:
                    parse_methods(one for one in options.methods if not _to_come(one))
        except UsageError as error:
            raise UsageError(f"step {command.step}: {error}") from None
        if command.command not in ("bench", "evaluate"):
            data[options.data, options.data_dir, options.skip_unreadable] = None
    with users_words():
        for name, folder, skip in data:
            _check_data(name, folder, skip_unreadable=skip)


def _to_come(method: str) -> bool:
    """Whether a METHOD is the mixer of a run, which a step before may have to train."""
    return method.startswith(f"{TRAINED}:")


def _check_data(name: str, folder: str | None, *, skip_unreadable: bool) -> None:
    """Read data that nobody downloads; their own message says what to put where."""
    from mixwright.lab.data.load import load_data
    from mixwright.lab.data.names import parse_data

    if parse_data(name).kind in _USERS_OWN:
        load_data(name, data_dir=folder, skip_unreadable=skip_unreadable, download=False)


def _check_official(only: str | None) -> None:
    """Refuse a folder of official corrupted images that lacks files."""
    from mixwright.lab.evaluation.corruption.corruption import Corruption
    from mixwright.lab.evaluation.corruption.official import require_files
    from mixwright.lab.experiments.evaluations.parts import parse_parts

    for part in parse_parts(only):
        if isinstance(part, Corruption) and part.source == "official":
            require_files(Path(part.path).expanduser(), part.types)
