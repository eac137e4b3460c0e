"""The folder of a run: what it is, what it did, what came of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import IO, Any, Self

from mixwright.files import (
    LOCK,
    append_line,
    locked,
    parse_json,
    plain,
    read_json,
    remove_unfinished,
    write_errors,
    write_json,
    write_whole,
)
from mixwright.lab.data.identity import DataIdentity, in_a_sentence
from mixwright.lab.data.identity import differences as data_differences
from mixwright.lab.settings import decode
from mixwright.lab.training.convert import convert_epoch, convert_result
from mixwright.lab.training.recipe import Recipe, RecipeError, differences
from mixwright.lab.training.result import Result

Record = dict[str, Any]

_DATA = "data.json"
_LOG = logging.getLogger(__name__)


class RunError(ValueError):
    """A run cannot start in its folder, or cannot continue."""


class RunHeldError(RunError):
    """Another process is at work in the folder of a run."""


class RunFolder:
    """Where one run keeps its records and checkpoints.

        recipe.json     what is run
        data.json       what it is run on, by content (``data.identity``)
        metrics.jsonl   one line per epoch; nothing else keeps those of earlier epochs
        last.pt         everything needed to continue after the last finished epoch
        best.pt         the weights of the epoch with the highest raw top-1, on validation images
                        where there are any, else on test images
        result.json     written last: its presence says that the run is finished

    A folder belongs to one recipe and one data set; the same ones continue in it, any other is
    refused. Nothing is touched before ``open``, which makes the folder where it does not exist.
    Folders of older versions have no ``data.json``; they accept any data.
    """

    def __init__(self, path: Path, recipe: Recipe, data: DataIdentity | None = None) -> None:
        self.path = path
        self.recipe = recipe
        self.data = data
        self.data_known = False  # whether the folder says which data the run began on
        self.last = path / "last.pt"
        self.best = path / "best.pt"
        self._metrics = path / "metrics.jsonl"
        self._result = path / "result.json"
        self._lock: IO[bytes] | None = None

    def open(self) -> None:
        """Take the folder for this run; a RunError says why it cannot be, and none is held then."""
        try:
            self._take()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise RunError(
                    f"run folder {self.path} cannot be used: {error}. Choose a folder on a disk "
                    "with room that you may write to."
                ) from error
            raise

    def _take(self) -> None:
        with write_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self._check()
        try:
            self._lock = locked(self.path / LOCK)
        except BlockingIOError:
            raise RunHeldError(
                f"run folder {self.path} is in use by another process. Wait for it, or choose "
                "another folder."
            ) from None
        self._check()  # another process may have come between
        if self._lock is not None:  # what lies there belongs to no living process
            remove_unfinished(self.path)
        recipe = self.path / "recipe.json"
        if not recipe.exists():
            if self.data is not None:
                write_json(self.path / _DATA, asdict(self.data))
            write_whole(recipe, lambda file: file.write(self.recipe.to_json().encode()))
        self.data_known = self.data is not None and (self.path / _DATA).is_file()

    @property
    def digest(self) -> str:
        """Digest of the data, for the run's records; empty where the folder does not say them."""
        return self.data.digest if self.data is not None and self.data_known else ""

    def close(self) -> None:
        """Release the folder; harmless when it is not held."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        """Open the folder for the length of a ``with`` block."""
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def append(self, record: Mapping[str, Any]) -> None:
        """Add the line of an epoch; it has reached the disk when this returns."""
        self._guarded(lambda: append_line(self._metrics, _line(record)))

    def rewind(self, epoch: int, known: Sequence[Record] = ()) -> list[Record]:
        """Bring ``metrics.jsonl`` to the epochs up to a checkpoint, and return their records.

        An interrupted run may have written a line more than its last checkpoint knows of. Damaged
        lines are lost, except those that the checkpoint holds: the line of its own epoch, and in
        checkpoints of older versions the lines of all epochs.
        """
        there = [record for record in read_metrics(self.path) if record["epoch"] <= epoch]
        by_epoch = {record["epoch"]: record for record in (*there, *known)}
        records = [by_epoch[number] for number in sorted(by_epoch)]
        text = "".join(_line(record) + "\n" for record in records).encode()
        if (self._metrics.read_bytes() if self._metrics.exists() else b"") != text:
            self._guarded(lambda: write_whole(self._metrics, lambda file: file.write(text)))
        if len(records) < epoch:
            _LOG.warning(
                "%s: the lines of %d of %d epochs are missing or damaged; the run goes on without.",
                self._metrics, epoch - len(records), epoch,
            )  # fmt: skip
        return records

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json``, after which the run counts as finished."""
        text = json.dumps(plain(result), indent=2, allow_nan=False) + "\n"
        self._guarded(lambda: write_whole(self._result, lambda file: file.write(text.encode())))

    def result(self) -> Result | None:
        """What ``finish`` wrote, or None while the run is not finished; see ``read_result``."""
        return read_result(self.path)

    def _guarded(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            raise RunError(
                f"run folder {self.path} could not be written to: {error}. Make room, then give "
                "the same command again to continue from the last checkpoint."
            ) from error

    def _check(self) -> None:
        """Refuse a folder that holds another recipe or other files."""
        recipe = self.path / "recipe.json"
        files = (recipe, self.path / _DATA, self._metrics, self.last, self.best, self._result)
        for file in files:
            if file.is_dir():
                raise RunError(
                    f"run folder {self.path}: {file.name} is a folder; expected a file. Move it "
                    "away, then give the same command again."
                )
        if not recipe.exists():
            # Hidden names: our lock, and temporary files of a run killed at its very start.
            names = sorted(entry.name for entry in self.path.iterdir() if entry.name[0] != ".")
            if names and names != [_DATA]:
                more = ", ..." if len(names) > 3 else ""
                raise RunError(
                    f"run folder {self.path} has no recipe.json but holds {', '.join(names[:3])}"
                    f"{more}; expected a new or empty folder, or one of an earlier run. Choose "
                    "another."
                )
            return
        try:
            there = Recipe.from_json(recipe.read_bytes())
        except RecipeError as error:
            raise RunError(
                f"{recipe} cannot be read ({error}); expected the recipe of an earlier run. "
                "Choose another folder."
            ) from error
        changed = differences(there, self.recipe)
        if changed:
            listed = "; ".join(
                f"{name} {old!r} there, {new!r} now" for name, (old, new) in changed.items()
            )
            raise RunError(
                f"run folder {self.path} belongs to another recipe: {listed}. Choose another "
                "folder, or go back to the recipe there to continue it."
            )
        there = read_identity(self.path)
        if there is not None and self.data is not None and there.digest != self.data.digest:
            raise RunError(other_data(self.path, there, self.data))


def read_identity(run: Path) -> DataIdentity | None:
    """Read which data a run's folder belongs to; None in folders of older versions.

    Raises:
        RunError: the file is damaged.
    """
    file = run / _DATA
    try:
        there = decode(DataIdentity, read_json(file), where="the record")
        if not {"train", "test"} <= there.parts.keys():
            raise ValueError(f"it has the parts {sorted(there.parts)}, not train and test")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(
            f"{file} cannot be read ({str(error).rstrip('.')}); expected what the run was trained "
            "on. Remove this file to go on without a check that the data are the same, or the "
            "run's folder to have it done anew."
        ) from None
    return there


def other_data(run: Path, there: DataIdentity, here: DataIdentity) -> str:
    """Return the message for a run whose data have changed."""
    return (
        f"run folder {run} belongs to other data: {in_a_sentence(data_differences(there, here))}. "
        "Choose another folder (--out) for the data as they are now, or bring the data back."
    )


def read_result(run: Path) -> Result | None:
    """Read a run's ``result.json``; None where there is none, or a damaged one.

    What is damaged (cut short, or without some of its fields) is as good as missing: the same
    command again writes it anew, from the last checkpoint.

    Raises:
        RunError: it is of a newer format than is known here.
    """
    try:
        record = read_json(run / "result.json")
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict):
        return None
    try:
        fields = convert_result(record)
    except ValueError as error:
        raise RunError(f"{run}: {error}") from None
    except (AttributeError, TypeError):  # parts that are no objects
        return None
    try:
        return Result.from_record(fields)
    except ValueError:
        return None


