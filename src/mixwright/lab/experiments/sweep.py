"""Runs as a tidy table: one row a run and set of weights, a column for each option of a METHOD."""

from __future__ import annotations

import csv
import inspect
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwright.files import write_whole
from mixwright.lab.analysis.comparison import Comparison, MethodRecord
from mixwright.lab.experiments.alternatives import JOIN
from mixwright.lab.experiments.pairs import option_pairs
from mixwright.lab.settings import write_value

COLUMNS = ("raw", "ema", "teacher")
SCORES = ("top1", "nll", "ece")

Cell = str | int | float | None


@dataclass(frozen=True)
class Sweep:
    """Methods that differ in one number alone.

    Args:
        name: of the method.
        option: that differs.
        points: values in rising order, each with its method.
    """

    name: str
    option: str
    points: tuple[tuple[float, MethodRecord], ...]


def write_runs(path: Path, record: Comparison) -> None:
    """Write the runs of a comparison as CSV, whole or not at all.

    Args:
        path: the file, such as ``runs.csv`` beside ``comparison.json``.
        record: of the comparison.
    """
    rows = run_rows(record)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, lambda file: file.write(text.getvalue().encode()))


def run_rows(record: Comparison) -> list[dict[str, Cell]]:
    """Give a row for each run and each set of weights that it has.

    Args:
        record: of a comparison.

    Returns:
        rows of equal columns: ``method``; an option's value under ``name.option``, its default
        where the METHOD leaves it out, None for other methods; ``seed``; ``weights``, which are
        ``raw``, ``ema`` or ``teacher``; scores as fractions, ``nll`` in nats; ``step_seconds`` and
        ``seconds`` of the run.
    """
    given = [options_of(method.text) for method in record.methods]
    wanted = sorted({option for options in given for option in options})
    rows: list[dict[str, Cell]] = []
    for method, options in zip(record.methods, given, strict=True):
        values = {one: options.get(one, _default(method.text, one)) for one in wanted}
        for run in method.runs:
            for column in COLUMNS:
                scores: dict[str, Any] | None = getattr(run, column)
                if scores:
                    rows.append(
                        {"method": method.text, **values, "seed": run.seed, "weights": column}
                        | {name: scores[name] for name in SCORES}
                        | {"step_seconds": run.step_seconds, "seconds": run.seconds}
                    )
    return rows


def sweeps(methods: Sequence[MethodRecord]) -> list[Sweep]:
    """Find methods of one name that differ in exactly one option, which is a number in all.

    Args:
        methods: of a comparison.

    Returns:
        one sweep a name at most, with at least two values.
    """
    by_name: dict[str, list[MethodRecord]] = {}
    for method in methods:
        if len(JOIN.split(method.text)) == 1:
            by_name.setdefault(_named(method.text)[0], []).append(method)
    found: list[Sweep] = []
    for name, many in by_name.items():
        wanted = {option for method in many for option in options_of(method.text)}
        differing = {
            option: values
            for option in sorted(wanted)
            if len(set(values := [_value(method.text, option) for method in many])) > 1
        }
        if len(differing) == 1:
            ((option, texts),) = differing.items()
            numbers = [_number(text) for text in texts]
            whole = [one for one in numbers if one is not None]
            if len(set(whole)) == len(many):
                points = sorted(zip(whole, many, strict=True), key=lambda point: point[0])
                found.append(Sweep(name, option.removeprefix(f"{name}."), tuple(points)))
    return found


def options_of(text: str) -> dict[str, str]:
    """Give the options that a METHOD names.

    Args:
        text: a canonical METHOD.

    Returns:
        ``name.option`` -> text of its value.

    Example:
        >>> options_of("mixup+cutmix:alpha=0.5,box=fit")
        {'cutmix.alpha': '0.5', 'cutmix.box': 'fit'}
    """
    found: dict[str, str] = {}
    for word in JOIN.split(text):
        name, rest = _named(word)
        pairs = option_pairs(f'method "{word}"', rest)
        found |= {f"{name}.{option}": value for option, value in pairs.items()}
    return found


def _named(word: str) -> tuple[str, str | None]:
    """The name of one part, and the text of its options."""
    head, sign, tail = word.partition("=")
    if not sign:
        return word, None
    name, _, option = head.rpartition(":")  # a class of the user's has a colon in its name
    return name, f"{option}={tail}"


def _value(text: str, option: str) -> str | None:
    return options_of(text).get(option, _default(text, option))


def _default(text: str, option: str) -> str | None:
    """What an option is where a METHOD leaves it out; None where it has none, or nobody knows."""
    from mixwright.mixers import MIXERS
    from mixwright.objectives import OBJECTIVES

    name, _, argument = option.rpartition(".")
    cls = MIXERS.get(name) or OBJECTIVES.get(name)
    if cls is None or name not in {_named(word)[0] for word in JOIN.split(text)}:
        return None
    parameter = inspect.signature(cls).parameters.get(argument)
    if parameter is None or parameter.default is inspect.Parameter.empty:
        return None
    return write_value(parameter.default)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
