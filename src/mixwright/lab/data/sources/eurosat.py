"""EuroSAT: satellite images of land, 64x64."""

from __future__ import annotations

from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.download import cache_folder
from mixwright.lab.data.sources.folder import images_by_class
from mixwright.lab.data.sources.layout import folder_names
from mixwright.lab.data.sources.listing import to_source
from mixwright.lab.data.sources.tree import Tree, find_tree
from mixwright.lab.data.subset import split_rows

TREE = Tree(
    name="eurosat",
    title="EuroSAT, RGB (Helber et al., 2019, MIT)",
    folder="2750",
    marker="AnnualCrop",
    published=(21_600, 5_400),
    page="https://github.com/phelber/EuroSAT",
    url="https://huggingface.co/datasets/torchgeo/eurosat/resolve/"
    "c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",
    sha256="8ebea626349354c5328b142b96d0430e647051f26efc2dc974c843f25ecf70bd",
)
"""``published`` is four fifths and one fifth of 27,000: the authors made no split."""

SIDE = 64
FOLDERS = ("EuroSAT_RGB", "EuroSAT", "EuroSAT/2750", "eurosat/2750")
"""Where else in the folder of the request the classes may lie."""


def load_eurosat(request: Request) -> Source:
    """Return EuroSAT in RGB, downloaded and unpacked if need be: ten folders of classes.

    A fifth of each class, always the same images, is held out for testing. Images may be
    mirrored: they are taken from above.
    """
    home = request.data_dir or cache_folder()
    roots = (home / folder for folder in FOLDERS)
    root = next((root for root in roots if (root / TREE.marker).is_dir()), None)
    root = root or find_tree(TREE, request)
    classes = tuple(sorted(folder_names(root)))
    every = images_by_class(root, classes, root=root, left_out=request.left_out)
    train_rows, test_rows = split_rows(every.labels)
    return to_source(
        TREE,
        every.select(train_rows),
        every.select(test_rows),
        classes=classes,
        request=request,
        usual_size=SIDE,
        split="a fifth of each class held out for testing, a fixed choice",
    )
