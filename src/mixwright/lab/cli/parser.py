"""From a command's arguments to a typed dataclass; errors name the nearest word."""

import argparse
import dataclasses
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from mixwright.arguments import did_you_mean
from mixwright.lab.cli.errors import UsageError
from mixwright.lab.cli.examples import examples_text
from mixwright.lab.settings import (
    check_value,
    choices,
    displayed,
    field_types,
    option_flag,
    read_value,
    without_none,
    write_value,
)
from mixwright.lab.settings import option as option

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")


def parse(
    options: type[Options],
    argv: Sequence[str],
    *,
    prog: str,
    about: str,
) -> Options:
    """Read the arguments of one command into a dataclass whose fields were made by ``option``.

    A field with a tuple takes what stands without dashes, anywhere among the others.

    Raises:
        UsageError: an argument is not understood.
        SystemExit: help was asked for and printed.
    """
    fields = {option_flag(field.name): field for field in dataclasses.fields(options)}
    plain = next((flag for flag, field in fields.items() if isinstance(field.default, tuple)), None)
    arranged, others = _arranged(argv, fields, plain, prog)
    if others and plain is None:
        raise UsageError(f"{others[0]} is not expected here. {prog} --help lists all.")
    for argument in arranged:
        if argument.startswith("--config="):
            _check_config(Path(argument.partition("=")[2]))
    about = f"{about}\n\n{examples_text(prog.rpartition(' ')[2])}"
    values = _parser(options, fields, plain, prog, about).parse_args(arranged).as_dict()
    values.pop("config", None)
    if plain and others:  # what is written wins over a file
        values[fields[plain].name] = tuple(others)
    return options(**values)


def written(options: Any, prog: str) -> str:
    """Return a command with all that its options say otherwise than by default.

    Example:
        >>> from mixwright.lab.cli.options import CompareOptions
        >>> written(CompareOptions(methods=("none",), lr=0.1, trust=True), "mixwright compare")
        'mixwright compare none --trust --lr 0.1'
    """
    plain: list[str] = []
    words: list[str] = []
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(field.default, tuple):
            plain += value
        elif value != field.default:
            words.append(option_flag(field.name))
            words += [] if isinstance(field.default, bool) else [write_value(value)]
    return shlex.join([*prog.split(), *plain, *words])


def _parser(
    options: type[Any],
    fields: "Mapping[str, dataclasses.Field[Any]]",
    plain: str | None,
    prog: str,
    about: str,
) -> Any:
    from jsonargparse import ArgumentParser

    class Parser(ArgumentParser):
        def error(self, message: str, ex: Exception | None = None) -> NoReturn:
            unknown = re.search(r"Option '([\w.]+)' is not accepted", message)
            if unknown:
                message = (
                    f'the file of --config holds "{unknown[1]}", which is no option.'
                    f"{did_you_mean(unknown[1], [field.name for field in fields.values()])}"
                )
            if message.startswith("Problems parsing config"):  # a parser's, over several lines
                message = (
                    f"--config: {' '.join(message.split())}; expected options in YAML or JSON."
                )
            raise UsageError(message.replace('Parser key "config"', "--config")) from ex

    takes = f" [{fields[plain].metadata['metavar']} ...]" if plain else ""
    parser = Parser(
        prog=prog,
        usage=f"{prog}{takes} [options]",
        description=about,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        print_config=None,
    )
    groups: dict[str, Any] = {"options": parser}
    kinds = field_types(options)
    for flag, field in fields.items():
        title, about_it = field.metadata["group"], with_default(field)
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        kind = without_none(kinds[field.name])
        read = _reader(flag, kind)
        if flag == plain:  # an option in disguise: positionals would override --config
            parser.add_argument(
                flag,
                type=lambda value, read=read: read([value] if isinstance(value, str) else value),
                default=(),
                help=argparse.SUPPRESS,
            )
        elif isinstance(field.default, bool):
            groups[title].add_argument(flag, action="store_true", help=about_it)
        else:
            groups[title].add_argument(
                flag,
                type=read,
                default=field.default,
                help=about_it,
                metavar=field.metadata["metavar"] or f"{{{','.join(choices(kind))}}}",
            )
    parser.add_argument(
        "--config",
        action="config",
        metavar="FILE",
        help="take options from a YAML or JSON file (default: none)",
    )
    return parser


