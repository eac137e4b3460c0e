"""Sets in the layout of their authors: labels, splits, names; what is missing or wrong is named."""

import hashlib
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch

from lab.data import trees
from lab.data.trees import lines
from mixwright.lab.data import DataError, Dataset, LazyImages, load_data
from mixwright.lab.data import memory as memory_module


def seen(data: Dataset) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Number and label of every image to train and to test on."""
    return tuple(
        [(int(image[0, 4, 4]), int(label)) for image, label in zip(
            part.take(torch.arange(len(part))), part.labels, strict=True
        )]
        for part in (data.train, data.test)
    )  # fmt: skip


@pytest.mark.parametrize("below", [False, True])
def test_tiny_imagenet(tmp_path: Path, below: bool):
    root = trees.tiny_imagenet(tmp_path)
    data = load_data("tiny-imagenet", data_dir=root if below else tmp_path)
    train, test = seen(data)
    assert train == [(10, 0), (11, 0), (12, 0), (20, 1), (21, 1), (22, 1)]
    assert test == [(30, 1), (31, 0)]
    assert data.classes == ("crane (n00000001)", "crane (n00000002)")
    assert data.train.shape == (3, 64, 64)
    assert data.mirrored


def test_tiny_imagenet_sorted_into_folders(tmp_path: Path):
    root = trees.tiny_imagenet(tmp_path)
    for wnid, name in (("n00000002", "val_0.JPEG"), ("n00000001", "val_1.JPEG")):
        (root / "val" / wnid).mkdir()
        (root / "val" / "images" / name).rename(root / "val" / wnid / name)
    (root / "val" / "val_annotations.txt").unlink()
    assert seen(load_data("tiny-imagenet", data_dir=root))[1] == [(31, 0), (30, 1)]


@pytest.mark.parametrize("labels", ["folders", "csv", "devkit"])
def test_imagenet(tmp_path: Path, labels: str):
    root = trees.imagenet(tmp_path, labels)
    data = load_data("imagenet", data_dir=root, image_size=8)
    train, test = seen(data)
    assert train == [(10, 0), (11, 0), (20, 1), (21, 1)]
    assert sorted(test) == [(30, 1), (31, 0)]
    named = ("tench", "goldfish") if labels == "csv" else ("n00000001", "n00000002")
    assert data.classes == named


def test_imagenet_as_kaggle_packs_it(tmp_path: Path):
    trees.imagenet(tmp_path / "ILSVRC" / "Data" / "CLS-LOC", "csv")
    inner = tmp_path / "ILSVRC" / "Data" / "CLS-LOC" / "LOC_val_solution.csv"
    inner.rename(tmp_path / "LOC_val_solution.csv")
    assert len(load_data("imagenet", data_dir=tmp_path, image_size=8).test) == 2


def test_cub200(tmp_path: Path):
    trees.cub200(tmp_path)
    data = load_data("cub200", data_dir=tmp_path)
    assert seen(data) == ([(11, 0), (12, 1)], [(10, 0), (13, 1)])
    assert data.classes == ("001.Albatross", "002.Auklet")
    assert data.train.shape == data.test.shape == (3, 224, 224)
    assert "test images: shorter side resized to 1.14 times the side" in data.note


def test_aircraft_without_the_banner(tmp_path: Path):
    trees.aircraft(tmp_path)
    data = load_data("aircraft", data_dir=tmp_path, image_size=32)
    assert seen(data) == ([(10, 1), (11, 0)], [(12, 1)])
    assert data.classes == ("Cessna 172", "F-16A/B")
    assert int(data.train.images[:, 0].max()) < 20  # the banner is 250
    assert "20 rows at the bottom cut off" in data.note
    part = load_data("aircraft", data_dir=tmp_path, image_size=32, train_size=2)
    assert torch.equal(part.train.images, data.train.images)


@pytest.mark.parametrize("inside", [False, True])
def test_cars(tmp_path: Path, inside: bool):
    root = trees.cars(tmp_path)
    if inside:
        shutil.move(root / "cars_test_annos_withlabels.mat", root / "devkit")
    data = load_data("cars", data_dir=tmp_path, image_size=8)
    assert seen(data) == ([(10, 1), (11, 0), (12, 1)], [(20, 0)])
    assert data.classes == ("AM General Hummer", "Acura RL")


@pytest.mark.parametrize("below", ["EuroSAT_RGB", "2750", "."])
def test_eurosat(tmp_path: Path, below: str):
    trees.eurosat(tmp_path, below)
    data = load_data("eurosat", data_dir=tmp_path)
    train, test = seen(data)
    assert [label for _, label in test] == [0, 0, 1, 1]
    assert sorted(train + test) == [(20 * c + k, c) for c in (0, 1) for k in range(10)]
    assert seen(load_data("eurosat", data_dir=tmp_path))[1] == test
    assert data.train.shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("tiny-imagenet", trees.tiny_imagenet, "6 images .* 2 to test on here; 100,000 and 10,000"),
        ("cub200", trees.cub200, "2 images .* 2 to test on here; 5,994 and 5,794"),
        ("aircraft", trees.aircraft, "2 images .* 1 to test on here; 6,667 and 3,333"),
        ("cars", trees.cars, "3 images .* 1 to test on here; 8,144 and 8,041"),
        ("eurosat", trees.eurosat, "16 images .* 4 to test on here; 21,600 and 5,400"),
    ],
)
def test_other_counts_than_published_are_said(
    tmp_path: Path, name: str, make: Callable[[Path], Path], says: str
):
    make(tmp_path)
    said: list[str] = []
    small = load_data(name, data_dir=tmp_path, image_size=8, train_size=2, on_message=said.append)
    assert any(re.search(says, each) for each in said)
    assert len(small.train) == 2


def without(*parts: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root.joinpath(*parts)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def changed(where: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / where).read_text()
        assert old in text
        (root / where).write_text(text.replace(old, new))

    return change


TINY = ("tiny-imagenet", trees.tiny_imagenet)
CUB = ("cub200", trees.cub200)
AIRCRAFT = ("aircraft", trees.aircraft)
CARS = ("cars", trees.cars)


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        (TINY, without("train", "n00000002"), "lacks the folder n00000002 of wnids.txt .1 of 2"),
        (TINY, without("val", "val_annotations.txt"), "val_annotations.txt is not there"),
        (TINY, without("val", "images", "val_1.JPEG"),
         "1 of the 2 images that val_annotations.txt names .* val/images/val_1.JPEG"),
        (TINY, changed("val/val_annotations.txt", "n00000001", "n00000009"),
         "val_annotations.txt line 2 is 'val_1.JPEG n00000009 .*expected an image and a class"),
        (CUB, without("train_test_split.txt"), "train_test_split.txt is not there"),
        (CUB, changed("train_test_split.txt", "3 1", "3 5"), "line 3 is '3 5'; expected .* or 0"),
        (CUB, changed("image_class_labels.txt", "4 2", "4 7"), "line 4 is '4 7'; expected .*class"),
        (CUB, changed("image_class_labels.txt", "4 2\n", ""),
         "images.txt line 4: image_class_labels.txt has no line for image 4"),
        (CUB, changed("images.txt", "2 001.Albatross/b.jpg", "2"),
         "images.txt line 2 is '2'; expected 2 fields"),
        (CUB, without("images", "002.Auklet"), "not there: images/002.Auklet/c.jpg. Unpack"),
        (AIRCRAFT, changed("data/images_variant_test.txt", "F-16", "F-17"),
         "images_variant_test.txt line 1 is '1514522 F-17A/B'; expected .*variant"),
        (AIRCRAFT, without("data", "images", "0034958.jpg"), "not there: data/images/0034958.jpg"),
        (CARS, without("cars_test_annos_withlabels.mat"), "withlabels.mat is not there"),
        (CARS, lambda root: (root / "devkit" / "cars_train_annos.mat").write_bytes(b"no"),
         "cars_train_annos.mat cannot be read"),
        (CARS, without("cars_train", "00002.jpg"), "not there: cars_train/00002.jpg"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    tmp_path: Path,
    kind: tuple[str, Callable[[Path], Path]],
    change: Callable[[Path], None],
    says: str,
):
    name, make = kind
    change(make(tmp_path))
    with pytest.raises(DataError, match=says):
        load_data(name, data_dir=tmp_path)


def test_cars_without_labels_and_beyond_the_classes(tmp_path: Path):
    root = trees.cars(tmp_path)
    trees._annotations(root / "cars_test_annos_withlabels.mat", [3])
    with pytest.raises(DataError, match=r"row 1: 00001.jpg has the class 3; expected 1 to 2"):
        load_data("cars", data_dir=tmp_path)
    trees.savemat(
        root / "cars_test_annos_withlabels.mat",
        {"annotations": trees._table({"fname": ["00001.jpg"]})},
    )
    with pytest.raises(DataError, match=r"expected class too. Is it the file with labels"):
        load_data("cars", data_dir=tmp_path)


def test_imagenet_that_lacks_its_labels(tmp_path: Path):
    trees.imagenet(tmp_path, "none")
    with pytest.raises(DataError, match=r"neither LOC_val_solution.csv nor .*one of the three"):
        load_data("imagenet", data_dir=tmp_path)
    lines(tmp_path / "LOC_val_solution.csv", "ImageId,PredictionString", "x,n00000009 1 2 3 4")
    with pytest.raises(DataError, match=r"line 2 is 'x n00000009'; expected a class that train/"):
        load_data("imagenet", data_dir=tmp_path)
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(DataError, match=r"holds no folders such as n01440764. Get the images from"):
        load_data("imagenet", data_dir=tmp_path)


def test_missing_images_are_left_out_on_request(tmp_path: Path):
    root = trees.cub200(tmp_path)
    (root / "images" / "001.Albatross" / "b.jpg").unlink()
    data = load_data("cub200", data_dir=tmp_path, skip_unreadable=True, image_size=8)
    assert seen(data)[0] == [(12, 1)]
    assert "1 unreadable left out" in data.note


def test_a_large_set_stays_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trees.aircraft(tmp_path)
    whole = load_data("aircraft", data_dir=tmp_path, image_size=16)
    monkeypatch.setattr(memory_module, "WHOLE_SET_BYTES", 1000)
    lazy = load_data("aircraft", data_dir=tmp_path, image_size=16)
    assert isinstance(lazy.test, LazyImages)
    assert torch.equal(lazy.test.take(torch.tensor([0])), whole.test.images)


def packed(root: Path, kind: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if kind == "zip":
        with zipfile.ZipFile(target, "w") as archive:
            for path in root.rglob("*"):
                archive.write(path, path.relative_to(root.parent))
    else:
        with tarfile.open(target, "w:gz") as archive:
            archive.add(root, root.name)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, Path], Path]:
    """Puts an archive where the download comes from, here a file:// address."""

    def serve(module: str, kind: str, root: Path) -> Path:
        home = import_module(f"mixwright.lab.data.sources.{module}")
        target = tmp_path / "served" / home.TREE.archive
        packed(root, kind, target)
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        monkeypatch.setattr(home, "TREE", replace(home.TREE, url=target.as_uri(), sha256=digest))
        return target

    return serve


