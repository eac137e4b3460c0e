"""Data sets of the Hugging Face hub, by their name there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixwright.lab.data.decode import Encoded
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.parts import PartName, choose_parts
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.columns import (
    EXPECTED_LABELS,
    IMAGE_NAMES,
    Columns,
    Kind,
    label_column,
    named_or_only,
)
from mixwright.lab.data.sources.divided import Part, divided_source
from mixwright.lab.data.sources.labels import number_parts, renumbered


def load_hub(request: Request) -> Source:
    """Return images and labels of a data set of the hub, by the package ``datasets``.

    The splits are parts by their names (see ``choose_parts``); a set of one split is split by us, a
    fifth of each class held out. Columns and labels are those of parquet files: found by their
    names, else by their kinds where only one fits; numbers are named as the hub names them.

    The request's path is the name as the hub writes it, ``owner/name``, with ``:configuration``
    behind it where there are several; a folder of files that ``datasets`` knows will do. Its
    ``data_dir`` is where ``datasets`` keeps its files, its own cache by default.
    """
    datasets, name = _package(), request.path
    splits = _fetched(datasets, request)
    chosen = choose_parts(list(splits), where=f"hub:{name}")
    names: dict[PartName, str] = chosen.taken
    if len(splits) == 1:
        names = {"train": next(iter(splits))}
    elif chosen.train is None or chosen.test is None:
        raise DataError(
            f"hub:{name} has the splits {', '.join(splits)}; expected train and test or "
            "validation, or a single one. Save the split that you want as parquet files, and load "
            "them with parquet:PATH."
        )
    columns = _columns(datasets, name, splits[names["train"]])
    unused = [split for split in splits if split not in names.values()]
    request.left_out.extend(f"the split {split}" for split in unused)

    def images(split: str, rows: Tensor, labels: Tensor) -> EncodedImages:
        cells = splits[split].cast_column(columns.image, datasets.Image(decode=False))
        titles = [f"{split} row {row}" for row in rows.tolist()]
        return EncodedImages(_Cells(cells.select(rows.tolist()), columns.image), titles, labels)

    def part(split: str) -> Part:
        return Part(
            name=f"hub:{name}, split {split},",
            title=split,
            labels=_labels(splits[split], name, columns),
            images=partial(images, split),
        )

    parts, classes = number_parts(
        {role: partial(part, split) for role, split in names.items()},
        classes=columns.classes,
        what=repr(columns.label),
        sure=columns.sure,
        left_out=request.left_out,
    )
    return divided_source(
        parts,
        classes=classes,
        where=f"hub:{name}",
        title=f"{name} of the Hugging Face hub",
        split=f"{names['train']} and {names.get('test')} as found",
        request=request,
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

    def select(self, rows: Sequence[int]) -> _Cells:
        """Return some of the images, which stay where they are."""
        return _Cells(self._rows.select(list(rows)), self._column)


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
            "(owner/name, or owner/name:configuration) and the network; without a network, fetch "
            "it on a machine that has one and copy its parquet files for parquet:PATH."
        ) from error


def _columns(datasets: Any, name: str, split: Any) -> Columns:
    """Return the column of images, the column of labels, and the names of the classes."""
    features: dict[str, Any] = dict(split.features)
    images = [column for column, kind in features.items() if isinstance(kind, datasets.Image)]
    kinds = {column: _kind(kind) for column, kind in features.items()}
    image, label = named_or_only(IMAGE_NAMES, images), label_column(kinds)
    if image is None or label is None:
        listed = ", ".join(f"{column} ({type(kind).__name__})" for column, kind in features.items())
        raise DataError(
            f"hub:{name} has the columns {listed}; expected one of images, named "
            f"{' or '.join(IMAGE_NAMES)} or alone of its kind, and one of labels: {EXPECTED_LABELS}"
        )
    return Columns(image, label, kinds[label] is Kind.TEXT, _class_names(split, label))


def _kind(kind: Any) -> Kind:
    dtype = str(getattr(kind, "dtype", ""))
    if "int" in dtype:
        return Kind.NUMBER
    return Kind.TEXT if dtype in ("string", "large_string") else Kind.OTHER


def _class_names(split: Any, label: str) -> tuple[str, ...]:
    return tuple(getattr(split.features[label], "names", None) or ())


def _labels(split: Any, name: str, columns: Columns) -> Tensor | list[str]:
    label = columns.label
    if label not in split.features:
        raise DataError(f"hub:{name} lacks the column {label!r} in one of its splits.")
    values = list(split[label])
    if any(value is None or value == "" for value in values):
        raise DataError(
            f"hub:{name} has {len(values):,} rows, some without {label!r}; expected a class in "
            "each row."
        )
    if columns.text:
        return [str(value) for value in values]
    labels = torch.tensor(values, dtype=torch.int64)
    own = _class_names(split, label)
    return renumbered(labels, own, columns.classes, where=f"hub:{name}", what=repr(label))
