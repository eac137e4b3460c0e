"""MedMNIST: small medical images, one .npz file a set."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from mixwright.arguments import did_you_mean
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.arrays import at_size, cut_and_resized, image_set
from mixwright.lab.data.sources.download import cache_folder
from mixwright.lab.data.sources.listing import report_counts

PAGE = "https://zenodo.org/records/10519652"


class SetFacts(NamedTuple):
    """What is known of a set before it is read: classes by label, and how many images it has.

    ``published`` counts those to train, to validate and to test on; None where versions differ.
    """

    classes: tuple[str, ...]
    published: tuple[int, int, int] | None


_ORGANS = SetFacts(
    (
        *("bladder", "left femur", "right femur", "heart", "left kidney", "right kidney"),
        *("liver", "left lung", "right lung", "pancreas", "spleen"),
    ),
    None,
)

KNOWN: dict[str, SetFacts] = {
    "pathmnist": SetFacts(
        (
            *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle"),
            *("normal colon mucosa", "cancer-associated stroma", "adenocarcinoma epithelium"),
        ),
        (89_996, 10_004, 7_180),
    ),
    "bloodmnist": SetFacts(
        (
            *("basophil", "eosinophil", "erythroblast", "immature granulocyte"),
            *("lymphocyte", "monocyte", "neutrophil", "platelet"),
        ),
        (11_959, 1_712, 3_421),
    ),
    "dermamnist": SetFacts(
        (
            *("actinic keratosis", "basal cell carcinoma", "benign keratosis", "dermatofibroma"),
            *("melanoma", "melanocytic nevus", "vascular lesion"),
        ),
        (7_007, 1_003, 2_005),
    ),
    "octmnist": SetFacts(
        ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
        (97_477, 10_832, 1_000),
    ),
    "pneumoniamnist": SetFacts(("normal", "pneumonia"), (4_708, 524, 624)),
    "retinamnist": SetFacts(tuple(f"grade {grade}" for grade in range(5)), (1_080, 120, 400)),
    "breastmnist": SetFacts(("malignant", "normal or benign"), (546, 78, 156)),
    "tissuemnist": SetFacts(
        (
            *("collecting duct", "distal convoluted tubule", "glomerular endothelial"),
            *("interstitial endothelial", "leukocyte", "podocyte", "proximal tubule"),
            "thick ascending limb",
        ),
        (165_466, 23_640, 47_280),
    ),
    "organamnist": _ORGANS,
    "organcmnist": _ORGANS,
    "organsmnist": _ORGANS,
}
"""Sets with one label an image."""

_ARRAYS = ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels")


def load_medmnist(request: Request) -> Source:
    """Return one set of MedMNIST, from a file of the user's; ``~/.medmnist`` is looked at too.

    The request's path is the name of the file without its ending, such as ``pathmnist`` or
    ``pathmnist_64``. With ``:val`` behind it the validation images are tested on, to choose
    settings by; else they are the set's validation part. Grey is repeated over three channels.
    Organs may not be mirrored: left and right are classes.
    """
    name = request.path
    stem, _, part = name.partition(":")
    if part not in ("", "val"):
        raise DataError(f"medmnist:{name} ends in {part!r}; expected nothing, or val.")
    path = _found(stem, request)
    arrays = _read(path)
    kind = stem.partition("_")[0]
    known = KNOWN.get(kind, SetFacts((), None))
    classes = known.classes or tuple(
        str(label) for label in range(1 + int(arrays["train_labels"].max(initial=0)))
    )
    tested = part or "test"
    train, test = (
        image_set(
            arrays[f"{split}_images"], arrays[f"{split}_labels"], classes=len(classes),
            name=f"{path}: {split}",
        )
        for split in ("train", tested)
    )  # fmt: skip
    if known.published is not None:
        whole = known.published[0], known.published[1 if part else 2]
        report_counts(f"medmnist:{name}", (len(train), len(test)), whole, request.say)
    validation = None
    if not part and len(arrays["val_labels"]):
        validation = image_set(
            arrays["val_images"], arrays["val_labels"], classes=len(classes), name=f"{path}: val"
        )
        validation = at_size(validation, request)
    train, test, cut = cut_and_resized(train, test, request)
    split = "its validation images to test on" if part else "the authors' split"
    return Source(
        train=train,
        test=test,
        classes=classes,
        note=f"{stem} of MedMNIST (Yang et al., 2023), {split}{cut}",
        validation=validation,
        mirrored=not kind.startswith("organ"),
    )


def _found(stem: str, request: Request) -> Path:
    home = request.data_dir or cache_folder()
    paths = [home / f"{stem}.npz", Path.home() / ".medmnist" / f"{stem}.npz"]
    for path in paths:
        if path.is_file():
            return path
    kind = stem.partition("_")[0]
    hint = "" if kind in KNOWN else did_you_mean(kind, KNOWN, quote="'")
    raise DataError(
        f"medmnist:{stem}: neither {paths[0]} nor {paths[1]} is there.{hint} Get the file from "
        f"{PAGE} and name its folder with data_dir (--data-dir)."
    )


def _read(path: Path) -> dict[str, Any]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as stored:
            lacking = [name for name in _ARRAYS if name not in stored.files]
            found = {name: stored[name] for name in _ARRAYS if name not in lacking}
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}. Place a fresh copy.") from error
    if lacking:
        raise DataError(
            f"{path} lacks {', '.join(lacking)}; expected {', '.join(_ARRAYS)}. Place a fresh copy."
        )
    return found
