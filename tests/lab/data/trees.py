"""Small trees in the layout of the authors; each picture tells by its colour which it is."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from lab.data.pictures import write


def plain(number: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    """One colour, whose red is the number."""
    return Image.new("RGB", size, (number, 100, 200))


def save(path: Path, number: int, size: tuple[int, int] = (8, 8)) -> None:
    """A picture of that number without loss, whatever the ending says."""
    write(path, plain(number, size), format="PNG")


def lines(path: Path, *text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(text) + "\n")


def tiny_imagenet(root: Path) -> Path:
    root = root / "tiny-imagenet-200"
    lines(root / "wnids.txt", "n00000002", "n00000001")
    lines(root / "words.txt", "n00000001\tcrane, a bird", "n00000002\tcrane", "n00000003\thare")
    for number, wnid in ((10, "n00000001"), (20, "n00000002")):
        lines(root / "train" / wnid / f"{wnid}_boxes.txt", "x 0 0 1 1")
        for k in range(3):
            save(root / "train" / wnid / "images" / f"{wnid}_{k}.JPEG", number + k)
    save(root / "val" / "images" / "val_0.JPEG", 30)
    save(root / "val" / "images" / "val_1.JPEG", 31)
    lines(
        root / "val" / "val_annotations.txt",
        "val_0.JPEG\tn00000002\t0\t32\t44\t62",
        "val_1.JPEG\tn00000001\t0\t32\t44\t62",
    )
    save(root / "test" / "images" / "test_0.JPEG", 40)
    return root


def imagenet(root: Path, labels: str) -> Path:
    """``labels`` is how val tells its classes: folders, csv or devkit."""
    for number, wnid in ((10, "n00000001"), (20, "n00000002")):
        for k in range(2):
            save(root / "train" / wnid / f"{wnid}_{k}.JPEG", number + k, (12, 8))
    images = ["ILSVRC2012_val_00000001", "ILSVRC2012_val_00000002"]
    for k, (name, wnid) in enumerate(zip(images, ("n00000002", "n00000001"), strict=True)):
        folder = wnid if labels == "folders" else "."
        save(root / "val" / folder / f"{name}.JPEG", 30 + k, (12, 8))
    if labels == "csv":
        lines(
            root / "LOC_val_solution.csv",
            "ImageId,PredictionString",
            f"{images[0]},n00000002 1 2 3 4 n00000002 5 6 7 8 ",
            f"{images[1]},n00000001 1 2 3 4 ",
        )
        lines(root / "LOC_synset_mapping.txt", "n00000001 tench, Tinca", "n00000002 goldfish")
    if labels == "devkit":
        data = root / "ILSVRC2012_devkit_t12" / "data"
        lines(data / "ILSVRC2012_validation_ground_truth.txt", "7", "9")
        savemat(data / "meta.mat", {"synsets": _table(
            {"ILSVRC2012_ID": [7, 9, 1001], "WNID": ["n00000002", "n00000001", "n00000009"]}
        )})  # fmt: skip
    return root


def cub200(root: Path) -> Path:
    root = root / "CUB_200_2011"
    lines(root / "classes.txt", "1 001.Albatross", "2 002.Auklet")
    names = ["001.Albatross/a.jpg", "001.Albatross/b.jpg", "002.Auklet/c.jpg", "002.Auklet/d.jpg"]
    lines(root / "images.txt", *(f"{k} {name}" for k, name in enumerate(names, start=1)))
    lines(root / "image_class_labels.txt", "1 1", "2 1", "3 2", "4 2")
    lines(root / "train_test_split.txt", "1 0", "2 1", "3 1", "4 0")
    for k, name in enumerate(names):
        save(root / "images" / name, 10 + k, (14, 10))
    return root


def aircraft(root: Path) -> Path:
    root = root / "fgvc-aircraft-2013b"
    lines(root / "data" / "variants.txt", "Cessna 172", "F-16A/B")
    lines(root / "data" / "images_variant_trainval.txt", "0034309 F-16A/B", "0034958 Cessna 172")
    lines(root / "data" / "images_variant_test.txt", "1514522 F-16A/B")
    for k, name in enumerate(("0034309", "0034958", "1514522")):
        image = plain(10 + k, (40, 60))
        image.paste((250, 250, 250), (0, 40, 40, 60))  # the banner: 20 rows
        write(root / "data" / "images" / f"{name}.jpg", image, format="PNG")
    return root


def cars(root: Path) -> Path:
    root = root / "stanford_cars"
    (root / "devkit").mkdir(parents=True)
    names = np.array([["AM General Hummer", "Acura RL"]], dtype=object)
    savemat(root / "devkit" / "cars_meta.mat", {"class_names": names})
    _annotations(root / "devkit" / "cars_train_annos.mat", [2, 1, 2])
    _annotations(root / "cars_test_annos_withlabels.mat", [1])
    for k in range(3):
        save(root / "cars_train" / f"{k + 1:05}.jpg", 10 + k, (14, 10))
    save(root / "cars_test" / "00001.jpg", 20, (14, 10))
    return root


def eurosat(root: Path, below: str = "EuroSAT_RGB") -> Path:
    for label, name in enumerate(("AnnualCrop", "Forest")):
        for k in range(10):
            save(root / below / name / f"{name}_{k}.jpg", 20 * label + k)
    return root


def _annotations(path: Path, classes: list[int]) -> None:
    count = len(classes)
    boxes = {name: [1] * count for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")}
    names = [f"{k + 1:05}.jpg" for k in range(count)]
    savemat(path, {"annotations": _table({**boxes, "class": classes, "fname": names})})


def _table(columns: dict[str, list[object]]) -> np.ndarray:
    """A structure array as MATLAB has it, one row."""
    rows = len(next(iter(columns.values())))
    table = np.zeros((1, rows), dtype=[(name, object) for name in columns])
    for name, values in columns.items():
        for row, value in enumerate(values):
            table[0, row][name] = value
    return table
