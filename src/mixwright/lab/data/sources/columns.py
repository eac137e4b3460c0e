"""Which columns of a parquet file hold the images and the labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, cast

from mixwright.files import parse_json
from mixwright.lab.data.errors import DataError

IMAGE_NAMES = ("img", "image")
LABEL_NAMES = ("label", "labels", "fine_label")
OTHER_LABEL_NAMES = ("class", "class_name", "class_id", "category", "category_id", "target")
"""Names that are looked for after those of ``LABEL_NAMES``."""

# Columns of whole numbers that are no labels, even where they are the only ones.
_NO_LABELS = frozenset(("index", "idx", "id", "row", "width", "height", "size", "length", "fold"))


class Kind(Enum):
    """What a column holds, as far as labels go."""

    NUMBER = auto()
    TEXT = auto()
    OTHER = auto()


@dataclass(frozen=True)
class Columns:
    """The two columns that are read, and names of the classes where the file has them.

    ``image`` is a struct with the field ``bytes``, or bytes themselves; ``text`` is whether labels
    are the classes' names.
    """

    image: str
    label: str
    text: bool
    classes: tuple[str, ...]

    @property
    def sure(self) -> bool:
        """Whether the labels are known by their column's name, not for being alone."""
        return self.label.casefold() in (*LABEL_NAMES, *OTHER_LABEL_NAMES)

    def read_labels(self, file: Path) -> tuple[Any, tuple[str, ...]]:
        """Return the label column of a file, a pyarrow array of numbers or of text.

        With it come the names that this file has for the numbers; nothing where it has none.
        """
        import pyarrow as pa

        opened = _opened(file, self)
        schema = opened.schema_arrow
        kind = schema.field(self.label).type
        if _kind(kind) is not (Kind.TEXT if self.text else Kind.NUMBER):
            raise DataError(
                f"{file} has {kind} in {self.label!r}, the first file "
                f"{'text' if self.text else 'whole numbers'}; expected one of class numbers or of "
                "names, the same in all files."
            )
        try:
            column = opened.read(columns=[self.label]).column(0).combine_chunks()
            column = column.cast(pa.string()) if self.text else column
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{file} cannot be read: {error}. Place a fresh copy.") from error
        return column, _class_names(schema, self.label)

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
    schema = _opened(file, None).schema_arrow
    images = [field.name for field in schema if _is_image(field.type)]
    image = named_or_only(IMAGE_NAMES, images)
    listed = ", ".join(f"{field.name} ({field.type})" for field in schema)
    if image is None:
        raise DataError(
            f"{file} has the columns {listed}; expected one of images, named "
            f"{' or '.join(IMAGE_NAMES)} or alone of its kind: bytes, or a struct with the field "
            "bytes. Columns of paths or pixel lists are not read: embed the encoded images."
        )
    kinds = {field.name: _kind(field.type) for field in schema}
    for name in _indices(schema):
        kinds[name] = Kind.OTHER
    label = label_column(kinds)
    if label is None:
        raise DataError(f"{file} has the columns {listed}; {EXPECTED_LABELS}")
    text = kinds[label] is Kind.TEXT
    return Columns(image, label, text, () if text else _class_names(schema, label))


EXPECTED_LABELS = (
    f"expected one of class numbers, named {', '.join(LABEL_NAMES)} or alone of its kind: whole "
    "numbers from 0; or one of class names under such a name. Rename the column that is meant."
)


def label_column(kinds: Mapping[str, Kind]) -> str | None:
    """Return the column of labels, by its name, else the only one of whole numbers.

    Where a column has a usual name of labels but holds neither numbers nor text, no other column is
    taken in its place.

    Example:
        >>> label_column({"label": Kind.TEXT, "width": Kind.NUMBER})
        'label'
        >>> label_column({"kind": Kind.NUMBER, "width": Kind.NUMBER, "note": Kind.TEXT})
        'kind'
    """
    plain = {name.casefold(): name for name in reversed([*kinds])}
    for known in (*LABEL_NAMES, *OTHER_LABEL_NAMES):
        name = known if known in kinds else plain.get(known)
        if name is not None:
            return None if kinds[name] is Kind.OTHER else name
    numbers = [name for name, kind in kinds.items() if kind is Kind.NUMBER and _may_label(name)]
    return numbers[0] if len(numbers) == 1 else None


def _may_label(name: str) -> bool:
    plain = name.casefold()
    return plain not in _NO_LABELS and not plain.startswith(("__index", "unnamed:", "image_"))


def _class_names(schema: Any, label: str) -> tuple[str, ...]:
    """Return the classes as Hugging Face names them in a schema; nothing where it does not."""
    return tuple(str(name) for name in _features(schema).get(label, {}).get("names") or ())


def _kind(kind: Any) -> Kind:
    import pyarrow as pa

    if pa.types.is_integer(kind):
        return Kind.NUMBER
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return Kind.TEXT if text else Kind.OTHER


def _indices(schema: Any) -> list[str]:
    """Return the columns that pandas wrote down as a table's index."""
    try:
        stored = parse_json((schema.metadata or {})[b"pandas"])["index_columns"]
    except (KeyError, TypeError, ValueError):
        return []
    return [name for name in stored if isinstance(name, str) and name in schema.names]


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
        stored = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    features = cast("dict[str, Any]", stored)
    return {name: value for name, value in features.items() if isinstance(value, dict)}
