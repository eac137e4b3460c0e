"""Parquet files with an image column, as Hugging Face writes them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.parts import split_path
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.columns import Columns, find_columns
from mixwright.lab.data.sources.divided import Part, divided_source
from mixwright.lab.data.sources.labels import number_parts, renumbered
from mixwright.lab.data.sources.part_files import part_files

_ROWS = 1024  # images read from a file together


def load_parquet(request: Request) -> Source:
    """Return images and labels in parquet files, one or a folder of them: the request's path.

    A folder holds files whose names, or whose folders' names, begin or end with the name of a part
    (see ``part_of``), as in ``train-00000-of-00001.parquet``. One file, or files that name no
    part, are split by us: a fifth of each class, always the same rows, is held out. A part's name
    after the path and a colon is the part to test on. Labels are read first and only the chosen
    rows are read and decoded. Classes are named as the files' Hugging Face schemas say, and
    matched by name where these differ; else by number, or by text where labels are text.
    """
    _need_pyarrow()
    path, wanted = split_path(request.path)
    words, files = part_files(path, wanted, request.left_out, suffix=".parquet")
    columns = find_columns(files["train"][0])
    parts, classes = number_parts(
        {
            name: partial(_part, some, columns, title=f"{words[name]} files")
            for name, some in files.items()
        },
        classes=columns.classes,
        what=repr(columns.label),
        sure=columns.sure,
        left_out=request.left_out,
    )
    return divided_source(
        parts,
        classes=classes,
        where=str(path),
        title=f"images of the parquet data {path.name or path}",
        split=f"files for train and {words.get('test')} as found",
        request=request,
    )


def _need_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise DataError(
            "parquet files need pyarrow, which is not installed; install the extra: "
            "pip install 'mixwright[data]'"
        ) from error


def _part(files: list[Path], columns: Columns, *, title: str) -> Part:
    """Return a part, and the label of every row: text, or numbers of the first file's classes."""
    import numpy as np

    numbers: list[Tensor] = []
    names: list[str] = []
    for file in files:
        column, own = columns.read_labels(file)
        lacking = column.null_count
        if columns.text:
            some: list[str | None] = column.to_pylist()
            names += [name for name in some if name]
            lacking = sum(not name for name in some)
        if lacking:
            raise DataError(
                f"{file}: {lacking:,} rows have no {columns.label!r}; expected a class in each. "
                "Remove these rows."
            )
        if not columns.text:
            labels = torch.from_numpy(column.to_numpy().astype(np.int64))
            numbers.append(
                renumbered(labels, own, columns.classes, where=str(file), what=repr(columns.label))
            )
    if not names and not any(map(len, numbers)):
        raise DataError(f"{files[0]} and its like hold no rows; expected at least one.")
    return Part(
        name=f"{files[0]} and its like" if len(files) > 1 else str(files[0]),
        title=title,
        labels=names if columns.text else torch.cat(numbers),
        images=partial(_stored, files, columns),
    )


def _stored(files: Sequence[Path], columns: Columns, rows: Tensor, labels: Tensor) -> EncodedImages:
    """Return the encoded images of some rows (rising) with their labels; others are passed over."""
    encoded: list[bytes] = []
    names: list[str] = []
    first = 0
    for file in files:
        for column in columns.read_images(file, _ROWS):
            inside = rows[(rows >= first) & (rows < first + len(column))] - first
            chosen: list[int] = inside.tolist()
            encoded += _bytes_of(column, chosen)
            names += [f"{file.name} row {first + row}" for row in chosen]
            first += len(column)
    return EncodedImages(encoded, names, labels)


def _bytes_of(column: Any, rows: list[int]) -> list[bytes]:
    # A missing image becomes an empty one, which is named and counted where it is decoded.
    return [cell or b"" for cell in column.take(rows).to_pylist()] if rows else []
