"""Findings in files: one JSON record, its arrays beside it, and every number in one tidy table."""

from __future__ import annotations

import csv
import dataclasses
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.files import read_json, write_json, write_whole
from mixwright.lab.analysis.findings import FORMAT, Arrays, Findings, Group
from mixwright.lab.analysis.measures import numbers
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from torch import Tensor

NAMES = {
    "comparison": "comparison.json",
    "evaluation": "evaluation.json",
    "theory": "theory.json",
}
"""File of each kind of findings."""


def write_findings(folder: Path, findings: Findings, arrays: Arrays) -> Path:
    """Write the record (NaN as null), its arrays and the tidy table, each whole or not at all.

    Return the path of the record.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAMES[findings.kind]
    write_arrays(arrays_beside(path), arrays)
    table = tidy_table(findings).encode(errors="backslashreplace")
    write_whole(path.with_suffix(".csv"), lambda file: file.write(table))
    write_json(path, to_record(findings))  # last: its presence says that the others are whole
    return path


def arrays_beside(record: Path) -> Path:
    """Return the file of a record's arrays: ``comparison.npz`` beside ``comparison.json``."""
    return record.with_suffix(".npz")


def to_record(findings: Findings) -> dict[str, Any]:
    """Return findings as plain values, measured tensors left out."""
    bare = {
        name: dataclasses.replace(
            part, groups=tuple(dataclasses.replace(group, arrays=()) for group in part.groups)
        )
        for name, part in findings.parts.items()
    }
    record = dataclasses.asdict(dataclasses.replace(findings, parts=bare))
    for part in record["parts"].values():
        for group in part["groups"]:
            del group["arrays"]
    return record


def find_record(path: Path) -> Path:
    """Return the record that a path means: itself, or the one in a folder.

    Raises:
        ValueError: there is no such file, or no record in the folder.
    """
    if not path.is_dir():
        if path.is_file():
            return path
        raise ValueError(f"{path}: no such file or folder. Give a record, or the folder of one.")
    found = [path / name for name in NAMES.values() if (path / name).is_file()]
    if not found:
        raise ValueError(
            f"{path} holds none of {', '.join(NAMES.values())}; expected the folder of a finished "
            "compare, evaluate or theory."
        )
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise ValueError(f"{path} holds several records: {names}. Name the file.")
    return found[0]


def read_findings(path: Path) -> Findings:
    """Read a record, or the one in a folder, of any format ever written; null is NaN again.

    Raises:
        ValueError: it is not there, damaged, or no such record.
    """
    path = find_record(path)
    try:
        raw = read_json(path)
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}). Make the record again.") from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        # It reads run folders, by torch, which takes seconds to import.
        from mixwright.lab.analysis.convert import convert_record

        return convert_record(raw, path)
    return decode(Findings, raw, where=str(path))


def write_arrays(file: Path, arrays: Arrays) -> None:
    """Write tensors to an ``.npz`` file, whole or not at all."""
    import numpy as np

    stored: dict[str, Any] = {
        name.translate(_TO_FILE): array.cpu().numpy() for name, array in arrays.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, lambda stream: np.savez_compressed(stream, **stored))


# Names of arrays hold those of files, which need not be UTF-8: their surrogates, which no zip file
# takes, are stored as characters that Unicode leaves to private use.
_TO_FILE = {code: 0x100000 + code for code in range(0xD800, 0xE000)}
_FROM_FILE = {private: code for code, private in _TO_FILE.items()}

_NOT_WHOLE = (
    OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error,
    RuntimeError,  # a flag of encryption, or of a compression that Python does not know
)  # fmt: skip


def read_arrays(file: Path) -> dict[str, Tensor] | None:
    """Read what ``write_arrays`` wrote; None where there is no whole file."""
    import numpy as np
    import torch

    try:  # opened by us: numpy leaves a damaged file open
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return {
                name.translate(_FROM_FILE): torch.from_numpy(stored[name]) for name in stored.files
            }
    except _NOT_WHOLE:
        return None


def tidy_table(findings: Findings) -> str:
    """Return every measured number as CSV: a row a method, seed, set of weights and measure.

    Options of a METHOD (``name.option``) have a column each, empty where a method has no such
    option; ``value`` is as measured: fractions, nats, seconds.
    """
    rows = list(_rows(findings))
    given: dict[str, dict[str, str]] = findings.about.details.get("options", {})
    options = sorted({option for values in given.values() for option in values})
    head = ["part", "method", "name", "weights", "seed", *options, "measure", "value"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for part, group, seed, measure, value in rows:
        own: Mapping[str, str] = given.get(group.method, {})
        writer.writerow(
            [
                part,
                group.method or group.key,
                group.name,
                group.weights,
                "" if seed is None else seed,
                *(own.get(option, "") for option in options),
                measure,
                repr(value),
            ]
        )
    return text.getvalue()


def _rows(findings: Findings) -> Iterator[tuple[str, Group, int | None, str, float]]:
    for name, part in findings.parts.items():
        for group in part.groups:
            for seed, summary in zip(group.seeds, group.summaries, strict=True):
                for measure, value in numbers(summary).items():
                    yield name, group, seed, measure, value
