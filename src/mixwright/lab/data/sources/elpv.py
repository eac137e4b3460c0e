"""ELPV: solar cells that glow under current, whole and broken ones."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.download import cache_folder
from mixwright.lab.data.sources.listing import listed_images, read_list, to_source, wrong_line
from mixwright.lab.data.sources.tree import Tree
from mixwright.lab.data.subset import split_rows

PACKAGE = "elpv_dataset"
CLASSES = ("functional", "defective")
SIDE = 64

TREE = Tree(
    name="elpv",
    title="ELPV, electroluminescence images of solar cells (Buerhop-Lutz et al., 2018; Deitsch et "
    "al., 2019; 2021; CC BY-NC-SA 4.0)",
    folder=PACKAGE,
    marker="labels.csv",
    published=(2_099, 525),
    page="https://pypi.org/project/elpv-dataset",
)
"""``published`` is four fifths and one fifth of 2,624: the authors made no split."""

WITHHELD = (
    "The images of elpv are under CC BY-NC-SA 4.0: pictures of them stay out of records, pages and "
    "figures"
)

_FOLDERS = ("", "data", f"{PACKAGE}/data", f"src/{PACKAGE}/data")
"""Where in the folder of the request, the package or its repository, the list may lie."""


def load_elpv(request: Request) -> Source:
    """Return the solar cells of the package ``elpv-dataset``, 300 x 300 pixels of grey.

    The request's ``data_dir`` is the package's folder or that of its data; without one the package
    that is installed here is taken. Experts gave each cell a probability of a defect: defective are
    those above one half, as the authors mean by two thirds and one (1/3 and 2/3 were not sure). A
    fifth of each class, always the same images, is held out for testing; cells of one module may
    lie on both sides, since the list does not say whose they are. Images may be mirrored.
    """
    root = _found(request)
    paths: list[Path] = []
    labels: list[int] = []
    path = root / TREE.marker
    for number, (file, chance, kind) in read_list(
        path, 3, example="images/cell0001.png  1.0  mono"
    ):
        try:
            value = float(chance)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            line = f"{file} {chance} {kind}"
            raise wrong_line(path, number, line, "a probability in [0, 1] as its second field")
        paths.append(root / file)
        labels.append(int(value > 0.5))
    every = listed_images(root, paths, labels, source=TREE.marker, request=request)
    if len(every.labels.unique()) < 2:
        raise DataError(
            f"{path} has {CLASSES[labels[0]]} cells alone; expected both kinds. Place a fresh copy."
        )
    train_rows, test_rows = split_rows(every.labels)
    source = to_source(
        TREE,
        every.select(train_rows),
        every.select(test_rows),
        classes=CLASSES,
        request=request,
        usual_size=SIDE,
        split="a fifth of each class held out for testing, a fixed choice",
    )
    return replace(source, withheld=WITHHELD)


def _found(request: Request) -> Path:
    """The folder of the list: in that of the request, else in the package installed here."""
    homes = [request.data_dir] if request.data_dir is not None else [cache_folder() / TREE.folder]
    if request.data_dir is None and (spec := find_spec(PACKAGE)) is not None:
        # Found without being imported: nothing of it is needed but its files.
        homes = [Path(place) for place in spec.submodule_search_locations or ()] + homes
    for home in homes:
        for folder in _FOLDERS:
            if (home / folder / TREE.marker).is_file():
                return home / folder
    raise DataError(
        f"{TREE.name}: {TREE.marker} is not in {homes[-1]}, and the package elpv-dataset is not "
        "installed here. Install it, pip install elpv-dataset, or name the folder of its data with "
        "data_dir (--data-dir)."
        if request.data_dir is None
        else f"{TREE.name}: {homes[-1]} does not hold {TREE.marker} of the package elpv-dataset, "
        f"nor does {homes[-1] / _FOLDERS[2]}. Name the folder in which pip installed it "
        f"({PACKAGE}), or leave data_dir (--data-dir) out where it is installed here."
    )