def with_default(field: "dataclasses.Field[Any]") -> str:
    """Return the line of an option for ``--help``, its default at the end where it names none."""
    about, default = field.metadata["about"], field.default
    text = field.metadata["default"]
    if text is None:
        if "default" in about:
            return about
        if default is False:
            text = ": off"
        else:
            text = ": none" if default is None else f" {write_value(default)}"
    return f"{about} (default{text})"


def _check_config(path: Path) -> None:
    """Refuse a file of --config that holds no options; the parser's own words are many lines."""
    import yaml

    expected = 'expected YAML or JSON with options by name, such as "epochs: 3"'
    try:
        text = path.expanduser().read_text(encoding="utf-8")
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(node, yaml.MappingNode):
            kind = {yaml.SequenceNode: "a list", yaml.ScalarNode: "one value"}
            raise UsageError(
                f"--config {path} holds {kind.get(type(node), 'nothing')}; {expected}."
            )
        keys = [str(key.value) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise UsageError(f"--config {path} names {key} twice; expected each option once.")
        yaml.safe_load(text)
    except OSError as error:
        raise UsageError(
            f"--config {path} cannot be read: {error.strerror or error}; expected a file of "
            "options."
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ":"
        raise UsageError(f"--config {path},{where} {error.problem}; {expected}.") from None
    # No text at all, a number of 5,000 digits, or lists in lists without end.
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0].split(";")[0]
        raise UsageError(f"--config {path} cannot be read ({reason}); {expected}.") from None


def _reader(flag: str, kind: Any) -> Callable[[Any], Any]:
    """What turns the text of an option, or its value in a file, into one of its type."""

    def read(value: Any) -> Any:
        try:
            return read_value(value, kind) if isinstance(value, str) else check_value(value, kind)
        except ValueError as error:
            expected, words = str(error), choices(kind)
            if len(words) == 2:
                expected = f"expected {' or '.join(words)}.{did_you_mean(str(value), words)}"
            # No ValueError, since argparse would word that anew.
            given = value if isinstance(value, str) else displayed(value)
            raise UsageError(f"{flag} is {given}; {expected}") from None

    return read


def _arranged(
    argv: Sequence[str],
    fields: "Mapping[str, dataclasses.Field[Any]]",
    plain: str | None,
    prog: str,
) -> tuple[list[str], list[str]]:
    """The options, each as ``--name=value``, and apart from them what stands without dashes."""
    switches = {flag for flag, field in fields.items() if isinstance(field.default, bool)}
    switches |= {"-h", "--help"}
    flags = {*fields, *switches, "--config"} - {plain}
    options: list[str] = []
    others: list[str] = []
    arguments = iter(argv)
    for argument in arguments:
        if argument == "--":
            others += arguments
            continue
        if not argument.startswith("-") or argument == "-":
            others.append(argument)
            continue
        name, sign, value = argument.partition("=")
        if plain and name.startswith("--") and name.rstrip("s") == plain.rstrip("s"):
            what = fields[plain].metadata["metavar"]
            raise UsageError(
                f"{name} is no option: {what} is written without dashes, {prog} {what}."
            )
        name = name.replace("_", "-")
        if name not in flags:
            long = [flag for flag in flags if flag and flag.startswith("--")]
            raise UsageError(
                f"there is no option {name}.{did_you_mean(name, long)} {prog} --help lists all."
            )
        if name in switches:
            if sign:
                raise UsageError(f"{name} takes no value; write it alone.")
            options.append(name)
            continue
        if not sign:
            value = next(arguments, None)
            if value is None or value in flags:
                raise UsageError(f"{name} needs a value behind it.")
        if name == "--recipe" and any(word.startswith("--recipe=") for word in options):
            raise UsageError(
                "--recipe is given twice; expected one. Options beside it change what it stands "
                "for."
            )
        # What a file says comes first, so that what is written beside it wins.
        options.insert(0 if name == "--config" else len(options), f"{name}={value}")
    return options, others
