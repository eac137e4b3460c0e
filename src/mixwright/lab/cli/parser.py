"""From words to a typed dataclass: one parser a command, errors that name the nearest word."""

import argparse
import dataclasses
import json
import re
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from mixwright.arguments import did_you_mean
from mixwright.lab.cli.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def option(default: Any, about: str, *, metavar: str | None = None, group: str = "options") -> Any:
    """A field of an options dataclass with what ``--help`` says about it.

    Args:
        default: its value when it is not given; True and False make plain switches.
        about: one line.
        metavar: what stands for the value; nothing for those with a few words to choose from.
        group: heading under which it is listed.

    Returns:
        a dataclass field.
    """
    metadata = {"about": about, "metavar": metavar, "group": group}
    return dataclasses.field(default=default, metadata=metadata)


def parse(options: type[Options], argv: Sequence[str], *, prog: str, about: str) -> Options:
    """Read the words of one command.

    Args:
        options: a dataclass whose fields were made by ``option``; a tuple is what stands without
            dashes, anywhere among the others.
        argv: the words behind the command.
        prog: how the command is called.
        about: what it does, for ``--help``.

    Returns:
        the dataclass, filled.

    Raises:
        UsageError: a word is not understood.
        SystemExit: help was asked for and printed.
    """
    parser = _parser(options, prog, about)
    plain = next((field for field in dataclasses.fields(options) if _is_words(field)), None)
    flags = {name for action in parser._actions for name in action.option_strings}
    flags -= {f"--{plain.name}", f"--{plain.name}+"} if plain else set[str]()
    switches = {
        name for action in parser._actions if action.nargs == 0 for name in action.option_strings
    }
    for word in argv:
        name = word.partition("=")[0]
        if plain and name.startswith("--") and name[2:].rstrip("s") == plain.name.rstrip("s"):
            what = plain.metadata["metavar"]
            raise UsageError(
                f"{name} is no option: {what} is written without dashes, {prog} {what}."
            )
    words, others = _arranged(argv, flags, switches, prog)
    if others:
        if plain is None:
            raise UsageError(f"{others[0]} is not expected here. {prog} --help lists all.")
        words.append(f"--{plain.name}={json.dumps(others)}")
    values = parser.parse_args(words).as_dict()
    values.pop("config", None)
    return options(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def _parser(options: "type[DataclassInstance]", prog: str, about: str) -> Any:
    from jsonargparse import ArgumentParser

    class Parser(ArgumentParser):
        def error(self, message: str, ex: Exception | None = None) -> NoReturn:
            raise UsageError(_plain_words(message, options)) from ex

    words = next((f for f in dataclasses.fields(options) if _is_words(f)), None)
    takes = f" [{words.metadata['metavar']} ...]" if words else ""
    parser = Parser(
        prog=prog,
        usage=f"{prog}{takes} [options]",
        description=about,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        print_config=None,
    )
    groups: dict[str, Any] = {"options": parser}
    hints = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        said, metavar = field.metadata["about"], field.metadata["metavar"]
        if _is_words(field):  # an option in disguise: positionals would override --config
            parser.add_argument(
                f"--{field.name}", type=list[str], default=[], help=argparse.SUPPRESS
            )
            continue
        title = field.metadata["group"]
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        name = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            groups[title].add_argument(name, action="store_true", help=said)
            continue
        kind = _without_none(hints[field.name])
        more = {} if metavar is None else {"metavar": metavar}
        groups[title].add_argument(name, type=kind, default=field.default, help=said, **more)
    parser.add_argument(
        "--config", action="config", metavar="FILE", help="take options from a YAML or JSON file"
    )
    return parser


def _arranged(
    argv: Sequence[str], flags: set[str], switches: set[str], prog: str
) -> tuple[list[str], list[str]]:
    """The options, each as ``--name=value``, and apart from them what stands without dashes."""
    options: list[str] = []
    others: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            others += words
        elif not word.startswith("-") or word == "-":
            others.append(word)
        else:
            name, sign, value = word.partition("=")
            name = name.replace("_", "-")
            if name not in flags:
                long = [flag for flag in flags if flag.startswith("--")]
                raise UsageError(
                    f"there is no option {name}.{did_you_mean(name, long)} {prog} --help lists all."
                )
            if name in switches:
                if sign:
                    raise UsageError(f"{name} takes no value; write it alone.")
                options.append(name)
                continue
            if not sign:
                value = next(words, None)
                if value is None or value in flags:
                    raise UsageError(f"{name} needs a value behind it.")
            # What a file says comes first, so that what is written beside it wins.
            options.insert(0 if name == "--config" else len(options), f"{name}={value}")
    return options, others


def _plain_words(message: str, options: "type[DataclassInstance]") -> str:
    """What jsonargparse says, said for people."""
    bad = re.search(r'Parser key "([\w.]+)":\s*(.*)', message, re.DOTALL)
    if not bad:
        unknown = re.search(r"Option '([\w.]+)' is not accepted", message)
        if unknown:
            names = [field.name for field in dataclasses.fields(options)]
            return (
                f'the file of --config holds "{unknown[1]}", which is no option.'
                f"{did_you_mean(unknown[1], names)}"
            )
        return message
    name = "--" + bad[1].replace("_", "-")
    hints = typing.get_type_hints(options)
    got = re.search(r"[Vv]alue: (.*)", bad[2])
    if bad[1] not in hints or not got:
        return f"{name}: {bad[2]}"
    kind = _without_none(hints[bad[1]])
    if typing.get_origin(kind) is typing.Literal:
        words = [str(word) for word in typing.get_args(kind)]
        return f"{name} is {got[1]}; expected {_any_of(words)}.{did_you_mean(got[1], words)}"
    return f"{name} is {got[1]}; expected {_KINDS.get(kind, str(kind))}."


def _any_of(words: Sequence[str]) -> str:
    return " or ".join(words) if len(words) < 3 else f"one of {', '.join(words)}"


def _is_words(field: "dataclasses.Field[Any]") -> bool:
    return isinstance(field.default, tuple)


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        inner: Iterable[Any] = (one for one in typing.get_args(kind) if one is not type(None))
        kind = next(iter(inner))
    return str if kind is Path else kind
