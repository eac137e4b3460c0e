"""Runs as a tidy table: one row a run and set of weights, a column for each option of a METHOD."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwright.files import write_whole
from mixwright.lab.analysis.comparison import Comparison, MethodRecord
from mixwright.lab.experiments.alternatives import JOIN
from mixwright.lab.settings import default_texts, option_pairs

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
    """Write the runs of a comparison as CSV, whole or not at all."""
    rows = run_rows(record)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, lambda file: file.write(text.getvalue().encode()))


def run_rows(record: Comparison) -> list[dict[str, Cell]]:
    """Return a row for each run and each set of weights that it has, all of equal columns.

    ``method``; an option's value under ``name.option``, its default where the METHOD leaves it
    out, None for other methods; ``seed``; ``weights``, which are ``raw``, ``ema`` or ``teacher``;
    scores as fractions, ``nll`` in nats; ``step_seconds`` and ``seconds`` of the run.
    """
    wanted = sorted({option for method in record.methods for option in options_of(method.text)})
    rows: list[dict[str, Cell]] = []
    for method in record.methods:
        options = options_of(method.text, defaults=True)
        values = {option: options.get(option) for option in wanted}
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

    A name has one sweep at most, of at least two values.
    """
    by_name: dict[str, list[MethodRecord]] = {}
    for method in methods:
        if len(words := JOIN.split(method.text)) == 1:
            by_name.setdefault(_name(words[0]), []).append(method)
    found: list[Sweep] = []
    for name, many in by_name.items():
        options = [options_of(method.text, defaults=True) for method in many]
        every = sorted({option for own in options for option in own})
        differing = [option for option in every if len({own.get(option) for own in options}) > 1]
        if len(differing) == 1:
            numbers = [_number(own.get(differing[0])) for own in options]
            pairs = zip(numbers, many, strict=True)
            points = [(number, method) for number, method in pairs if number is not None]
            if len({number for number, _ in points}) == len(many):
                points.sort(key=lambda point: point[0])
                found.append(Sweep(name, differing[0].removeprefix(f"{name}."), tuple(points)))
    return found


def options_of(text: str, *, defaults: bool = False) -> dict[str, str]:
    """Give the options that a METHOD names, read without importing its classes.

    Args:
        text: a canonical METHOD, of a record.
        defaults: whether to add those that it leaves out, for methods of ours.

    Returns:
        ``name.option`` -> text of its value.

    Example:
        >>> options_of("mixup+cutmix:alpha=0.5,box=fit")
        {'cutmix.alpha': '0.5', 'cutmix.box': 'fit'}
    """
    from mixwright.mixers import MIXERS
    from mixwright.objectives import OBJECTIVES

    found: dict[str, str] = {}
    for word in JOIN.split(text):
        name = _name(word)
        cls = (MIXERS.get(name) or OBJECTIVES.get(name)) if defaults else None
        options = {} if cls is None else default_texts(cls)
        options |= option_pairs(f'method "{word}"', word.removeprefix(name))
        found |= {f"{name}.{k}": value for k, value in options.items() if value is not None}
    return found


def _name(word: str) -> str:
    """The name in front of the options; that of a class of the user's has a colon in it."""
    return word[: word.index("=")].rpartition(":")[0] if "=" in word else word


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
