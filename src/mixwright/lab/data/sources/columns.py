"""Which columns of a parquet file hold the images and the labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mixwright.lab.data.errors import DataError

IMAGE_NAMES = ("img", "image")
LABEL_NAMES = ("label", "labels", "fine_label")


@dataclass(frozen=True)
class Columns:
    """The two columns that are read, and names of the classes where the file has them.

    ``image`` is a struct with the field ``bytes``, or bytes themselves.
    """

    image: str
    label: str
    classes: tuple[str, ...]

    def read_labels(self, file: Path) -> Any:
        """Return the label column of a file, a pyarrow array."""
        import pyarrow as pa

        try:
            return _opened(file, self).read(columns=[self.label]).column(0).combine_chunks()
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file} cannot be read: {error}. Place a fresh copy.") from error

    def read_images(self, file: Path, rows: int) -> Iterator[Any]:
        """Yield the encoded images of a file, in pyarrow arrays of up to ``rows``."""
        import pyarrow as pa

        try:
            for batch in _opened(file, self).iter_batches(rows, columns=[self.image]):
                column = batch.column(0)
                yield column.field("bytes") if pa.types.is_struct(column.type) else column
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file} cannot be read: {error}. Place a fresh copy.") from error


def find_columns(file: Path) -> Columns:
    """Find the columns by their names, else by their types where only one fits."""
    import pyarrow as pa

    schema = _opened(file, None).schema_arrow
    features = _features(schema)
    images = [field.name for field in schema if _is_image(field.type)]
    numbers = [field.name for field in schema if pa.types.is_integer(field.type)]
    label = named_or_only(LABEL_NAMES, numbers)
    image = named_or_only(IMAGE_NAMES, images)
    listed = ", ".join(f"{field.name} ({field.type})" for field in schema)
    if image is None:
        raise DataError(
            f"{file} has the columns {listed}; expected one of images, named "
            f"{' or '.join(IMAGE_NAMES)} or alone of its kind: bytes, or a struct with the field "
            "bytes. Columns of paths or pixel lists are not read: embed the encoded images."
        )
    if label is None:
        raise DataError(
            f"{file} has the columns {listed}; expected one of class numbers, named "
            f"{', '.join(LABEL_NAMES)} or alone of its kind: whole numbers from 0."
        )
    names: Any = features.get(label, {}).get("names") or ()
    return Columns(image, label, tuple(str(name) for name in names))


def _opened(file: Path, columns: Columns | None) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{file} cannot be read as a parquet file: {error}. Place a fresh copy."
        ) from error
    for name in () if columns is None else (columns.image, columns.label):
        if name not in opened.schema_arrow.names:
            raise DataError(
                f"{file} lacks the column {name!r}, which the other files have; expected the same "
                "columns in all."
            )
    return opened


def _is_image(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def named_or_only(known: tuple[str, ...], fitting: list[str]) -> str | None:
    """Return the first known name that fits, else the only one that fits."""
    return next(
        (name for name in known if name in fitting), fitting[0] if len(fitting) == 1 else None
    )


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """Return what Hugging Face wrote about the columns; nothing where it is not there."""
    try:
        stored = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    features = cast("dict[str, Any]", stored)
    return {name: value for name, value in features.items() if isinstance(value, dict)}
