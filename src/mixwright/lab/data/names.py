"""Names of the data sets, read without importing torch."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
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
    "elpv": "2,624 solar cells, whole or broken, of the package elpv-dataset (CC BY-NC-SA)",
    "medmnist:NAME": "medical images such as pathmnist, from a file of yours (--data-dir)",
    "folder:PATH": "one folder per class, under train/ and test/ or split by us; folder:PATH:val "
    "tests on val/",
    "csv:PATH": "images that a table names; csv:PATH:image=COLUMN,label=COLUMN, also split, test, "
    "root, suffix",
    "parquet:PATH": "parquet files with an image column, as Hugging Face writes them",
    "webdataset:PATH": "tar files as WebDataset has them, a folder or PATH/train-{000..012}.tar",
    "hub:NAME": "a data set of the Hugging Face hub, owner/name, through datasets",
}
"""One line for each name that ``load_data`` understands."""

WORKERS = "MIXWRIGHT_DATA_WORKERS"
"""The environment variable that ``--data-workers`` sets; processes of a grid inherit it."""

DATA_SETS: tuple[str, ...] = tuple(DATA_LINES)
"""The names that ``load_data`` understands; PATH and NAME stand for the user's own."""

_MODULES = {
    "cifar10": "cifar",
    "cifar100": "cifar",
    "csv": "csv_file",
}  # files that are not named after their set
_EXAMPLES = {"medmnist": "pathmnist", "hub": "owner/name", "csv": "labels.csv"}  # others: images

_FILES = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".tar": "webdataset"}
_HUB = re.compile(r"[\w.-]+/[\w.-]+")  # owner/name


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
        if own := path_as_data(spec):
            raise DataError(
                f"data set {spec!r} is not known; it is there as a path: write {own} "
                f"(--data {own})."
            )
        raise DataError(
            f"data set {spec!r} is not known.{_meant(spec, names)} Choose one of: "
            f"{', '.join(DATA_SETS)}."
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


def path_as_data(text: str) -> str:
    """Return the name of the data at a path that exists, ``folder:PATH``; empty for other texts.

    Folders that hold parquet files are ``parquet:PATH``, those of tar files alone
    ``webdataset:PATH``, and those of one table of images without folders of classes
    ``csv:PATH/NAME``. The split behind a further colon stays.
    """
    for path in (text, text.rpartition(":")[0]):
        try:
            place = Path(path).expanduser()
            if path and place.is_dir():
                return _folder_as_data(place, text)
            if path and place.is_file() and (kind := _FILES.get(place.suffix.lower())):
                return f"{kind}:{text}"
        except (OSError, ValueError, RuntimeError):  # too long, with a null, of an unknown user
            continue
    return ""


def _folder_as_data(folder: Path, text: str) -> str:
    found = [*folder.iterdir()]
    if any(next(place.glob("*.parquet"), None) for place in (folder, folder / "data")):
        return f"parquet:{text}"
    if any(file.suffix.lower() == ".tar" for file in found) and not any(map(Path.is_dir, found)):
        return f"webdataset:{text}"
    tables = [file for file in found if file.suffix.lower() in _FILES]
    classes = [place for place in found if place.is_dir() and not place.name.startswith(".")]
    if len(tables) == 1 and len(classes) < 2:  # a folder of all images at most
        return f"csv:{tables[0]}"
    return f"folder:{text}"


def _meant(spec: str, names: Mapping[str, str]) -> str:
    """What else was meant, a sentence with a blank before it; nothing where that is not known."""
    with contextlib.suppress(OSError, ValueError):  # too long, with a null
        if Path(spec).is_file():
            return (
                " It is there as a file; expected a folder, a .csv or a .parquet file. Unpack an "
                "archive first."
            )
    if "/" in spec:
        hub = f", one of the Hugging Face hub hub:{spec}" if _HUB.fullmatch(spec) else ""
        return f" There is no such path here; a folder is written folder:PATH{hub}."
    near = nearest(spec.partition(":")[0], names)
    return f" Did you mean {names[near[0]]!r}?" if near else ""


def module_of(kind: str) -> str:
    """Return the file in ``sources`` that reads a kind of data."""
    return _MODULES.get(kind, kind.replace("-", "_"))
