"""Names of the data sets, read without importing torch."""

from typing import NamedTuple

from mixwright.arguments import nearest
from mixwright.lab.data.errors import DataError

# A new data set takes a row here and a file in ``sources``: ``my_set.py`` with ``load_my_set`` for
# the name ``my-set``.
DATA_LINES: dict[str, str] = {
    "digits": "1,797 real handwritten digits, shipped with us; 60 labels in train and compare",
    "cifar10": "60,000 colour photographs of 32x32 in 10 classes; downloaded, 170 MB",
    "cifar100": "60,000 colour photographs of 32x32 in 100 classes; downloaded, 169 MB",
    "tiny-imagenet": "110,000 photographs of 64x64 in 200 classes; downloaded, 248 MB",
    "imagenet": "1.3 million photographs in 1,000 classes, from a folder of yours (--data-dir)",
    "cub200": "11,788 photographs of 200 kinds of birds; downloaded, 1.2 GB",
    "aircraft": "10,000 photographs of 100 variants of aircraft; downloaded, 2.8 GB",
    "cars": "16,185 photographs of 196 models of cars, from a folder of yours (--data-dir)",
    "fashion-mnist": "70,000 grey pictures of clothes, 28x28, in 10 classes; downloaded, 31 MB",
    "eurosat": "27,000 satellite images of 64x64 in 10 classes; downloaded, 94 MB",
    "medmnist:NAME": "medical images such as pathmnist, from a file of yours (--data-dir)",
    "folder:PATH": "one folder per class, under train/ and test/ or split by us; folder:PATH:val "
    "tests on val/",
    "csv:PATH": "images that a table names; csv:PATH:image=COLUMN,label=COLUMN, also split, test, "
    "root, suffix",
    "parquet:PATH": "parquet files with an image column, as Hugging Face writes them",
    "hub:NAME": "a data set of the Hugging Face hub, owner/name, through datasets",
}
"""One line for each name that ``load_data`` understands."""

DATA_SETS: tuple[str, ...] = tuple(DATA_LINES)
"""The names that ``load_data`` understands; PATH and NAME stand for the user's own."""

_MODULES = {
    "cifar10": "cifar",
    "cifar100": "cifar",
    "csv": "csv_file",
}  # files that are not named after their set
_EXAMPLES = {"medmnist": "pathmnist", "hub": "owner/name", "csv": "labels.csv"}  # others: images


class DataName(NamedTuple):
    """A data set's name: its ``kind``, and the ``path`` behind the colon, empty for most."""

    kind: str
    path: str


def parse_data(spec: str) -> DataName:
    """Take a data set's name apart; whether there is such data is left to ``load_data``.

    Args:
        spec: one of ``DATA_SETS``, with the user's own for PATH or NAME.

    Raises:
        DataError: the name is not known, or a path is missing or was not expected.

    Example:
        >>> parse_data("folder:~/photographs")
        DataName(kind='folder', path='~/photographs')
    """
    names = {name.partition(":")[0]: name for name in DATA_SETS}
    kind, colon, path = spec.partition(":")
    if kind not in names:
        near = nearest(kind, names)
        hint = f" Did you mean {names[near[0]]!r}?" if near else ""
        raise DataError(
            f"data set {spec!r} is not known.{hint} Choose one of: {', '.join(DATA_SETS)}."
        )
    name = names[kind]
    own = name.partition(":")[2]
    if own and not path:
        raise DataError(
            f"data set {spec!r} lacks its {own.lower()}; write {name}, e.g. "
            f"{kind}:{_EXAMPLES.get(kind, 'images')}."
        )
    if not own and colon:
        raise DataError(
            f"data set {spec!r}: {kind} takes nothing after its name. Write {kind!r}, and give "
            "the folder that holds its files as data_dir (--data-dir)."
        )
    return DataName(kind, path)


def module_of(kind: str) -> str:
    """Return the file in ``sources`` that reads a kind of data."""
    return _MODULES.get(kind, kind.replace("-", "_"))