def is_finished(run: Path) -> bool:
    """Whether nothing is left to do in a run's folder; a damaged result is there to be replaced."""
    try:
        return read_result(run) is not None
    except RunError:  # of a newer format
        return True


def read_metrics(run: Path) -> list[Record]:
    """Read the lines of a run's ``metrics.jsonl``, of either format, as those of format 2.

    Args:
        run: its folder, or a copy of the file, ``NAME.jsonl``.

    Returns:
        one record an epoch, by epoch; none where there is no such file. Lines that are damaged or
        were cut short by a crash are left out, so that epochs may be missing.
    """
    file = run if run.suffix == ".jsonl" else run / "metrics.jsonl"
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError:  # not there, or no file
        return []
    records = [record for record in map(_epoch_of, lines) if record is not None]
    return [*{record["epoch"]: record for record in sorted(records, key=_number)}.values()]


def damaged_lines(run: Path) -> list[int]:
    """Return the numbers of the lines of a run's ``metrics.jsonl`` that cannot be read, from 1.

    What stands behind the last line break is being written, or was when a crash came.
    """
    file = run / "metrics.jsonl"
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    return [number for number, line in enumerate(lines, 1) if _epoch_of(line) is None]


def _epoch_of(line: bytes) -> Record | None:
    """The record in a line; None where it is damaged."""
    try:
        record = convert_epoch(parse_json(line))
    except (ValueError, AttributeError):  # no JSON, or no objects
        return None
    whole = (
        isinstance(record.get("epoch"), int)
        and record["epoch"] >= 1
        and isinstance(record.get("train"), dict)
        and isinstance(record.get("test", {}), dict | None)
        and isinstance(record["warnings"], list)
    )
    return record if whole else None


def _number(record: Record) -> int:
    return record["epoch"]


def median_step(records: Sequence[Record]) -> float:
    """Median step seconds over epochs, the first left out as warm-up where there are more."""
    return median(record["step_seconds"] for record in (records[1:] or records))


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(plain(record), allow_nan=False)
