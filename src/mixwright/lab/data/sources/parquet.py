"""Parquet files with an image column, as Hugging Face writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.memory import decoded_sets
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.columns import Columns, find_columns
from mixwright.lab.data.subset import split_rows, train_rows

_SPLITS = {
    "train": re.compile(r"train(ing)?(?![a-z])", re.IGNORECASE),
    "test": re.compile(r"test(?![a-z])", re.IGNORECASE),
    "validation": re.compile(r"(validation|valid|val|dev)(?![a-z])", re.IGNORECASE),
}
_ROWS = 1024  # images read from a file together


@dataclass(frozen=True, eq=False)
class _Split:
    """Files that make one set, and the label of each of their rows."""

    files: Sequence[Path]
    labels: Tensor


def load_parquet(request: Request) -> Source:
    """Return images and labels in parquet files, one or a folder of them: the request's path.

    A folder holds files whose names, or whose folders' names, begin with ``train`` and with
    ``test`` (or ``validation``, ``valid``, ``val``, ``dev``, taken where there is no test), as in
    ``train-00000-of-00001.parquet``. One file, or files that name no split, are split by us: a
    fifth of each class, always the same rows, is held out. Labels are read first and only the
    chosen rows are read and decoded. Classes are named as the file's Hugging Face schema says,
    else by number.
    """
    _need_pyarrow()
    path = Path(request.path).expanduser()
    train_files, test_files, word = _found(path, request)
    columns = find_columns(train_files[0])
    train = _labelled(train_files, columns)
    rows = torch.arange(len(train.labels))
    if test_files:
        test = _labelled(test_files, columns)
        test_rows = torch.arange(len(test.labels))
        split = f"files for train and {word} as found"
    else:
        test = train
        rows, test_rows = split_rows(train.labels)
        if not len(test_rows):
            raise DataError(f"{path}: every class has a single image; none is left to test on.")
        split = "a fifth of each class held out for testing, a fixed choice"
    classes = columns.classes or _numbered(train.labels, test.labels)
    for part in (train, test):
        _check_labels(part, classes, columns.label)
    chosen, cut = train_rows(train.labels[rows], request.train_size)
    train_set, test_set, clause = decoded_sets(
        _stored(train, rows[chosen], columns), _stored(test, test_rows, columns), request
    )
    return Source(
        train=train_set,
        test=test_set,
        classes=classes,
        note=f"images of the parquet data {path.name or path}: {split}{cut}; {clause}",
    )


def _need_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise DataError(
            "parquet files need pyarrow, which is not installed; install the extra: "
            "pip install 'mixwright[data]'"
        ) from error


def _found(path: Path, request: Request) -> tuple[list[Path], list[Path], str]:
    """Return train files, test files (none: to be split by us), and the test files' name."""
    if path.is_file():
        return [path], [], ""
    if not path.is_dir():
        raise DataError(f"{path} is neither a folder nor a file. Give a folder of parquet files.")
    files = sorted(path.rglob("*.parquet"))
    if not files:
        raise DataError(f"{path} holds no file that ends in .parquet.")
    by_split = {
        split: [file for file in files if _is_of(file.relative_to(path), pattern)]
        for split, pattern in _SPLITS.items()
    }
    word = "test" if by_split["test"] else "validation"
    train, test = by_split["train"], by_split[word]
    if test and not train:
        raise DataError(
            f"{path} has files for {word} ({test[0].name}) but none for training; expected names "
            "that begin with train, such as train-00000-of-00001.parquet."
        )
    chosen = train + test if train else files
    if left := [file for file in files if file not in chosen]:
        request.say(f"{len(left)} parquet file(s) are not used, such as {left[0].name}.")
    return (train or files), test, word


def _is_of(file: Path, pattern: re.Pattern[str]) -> bool:
    return any(pattern.match(part) for part in file.parts)


def _labelled(files: list[Path], columns: Columns) -> _Split:
    """Return the files with the label of every row."""
    import numpy as np

    parts: list[Tensor] = []
    for file in files:
        column = columns.read_labels(file)
        if column.null_count:
            raise DataError(
                f"{file}: {column.null_count:,} rows have no {columns.label!r}; expected a class "
                "number in each. Remove these rows."
            )
        parts.append(torch.from_numpy(column.to_numpy().astype(np.int64)))
    labels = torch.cat(parts)
    if not len(labels):
        raise DataError(f"{files[0]} and its like hold no rows; expected at least one.")
    return _Split(files, labels)


def _numbered(*labels: Tensor) -> tuple[str, ...]:
    return tuple(str(label) for label in range(int(max(part.max() for part in labels)) + 1))


def _check_labels(split: _Split, classes: tuple[str, ...], column: str) -> None:
    low, high = int(split.labels.min()), int(split.labels.max())
    if low < 0 or high >= len(classes):
        raise DataError(
            f"{split.files[0]} and its like have labels from {low} to {high} in {column!r}; "
            f"expected 0 to {len(classes) - 1}. A test file without labels (-1) cannot be used."
        )


def _stored(split: _Split, rows: Tensor, columns: Columns) -> EncodedImages:
    """Return the encoded images of some rows (rising); other rows are passed over."""
    encoded: list[bytes] = []
    names: list[str] = []
    first = 0
    for file in split.files:
        for column in columns.read_images(file, _ROWS):
            inside = rows[(rows >= first) & (rows < first + len(column))] - first
            chosen: list[int] = inside.tolist()
            encoded += _bytes_of(column, chosen)
            names += [f"{file.name} row {first + row}" for row in chosen]
            first += len(column)
    return EncodedImages(encoded, names, split.labels[rows])


def _bytes_of(column: Any, rows: list[int]) -> list[bytes]:
    # A missing image becomes an empty one, which is named and counted where it is decoded.
    return [cell or b"" for cell in column.take(rows).to_pylist()] if rows else []
