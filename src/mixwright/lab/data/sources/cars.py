"""Stanford Cars: 196 models of cars."""

from __future__ import annotations

from pathlib import Path

from mixwright.lab.data.decode import PLAIN, Framing
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.listing import TEST_FRAMING, listed_images, to_source
from mixwright.lab.data.sources.matlab import read_mat, read_table
from mixwright.lab.data.sources.tree import Tree, find_tree

TREE = Tree(
    name="cars",
    title="Stanford Cars (Krause et al., 2013)",
    folder="stanford_cars",
    marker="devkit/cars_meta.mat",
    published=(8144, 8041),
    page="a copy of ai.stanford.edu/~jkrause/cars/car_dataset.html, which is gone (cars_train, "
    "cars_test, devkit and cars_test_annos_withlabels.mat)",
)

_TEST = "cars_test_annos_withlabels.mat"


def load_cars(request: Request) -> Source:
    """Return Stanford Cars from a folder of the user's: the authors' page is gone.

    The folder holds ``devkit/cars_meta.mat``, ``devkit/cars_train_annos.mat``,
    ``cars_test_annos_withlabels.mat`` (there or in ``devkit/``), ``cars_train/`` and
    ``cars_test/``. Boxes are not read.
    """
    root = find_tree(TREE, request)
    classes = [str(name) for name in read_mat(root / TREE.marker, "class_names")]
    beside = root / _TEST if (root / _TEST).is_file() else root / "devkit" / _TEST
    annotated = root / "devkit" / "cars_train_annos.mat"
    train = _part(root, "cars_train", annotated, len(classes), request, PLAIN)
    test = _part(root, "cars_test", beside, len(classes), request, TEST_FRAMING)
    return to_source(TREE, train, test, classes=classes, request=request)


def _part(
    root: Path, folder: str, table: Path, classes: int, request: Request, framing: Framing
) -> EncodedImages:
    """Return the images of one table, whose classes count from 1."""
    paths: list[Path] = []
    labels: list[int] = []
    for row, entry in enumerate(read_table(table, "annotations", ("fname", "class")), start=1):
        label = int(entry["class"])
        if not 1 <= label <= classes:
            raise DataError(
                f"{table} row {row}: {entry['fname']} has the class {label}; expected 1 to "
                f"{classes}, the classes of cars_meta.mat. Place a fresh copy of both."
            )
        paths.append(root / folder / str(entry["fname"]))
        labels.append(label - 1)
    return listed_images(root, paths, labels, source=table.name, request=request, framing=framing)