@pytest.mark.parametrize(
    ("module", "kind", "make"),
    [
        ("tiny_imagenet", "zip", trees.tiny_imagenet),
        ("cub200", "tar", trees.cub200),
        ("aircraft", "tar", trees.aircraft),
    ],
)
def test_downloaded_checked_and_unpacked(
    tmp_path: Path,
    module: str,
    kind: str,
    make: Callable[[Path], Path],
    served: Callable[[str, str, Path], Path],
):
    root = make(tmp_path / "made")
    archive = served(module, kind, root)
    name, home = module.replace("_", "-"), tmp_path / "home"
    said: list[str] = []
    data = load_data(name, data_dir=home, image_size=8, on_message=said.append)
    assert any("Downloading file://" in each for each in said)
    assert any("Unpacking" in each for each in said)
    assert sorted(path.name for path in home.iterdir()) == sorted([archive.name, root.name])
    archive.unlink()
    again = load_data(name, data_dir=home, image_size=8)  # from the folder
    assert seen(again) == seen(data)
    whole = home / archive.name
    shutil.rmtree(home / root.name)
    assert seen(load_data(name, data_dir=whole, image_size=8)) == seen(data)  # the archive named
    said.clear()
    load_data(name, data_dir=whole, image_size=8, on_message=said.append)
    assert not any("Unpacking" in each for each in said)  # the folder beside it is taken
    shutil.rmtree(home / root.name)
    whole.write_bytes(whole.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"has the checksum .*; expected"):
        load_data(name, data_dir=home)
    whole.unlink()
    with pytest.raises(DataError, match=r"Place the archive from .* or allow the download"):
        load_data(name, data_dir=home, download=False)


