"""From the steps of a published item to commands as one would type them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.experiments.published.item import (
    OUT,
    ROW,
    SLUG,
    PublishedItem,
    Row,
    Runs,
    Step,
    row_folder,
)


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of the command line.

    Attributes:
        step: its name, and that of its folder.
        command: which one.
        words: METHODs, or what is evaluated.
        options: by name, without those of where and how it runs.
        folder: where its results lie.
        data: that it works on; of an evaluation those of what it measures.
        pictures: see ``item.Step``.
    """

    step: str
    command: Runs
    words: tuple[str, ...]
    options: Mapping[str, Any]
    folder: Path
    data: str
    pictures: tuple[str, ...] = ()


def commands(item: PublishedItem, out: Path) -> list[Command]:
    """Return the commands of an item as it is run at a scale, in their order.

    Raises:
        ValueError: a METHOD is not understood.
    """
    found: list[Command] = []
    folders: dict[str, list[Path]] = {}
    data: dict[str, str] = {}
    for step in item.steps:
        for name, rows in _each(step, item):
            one = next(iter(rows.items())) if step.each_row else None
            if step.command == "evaluate":
                words = tuple(str(folder) for of in step.of for folder in folders[of])
            elif step.methods is not None:
                words = tuple(_filled(method, out, one) for method in step.methods)
            else:
                methods = (parse_method(row.method).text for row in rows.values())
                words = tuple(dict.fromkeys(methods))
            options = {key: _filled(value, out, one) for key, value in step.options.items()}
            folder = out / name
            folders.setdefault(step.name, []).append(folder)
            own = "digits" if not step.of else data[step.of[0]]
            data[step.name] = str(options.get("data", own))
            found.append(
                Command(
                    step=name,
                    command=step.command,
                    words=words,
                    options=options,
                    folder=folder,
                    data=data[step.name],
                    pictures=step.pictures,
                )
            )
    return found


def _each(step: Step, item: PublishedItem) -> Iterator[tuple[str, dict[str, Row]]]:
    """Name and rows of each time that a step is done."""
    rows = {label: row for label, row in item.rows.items() if not step.rows or label in step.rows}
    if not step.each_row:
        yield step.name, rows
        return
    for label, row in rows.items():
        yield step.name.replace(ROW, row_folder(label)), {label: row}


def _filled(value: Any, out: Path, row: tuple[str, Row] | None) -> Any:
    """The value of an option with what stands for folder and row filled in."""
    if not isinstance(value, str):
        return value
    value = value.replace(OUT, str(out))
    if row is not None:
        label, own = row
        value = value.replace(ROW, row_folder(label)).replace(SLUG, parse_method(own.method).slug)
    return value
