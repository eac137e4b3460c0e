"""Runs as they are tracked: found below folders, read strictly, and told as numbers by epoch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwright.lab.analysis.findings import WEIGHTS
from mixwright.lab.analysis.measures import numbers
from mixwright.lab.training.folder import RunError, damaged_lines, read_metrics, read_result
from mixwright.lab.training.recipe import Recipe, RecipeError
from mixwright.lab.training.result import Result

_OF_A_RUN = ("recipe.json", "metrics.jsonl", "last.pt")
_UNMEASURED = ("epoch", "progress", "seed", "train", "test", "validation")


@dataclass(frozen=True)
class Point:
    """One number of a run.

    Args:
        epoch: after which it was measured, from 1.
        weights: one of ``findings.WEIGHTS``; empty where it is of no set of weights.
        measure: by path, such as ``test.top1``, ``train.terms.mixed`` or ``lr``.
        value: as measured: fractions, nats, seconds.
    """

    epoch: int
    weights: str
    measure: str
    value: float


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackedRun:
    """What a run folder tells; ``name`` tells it from all others that are exported with it.

    Args:
        started: when its recipe was written, seconds since 1970.
        epochs: the records of its metrics, by epoch; none yet where it has just begun.
        result: None while it has not finished.
    """

    name: str
    folder: Path
    recipe: Recipe
    started: float
    epochs: Sequence[Mapping[str, Any]]
    result: Result | None

    def points(self) -> list[list[Point]]:
        """All its numbers: a list for each epoch, and at the end one of its result."""
        groups = [[*_of_epoch(record)] for record in self.epochs]
        return groups if self.result is None else [*groups, [*_of_result(self.result)]]


def find_runs(
    words: Sequence[str | Path], *, say: Callable[[str], None] = lambda sentence: None
) -> list[TrackedRun]:
    """Read every run of some folders, each once.

    Args:
        words: run folders, folders of comparisons, or any that hold such.
        say: told which runs are left out because something of them is damaged, and of which
            epochs are missing.

    Returns:
        those that can be read, by name: their path below what all words have in common.

    Raises:
        ValueError: a word is no folder, holds no run, or none of all runs can be read.
    """
    homes = [_home(word) for word in words]
    base = Path(os.path.commonpath(homes))
    folders: dict[Path, None] = {}
    for word, home in zip(words, homes, strict=True):
        found = [Path(word).resolve()] if _is_run(Path(word)) else _runs_below(home)
        if not found:
            raise ValueError(
                f"{word} holds no run; expected a run folder of mixwright train, the folder of a "
                "comparison, or one that holds such."
            )
        folders |= dict.fromkeys(found)
    runs = [_read(folder, folder.relative_to(base).as_posix(), say) for folder in folders]
    whole = [run for run in runs if run is not None]
    if not whole:
        raise ValueError(
            f"none of {len(runs)} runs can be exported."
            if len(runs) > 1
            else f"{words[0]}: its run cannot be exported."
        )
    return sorted(whole, key=lambda run: run.name)


def _home(word: str | Path) -> Path:
    """The folder by which runs are named: around a run, or where a comparison has them."""
    try:
        if word == "":  # which a path takes for the folder that one is in
            raise ValueError
        folder = Path(word).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # not there, a circle, a name with a null
        raise ValueError(f"there is no folder {str(word)!r}; expected one with runs.") from None
    if not folder.is_dir():
        raise ValueError(f"{word} is a file; expected a folder that holds runs.")
    if _is_run(folder):
        return folder.parent
    return folder / "runs" if (folder / "runs").is_dir() else folder


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _OF_A_RUN)


def _runs_below(home: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, _ in os.walk(home):
        if _is_run(Path(place)):
            found.append(Path(place))
            folders.clear()
        folders.sort()
    return found


def _read(folder: Path, name: str, say: Callable[[str], None]) -> TrackedRun | None:
    """Read one run; None, and a word about it, where it cannot be told as it was."""
    try:
        recipe_file = folder / "recipe.json"
        recipe = Recipe.from_json(recipe_file.read_bytes())
        started = recipe_file.stat().st_mtime
        lines = damaged_lines(folder)
        result = read_result(folder)
    except (OSError, RecipeError, RunError) as error:
        say(f"{name} is left out: {_reason(error)}")
        return None
    if lines:
        many = f"lines {', '.join(map(str, lines[:3]))}{', ...' if len(lines) > 3 else ''}"
        what = f"line {lines[0]}" if len(lines) == 1 else many
        say(f"{name} is left out: {what} of its metrics.jsonl cannot be read.")
        return None
    if result is None and (folder / "result.json").exists():
        say(
            f"{name} is left out: its result.json is damaged; the command that trained it writes "
            "it anew."
        )
        return None
    epochs = read_metrics(folder)
    if not epochs:
        say(f"{name}: no epoch of it is finished yet.")
    elif lost := epochs[-1]["epoch"] - len(epochs):
        say(f"{name}: {lost} of {epochs[-1]['epoch']} epochs are missing in its metrics.jsonl.")
    return TrackedRun(
        name=name, folder=folder, recipe=recipe, started=started, epochs=epochs, result=result
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"its recipe.json cannot be read ({error.strerror or error})."
    if isinstance(error, RecipeError):
        return f"its recipe.json cannot be read: {error}"
    return str(error)


def _of_epoch(record: Mapping[str, Any]) -> Iterator[Point]:
    epoch: int = record["epoch"]
    for part in ("test", "validation"):
        for weights, scores in _columns(record.get(part)):
            for measure, value in numbers(scores).items():
                yield Point(epoch, weights, f"{part}.{measure}", value)
    rest = {name: value for name, value in record.items() if name not in _UNMEASURED}
    for measure, value in numbers({"train": record["train"], **rest}).items():
        yield Point(epoch, "", measure, value)


def _of_result(result: Result) -> Iterator[Point]:
    """What the lines of the epochs do not have."""
    last = result.epochs
    for weights, scores in _columns(result.scores):
        for measure in ("ece_scaled", "temperature"):
            if measure in numbers(scores):
                yield Point(last, weights, f"test.{measure}", float(scores[measure]))
    for weights, scores in _columns(result.best):
        for measure, value in numbers(scores).items():
            if measure != "epoch":
                yield Point(scores["epoch"], weights, f"best.{measure}", value)
    for measure, value in numbers(result.clean_train or {}).items():
        yield Point(last, "raw", f"clean_train.{measure}", value)
    for measure in ("step_seconds", "seconds", "parameters"):
        yield Point(last, "", f"run.{measure}", float(getattr(result, measure)))


def _columns(scores: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The sets of weights of a part, where it was measured, in the order of pages."""
    for weights in WEIGHTS:
        if isinstance(scores, Mapping) and isinstance(scores.get(weights), Mapping):
            yield weights, scores[weights]