def test_an_archive_of_something_else(tmp_path: Path, served: Callable[[str, str, Path], Path]):
    root = trees.cub200(tmp_path / "made")
    (root / "images.txt").unlink()
    served("cub200", "tar", root)
    with pytest.raises(DataError, match=r"lacks CUB_200_2011/images.txt; expected the authors'"):
        load_data("cub200", data_dir=tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["CUB_200_2011.tgz"]


def test_what_cannot_be_fetched_says_where_to_get_it(tmp_path: Path):
    with pytest.raises(DataError, match=r"cars_meta\.mat\. Get the data from a copy of .*data-dir"):
        load_data("cars", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("module", "archive", "sha256"),
    [
        (
            "tiny_imagenet",
            "tiny-imagenet-200.zip",
            "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",
        ),
        (
            "cub200",
            "CUB_200_2011.tgz",
            "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
        ),
        (
            "aircraft",
            "fgvc-aircraft-2013b.tar.gz",
            "e4e323d410e29f0370c81eabdcbb0e2b813acea1de22891b70b58ff41bfc9834",
        ),
        (
            "eurosat",
            "EuroSAT.zip",
            "8ebea626349354c5328b142b96d0430e647051f26efc2dc974c843f25ecf70bd",
        ),
    ],
)
def test_the_archives_are_those_of_the_authors(module: str, archive: str, sha256: str):
    tree = import_module(f"mixwright.lab.data.sources.{module}").TREE
    assert (tree.archive, tree.sha256) == (archive, sha256)
    assert tree.url.startswith("https://")
