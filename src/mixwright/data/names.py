"""Names of the data sets, read without importing torch."""

import difflib
from typing import NamedTuple

from mixwright.data.errors import DataError

DATA_LINES: dict[str, str] = {
    "digits": "1,797 real handwritten digits, shipped with mixwright; 100 labels by default",
    "cifar10": "60,000 colour photographs of 32x32 in 10 classes; downloaded, 170 MB",
    "cifar100": "60,000 colour photographs of 32x32 in 100 classes; downloaded, 169 MB",
    "folder:PATH": "one folder per class, under train/ and test/ or split by us",
    "parquet:PATH": "parquet files with an image column, as Hugging Face writes them",
}
"""One line for each name that ``load_data`` understands."""

DATA_SETS: tuple[str, ...] = tuple(DATA_LINES)
"""The names that ``load_data`` understands; PATH stands for the user's own."""


class DataName(NamedTuple):
    """A data set's name, taken apart.

    Args:
        kind: the word before the colon, such as ``cifar10`` or ``folder``.
        path: what follows the colon; empty for sets that have a name only.
    """

    kind: str
    path: str


def parse_data(spec: str) -> DataName:
    """Take a data set's name apart, and say what was meant when it is not one of ours.

    Args:
        spec: one of ``DATA_SETS``, with the user's path for PATH.

    Returns:
        The kind and the path. Whether the path exists is found out by ``load_data``.

    Raises:
        DataError: the name is not known, or a path is missing or was not expected.

    Example:
        >>> parse_data("folder:~/photographs")
        DataName(kind='folder', path='~/photographs')
    """
    kinds = {name.partition(":")[0]: ":" in name for name in DATA_SETS}
    kind, colon, path = spec.partition(":")
    if kind not in kinds:
        near = difflib.get_close_matches(kind.lower(), kinds, n=1)
        meant = (
            next(name for name in DATA_SETS if name.partition(":")[0] == near[0]) if near else ""
        )
        hint = f" Did you mean {meant!r}?" if meant else ""
        raise DataError(
            f"data set {spec!r} is not known.{hint} Choose one of: {', '.join(DATA_SETS)}."
        )
    if kinds[kind] and not path:
        raise DataError(f"data set {spec!r} lacks its path; write {kind}:PATH, e.g. {kind}:images.")
    if not kinds[kind] and colon:
        raise DataError(
            f"data set {spec!r}: {kind} takes nothing after its name. Write {kind!r}, and give "
            "the folder that holds its files as data_dir (--data-dir)."
        )
    return DataName(kind, path)
