"""Data sets of the Hugging Face hub, by their name there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixwright.lab.data.decode import Encoded
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.memory import decoded_sets
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.columns import IMAGE_NAMES, LABEL_NAMES, named_or_only
from mixwright.lab.data.subset import split_rows, train_rows

TESTS = ("test", "validation", "valid", "val", "dev")
"""Splits that may be tested on; the first that is there is taken."""


def load_hub(request: Request) -> Source:
    """Return images and labels of a data set of the hub, by the package ``datasets``.

    The splits ``train`` and ``test`` are taken (or ``validation``, ``valid``, ``val``, ``dev``,
    where there is no test); a set of one split is split by us, a fifth of each class held out.
    Columns are found as in parquet files: by their names, else by their kinds where only one
    fits. Classes are named as the hub names them, else by number.

    The request's path is the name as the hub writes it, ``owner/name``, with ``:configuration``
    behind it where there are several; a folder of files that ``datasets`` knows will do. Its
    ``data_dir`` is where ``datasets`` keeps its files, its own cache by default.
    """
    datasets, name = _package(), request.path
    splits = _fetched(datasets, request)
    train_name = "train" if "train" in splits else next(iter(splits))
    test_name = next((split for split in TESTS if split in splits and split != train_name), "")
    if not test_name and len(splits) > 1:
        raise DataError(
            f"hub:{name} has the splits {', '.join(splits)}; expected train and one of "
            f"{', '.join(TESTS)}, or a single one. Save the split that you want as parquet files, "
            "and load them with parquet:PATH."
        )
    image, label, classes = _columns(datasets, name, splits[train_name])
    train_labels = _labels(splits[train_name], name, label)
    rows = torch.arange(len(train_labels))
    if test_name:
        test_labels = _labels(splits[test_name], name, label)
        test_rows = torch.arange(len(test_labels))
        split = f"{train_name} and {test_name} as found"
    else:
        test_name, test_labels = train_name, train_labels
        rows, test_rows = split_rows(train_labels)
        split = "a fifth of each class held out for testing, a fixed choice"
    high = int(max(train_labels.max(), test_labels.max()))
    classes = classes or tuple(str(number) for number in range(high + 1))
    if high >= len(classes) or min(int(train_labels.min()), int(test_labels.min())) < 0:
        raise DataError(
            f"hub:{name} has labels in {label!r} outside 0 to {len(classes) - 1}; a split without "
            "labels (-1) cannot be used. Save what you want as parquet files, and load them with "
            "parquet:PATH."
        )
    chosen_rows, cut = train_rows(train_labels[rows], request.train_size)

    def stored(which: str, rows: Tensor, labels: Tensor) -> EncodedImages:
        chosen = splits[which].cast_column(image, datasets.Image(decode=False))
        names = [f"{which} row {row}" for row in rows.tolist()]
        return EncodedImages(_Cells(chosen.select(rows.tolist()), image), names, labels[rows])

    train_set, test_set, clause = decoded_sets(
        stored(train_name, rows[chosen_rows], train_labels),
        stored(test_name, test_rows, test_labels),
        request,
    )
    return Source(
        train=train_set,
        test=test_set,
        classes=classes,
        note=f"{name} of the Hugging Face hub: {split}{cut}; {clause}",
    )


class _Cells(Sequence[Encoded]):
    """Encoded images that stay in the files of ``datasets`` until they are wanted."""

    def __init__(self, rows: Any, column: str) -> None:
        self._rows = rows
        self._column = column

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        cell = self._rows[index][self._column] or {}
        if cell.get("bytes") is not None:
            return cell["bytes"]
        # A missing image becomes an empty one, which is named and counted where it is decoded.
        return Path(cell["path"]) if cell.get("path") else b""


def _package() -> Any:
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise DataError(
            "hub: sets of the Hugging Face hub need datasets, which is not installed; install the "
            "extra: pip install 'mixwright[data]'"
        ) from error
    return datasets


def _fetched(datasets: Any, request: Request) -> dict[str, Any]:
    """Return the splits by their names."""
    name = request.path
    repository, _, configuration = name.partition(":")
    given: dict[str, Any] = {}
    if request.data_dir is not None:
        given["cache_dir"] = str(request.data_dir)
    if not request.download:
        given["download_config"] = datasets.DownloadConfig(local_files_only=True)
    request.say(f"Asking the Hugging Face hub for {name}.")
    try:
        return dict(datasets.load_dataset(repository, configuration or None, **given))
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # whatever network, hub, builder and files may raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise DataError(
            f"hub:{name} cannot be had: {reason} ({type(error).__name__}). Check the name "
            "(owner/name, or owner/name:configuration) and the network; behind no network, fetch "
            "it on a machine that has one and copy its parquet files for parquet:PATH."
        ) from error


def _columns(datasets: Any, name: str, split: Any) -> tuple[str, str, tuple[str, ...]]:
    """Return the column of images, the column of labels, and the names of the classes."""
    features: dict[str, Any] = dict(split.features)
    images = [column for column, kind in features.items() if isinstance(kind, datasets.Image)]
    numbers = [
        column for column, kind in features.items() if "int" in str(getattr(kind, "dtype", ""))
    ]
    image, label = named_or_only(IMAGE_NAMES, images), named_or_only(LABEL_NAMES, numbers)
    if image is None or label is None:
        listed = ", ".join(f"{column} ({type(kind).__name__})" for column, kind in features.items())
        raise DataError(
            f"hub:{name} has the columns {listed}; expected one of images, named "
            f"{' or '.join(IMAGE_NAMES)} or alone of its kind, and one of class numbers, named "
            f"{', '.join(LABEL_NAMES)} or alone of its kind."
        )
    return image, label, tuple(getattr(features[label], "names", None) or ())


def _labels(split: Any, name: str, label: str) -> Tensor:
    if label not in split.features:
        raise DataError(f"hub:{name} lacks the column {label!r} in one of its splits.")
    values = list(split[label])
    if not values or any(value is None for value in values):
        raise DataError(
            f"hub:{name} has {len(values):,} rows, some without {label!r}; expected at least one "
            "row, and a class number in each."
        )
    return torch.tensor(values, dtype=torch.int64)
