"""The folder of a run: what it is, what it did, what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import IO, Any, Self

from mixwright.files import kept_from_children, plain, write_json, write_whole
from mixwright.lab.data.identity import DataIdentity, in_a_sentence
from mixwright.lab.data.identity import differences as data_differences
from mixwright.lab.settings import decode
from mixwright.lab.training.convert import convert_epoch, convert_result
from mixwright.lab.training.recipe import Recipe, RecipeError, differences

Record = dict[str, Any]

_DATA = "data.json"


class RunError(ValueError):
    """A run cannot start in its folder, or cannot continue."""


class RunFolder:
    """Where one run keeps its records and checkpoints.

        recipe.json     what is run
        data.json       what it is run on, by content (``data.identity``)
        metrics.jsonl   one line per epoch
        last.pt         everything needed to continue after the last finished epoch
        best.pt         the weights of the epoch with the highest raw top-1, on validation images
                        where there are any, else on test images
        result.json     written last: its presence says that the run is finished

    A folder belongs to one recipe and one data set; the same ones continue in it, any other is
    refused. Nothing is touched before ``open``, which makes the folder where it does not exist.
    Folders of before have no ``data.json``; in them any data are taken.
    """

    def __init__(self, path: Path, recipe: Recipe, data: DataIdentity | None = None) -> None:
        self.path = path
        self.recipe = recipe
        self.data = data
        self.data_known = False  # whether it is written down what the run was begun on
        self.last = path / "last.pt"
        self.best = path / "best.pt"
        self._metrics = path / "metrics.jsonl"
        self._result = path / "result.json"
        self._lock: IO[bytes] | None = None

    def open(self) -> None:
        """Take the folder for this run; a RunError says why it cannot be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._check()
            self._lock = _locked(self.path / ".lock")
            self._check()  # another process may have come between
            recipe = self.path / "recipe.json"
            if not recipe.exists():
                if self.data is not None:
                    write_json(self.path / _DATA, asdict(self.data))
                write_whole(recipe, lambda file: file.write(self.recipe.to_json().encode()))
            self.data_known = self.data is not None and (self.path / _DATA).is_file()
        except OSError as error:
            raise RunError(
                f"run folder {self.path} cannot be used: {error}. Choose a folder on a disk with "
                "room that you may write to."
            ) from error

    @property
    def digest(self) -> str:
        """Of the data, for what the run leaves; empty where it was begun on data unknown."""
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
        """Add the line of an epoch."""
        self._guarded(lambda: self._add(_line(record)))

    def rewrite(self, records: Sequence[Record]) -> None:
        """Bring ``metrics.jsonl`` to the records of all epochs up to a checkpoint.

        An interrupted run may have written a line more, or after a loss of power less, than its
        last checkpoint knows of.
        """
        text = "".join(map(_line, records)).encode()
        if (self._metrics.read_bytes() if self._metrics.exists() else b"") != text:
            self._guarded(lambda: write_whole(self._metrics, lambda file: file.write(text)))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json``, after which the run counts as finished."""
        text = json.dumps(plain(result), indent=2, allow_nan=False) + "\n"
        self._guarded(lambda: write_whole(self._result, lambda file: file.write(text.encode())))

    def result(self) -> Record | None:
        """What ``finish`` wrote, or None while the run is not finished."""
        if not self._result.exists():
            return None
        try:
            record = json.loads(self._result.read_text())
        except json.JSONDecodeError:
            record = None
        if not isinstance(record, dict):
            raise RunError(f"{self._result} is damaged. Delete it: the last epoch is read again.")
        return convert_result(record)

    def _add(self, line: str) -> None:
        with self._metrics.open("a") as file:
            file.write(line)

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
            there = Recipe.from_json(recipe.read_text())
        except (RecipeError, UnicodeDecodeError) as error:
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
    """Read what data a run's folder belongs to; None for runs of before, which kept no such file.

    Raises:
        RunError: the file is damaged.
    """
    file = run / _DATA
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError(f"{file} cannot be read ({error}). Choose another folder.") from None
    return decode(DataIdentity, raw, where=str(file), error=RunError)


def other_data(run: Path, there: DataIdentity, here: DataIdentity) -> str:
    """Return the sentence about a run whose data are others now."""
    return (
        f"run folder {run} belongs to other data: {in_a_sentence(data_differences(there, here))}. "
        "Choose another folder (--out) for the data as they are now, or bring the data back."
    )


def read_metrics(run: Path) -> list[Record]:
    """Read the lines of a run's ``metrics.jsonl``, of either format, as those of format 2.

    Args:
        run: its folder, or a copy of the file, ``NAME.jsonl``.

    Returns:
        one record an epoch; none where there is no such file. A last line that was cut short by
        a crash is left out.

    Raises:
        ValueError: another line is no JSON.
    """
    file = run if run.suffix == ".jsonl" else run / "metrics.jsonl"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(convert_epoch(json.loads(line)))
        except json.JSONDecodeError:
            if number < len(lines):
                raise ValueError(
                    f"{file}: line {number} is no JSON. Remove it, or the run folder to have its "
                    "run done anew."
                ) from None
    return records


def median_step(records: Sequence[Record]) -> float:
    """Median step seconds over epochs, the first left out as warm-up where there are more."""
    return median(record["step_seconds"] for record in (records[1:] or records))


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(plain(record), allow_nan=False) + "\n"


def _locked(path: Path) -> IO[bytes] | None:
    """Hold a lock for as long as this process lives; None where the system has none."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    file = kept_from_children(path.open("ab"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise RunError(
            f"run folder {path.parent} is in use by another process. Wait for it, or choose "
            "another folder."
        ) from None
    except OSError:  # a file system without locks
        file.close()
        return None
    return file
