import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch

import mixwright.lab.data
from mixwright.lab.data import (
    DATA_LINES,
    DATA_SETS,
    DataError,
    ImageSet,
    load_data,
    names,
    parse_data,
)
from mixwright.lab.data.source import Request, Source
from mixwright.lab.experiments.defaults import recipe_defaults

SOURCES = "mixwright.lab.data.sources"


def test_names_are_listed_with_a_line_each():
    assert (
        *("digits", "cifar10", "cifar100", "tiny-imagenet", "imagenet", "cub200", "aircraft"),
        *("cars", "fashion-mnist", "eurosat", "elpv", "medmnist:NAME"),
        *("folder:PATH", "csv:PATH", "parquet:PATH", "webdataset:PATH", "hub:NAME"),
    ) == DATA_SETS
    for name in DATA_SETS:
        module = names.module_of(name.partition(":")[0])
        assert callable(getattr(import_module(f"{SOURCES}.{module}"), f"load_{module}"))
    assert all(DATA_LINES[name] for name in DATA_SETS)


def test_a_path_may_hold_colons():
    assert parse_data("folder:c:/photographs") == ("folder", "c:/photographs")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("cifar-10", r"'cifar-10' is not known. Did you mean 'cifar10'\?"),
        ("Digits", r"Did you mean 'digits'\?"),
        ("CIFAR10", r"Did you mean 'cifar10'\?"),
        ("folders:x", r"Did you mean 'folder:PATH'\?"),
        ("zzz", r"'zzz' is not known. Choose one of: digits, cifar10, cifar100, tiny-imagenet, "),
        ("tiny_imagenet", r"Did you mean 'tiny-imagenet'\?"),
        ("hub:", "lacks its name; write hub:NAME, e.g. hub:owner/name"),
        ("medmnist", "lacks its name; write medmnist:NAME, e.g. medmnist:pathmnist"),
        ("", "'' is not known"),
        ("folder:", "lacks its path; write folder:PATH"),
        ("parquet", "lacks its path; write parquet:PATH"),
        ("digits:there", "digits takes nothing after its name"),
    ],
)
def test_names_that_are_refused(spec: str, says: str):
    with pytest.raises(DataError, match=says):
        parse_data(spec)
    with pytest.raises(DataError, match=says):
        load_data(spec)


@pytest.mark.parametrize(
    ("files", "spec", "written"),
    [
        (["cats/a.png"], "photos", "folder:photos"),
        (["train/cats/a.png", "val/cats/b.png"], "photos:val", "folder:photos:val"),
        (["train-00000-of-00001.parquet"], "photos", "parquet:photos"),
        (["data/train-00000-of-00001.parquet", "README.md"], "photos/", "parquet:photos/"),
        (["labels.csv", "images/a.png"], "photos", "csv:photos/labels.csv"),
        (["labels.csv", "cats/a.png", "dogs/b.png"], "photos", "folder:photos"),
        (["labels.CSV"], "photos/labels.CSV", "csv:photos/labels.CSV"),
        (["a.parquet"], "./photos/a.parquet", "parquet:./photos/a.parquet"),
        (["a.tar"], "./photos/a.tar", "webdataset:./photos/a.tar"),
        (["train-000.tar", "val-000.tar"], "photos", "webdataset:photos"),
        (["cats/a.png"], "~/photos", "folder:~/photos"),
    ],
)
def test_a_path_that_is_there_is_told_how_to_be_written(
    files: list[str], spec: str, written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for file in files:
        path = tmp_path / "photos" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(DataError) as caught:
        parse_data(spec)
    assert str(caught.value) == (
        f"data set {spec!r} is not known; it is there as a path: write {written} "
        f"(--data {written})."
    )


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("photos.zip", "It is there as a file; expected a folder, a .csv or a .parquet file."),
        ("me/photos", "a folder is written folder:PATH, one of the Hugging Face hub hub:me/photos"),
        ("./nowhere/at/all", "There is no such path here; a folder is written folder:PATH."),
    ],
)
def test_other_paths_are_no_names(
    spec: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.zip").touch()
    with pytest.raises(DataError) as caught:
        parse_data(spec)
    assert said in str(caught.value)


def test_a_new_set_takes_a_file_and_a_row(monkeypatch: pytest.MonkeyPatch):
    """As the comment beside the rows says: ``grey_squares.py`` for ``grey-squares:NAME``."""
    four = ImageSet(torch.full((4, 3, 8, 8), 51, dtype=torch.uint8), torch.arange(4) % 2)

    def load_grey_squares(request: Request) -> Source:
        request.say(f"{request.kind} of {request.path}")
        return Source(train=four, test=four, classes=("a", "b"), note="made up")

    file = ModuleType(f"{SOURCES}.grey_squares")
    file.__dict__["load_grey_squares"] = load_grey_squares
    monkeypatch.setitem(sys.modules, file.__name__, file)
    monkeypatch.setitem(DATA_LINES, "grey-squares:NAME", "four grey squares")
    monkeypatch.setattr(names, "DATA_SETS", tuple(DATA_LINES))
    messages: list[str] = []
    data = load_data("grey-squares:mine", on_message=messages.append)
    assert messages == ["grey-squares of mine"]
    assert (data.name, data.note, data.classes) == ("grey-squares:mine", "made up.", ("a", "b"))
    assert data.mean == pytest.approx((0.2, 0.2, 0.2))
    assert recipe_defaults("grey-squares:mine")["model"]


def test_names_are_read_without_torch():
    code = (
        "import sys; from mixwright.lab.data import parse_data; parse_data('digits');"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    for name in mixwright.lab.data.__all__:
        assert getattr(mixwright.lab.data, name).__doc__
    assert sorted(dir(mixwright.lab.data)) == sorted(mixwright.lab.data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mixwright.lab.data.nothing
