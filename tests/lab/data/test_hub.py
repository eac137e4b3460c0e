"""Data sets of the Hugging Face hub, by a stand-in for its package, and by itself where it is."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lab.data.pictures import picture, png, write
from mixwright.lab.data import DataError, load_data


class Image:
    """Stands in for the feature of that name."""

    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


class ClassLabel:
    dtype = "int64"

    def __init__(self, names: list[str]) -> None:
        self.names = names


class Value:
    def __init__(self, dtype: str) -> None:
        self.dtype = dtype


class Rows:
    """Stands in for a split: columns and rows, as ``datasets.Dataset`` gives them."""

    def __init__(self, features: dict[str, Any], columns: dict[str, list[Any]]) -> None:
        self.features = features
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key: str | int) -> Any:
        if isinstance(key, str):
            return self.columns[key]
        row = {name: values[key] for name, values in self.columns.items()}
        for kind in self.features.values():
            if isinstance(kind, Image):
                assert not kind.decode, "a decoded image was asked for"
        return row

    def cast_column(self, name: str, kind: Any) -> "Rows":
        return Rows({**self.features, name: kind}, self.columns)

    def select(self, rows: list[int]) -> "Rows":
        kept = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        return Rows(self.features, kept)


def rows(seeds: list[int], labels: list[Any], **more: Any) -> Rows:
    cells = [{"bytes": png(picture(seed)), "path": None} for seed in seeds]
    features: dict[str, Any] = {"image": Image(), "label": ClassLabel(["cat", "dog"]), **more}
    return Rows(features, {"image": cells, "label": labels, **dict.fromkeys(more, labels)})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the stand-in gives as splits, and how it was asked."""
    known: dict[str, Any] = {"asked": []}

    def load_dataset(*arguments: Any, **named: Any) -> dict[str, Rows]:
        known["asked"].append((arguments, named))
        if "error" in known:
            raise known["error"]
        return known["splits"]

    module = types.ModuleType("datasets")
    module.__dict__.update(
        load_dataset=load_dataset, Image=Image, DownloadConfig=lambda **named: named
    )
    monkeypatch.setitem(sys.modules, "datasets", module)
    return known


def pixels(seed: int) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture(seed)).copy()).movedim(2, 0)


def test_splits_as_found(hub: dict[str, Any], tmp_path: Path):
    hub["splits"] = {"train": rows([0, 1, 2], [0, 1, 0]), "validation": rows([7], [1])}
    data = load_data("hub:owner/pets:small", data_dir=tmp_path, download=False)
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 1, 0]
    assert torch.equal(data.train.images, torch.stack([pixels(k) for k in range(3)]))
    assert torch.equal(data.test.images[0], pixels(7))
    assert hub["asked"] == [
        (
            ("owner/pets", "small"),
            {"cache_dir": str(tmp_path), "download_config": {"local_files_only": True}},
        )
    ]
    assert "train and validation as found" in data.note


def test_one_split_is_split_by_us(hub: dict[str, Any]):
    hub["splits"] = {"train": rows([*range(20)], [0, 1] * 10)}
    data = load_data("hub:owner/pets", train_size=4)
    assert data.train.labels.bincount().tolist() == [2, 2]
    assert data.test.labels.bincount().tolist() == [2, 2]
    assert hub["asked"] == [(("owner/pets", None), {})]


def test_a_file_beside_and_a_missing_image(hub: dict[str, Any], tmp_path: Path):
    split = rows([0, 1, 2], [0, 1, 0])
    beside = write(tmp_path / "a.png", picture(5))
    split.columns["image"] = [
        {"bytes": None, "path": str(beside)},
        None,
        {"bytes": None, "path": None},
    ]
    hub["splits"] = {"train": split, "test": rows([7], [1])}
    with pytest.raises(DataError, match=r"2 of 3 train images cannot be read: train row 1 \(not"):
        load_data("hub:x")
    data = load_data("hub:x", skip_unreadable=True)
    assert torch.equal(data.train.images, pixels(5)[None])


def test_known_names_of_columns_win(hub: dict[str, Any]):
    split = rows([0, 1], [0, 1], id=Value("int32"))
    hub["splits"] = {"train": split, "test": split}
    assert load_data("hub:x").num_classes == 2


def test_text_names_in_another_order_and_a_validation_split(hub: dict[str, Any]):
    texts = {"label": Value("string"), "width": Value("int32")}
    hub["splits"] = {
        "train": rows([0, 1], ["dog", "cat"], **texts),
        "test": rows([2], ["dog"], **texts),
        "dev": rows([3], ["cat"], **texts),
        "more": rows([4], ["hen"], **texts),
    }
    data = load_data("hub:x")
    assert (data.classes, data.train.labels.tolist()) == (("cat", "dog"), [1, 0])
    assert data.validation is not None
    assert (data.test.labels.tolist(), data.validation.labels.tolist()) == ([1], [0])
    assert "Left out: the split more." in data.summary
    other = rows([2], [0], label=ClassLabel(["dog", "cat"]))
    hub["splits"] = {"train": rows([0, 1], [0, 1]), "test": other}
    assert load_data("hub:x").test.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        ({"a": rows([0], [0]), "b": rows([0], [0])}, "has the splits a, b; expected train and"),
        ({"train": rows([0, 1], [0, None])}, "2 rows, some without 'label'"),
        ({"train": rows([], [])}, "split train, holds no rows; expected at least one"),
        ({"train": rows([0, 1], [0, 1]), "test": rows([0], [-1])},
         "split test, has labels from -1 to -1 in 'label'; expected 0 to 1"),
        ({"train": Rows({"text": Value("string")}, {"text": ["a"]})},
         r"has the columns text \(Value\); expected one of images"),
    ],
)  # fmt: skip
def test_sets_that_are_refused(hub: dict[str, Any], splits: dict[str, Rows], says: str):
    hub["splits"] = splits
    with pytest.raises(DataError, match=says):
        load_data("hub:owner/name")


def test_no_network_and_no_such_set(hub: dict[str, Any]):
    hub["error"] = ConnectionError("Couldn't reach the Hub\nmore")
    with pytest.raises(DataError, match=r"cannot be had: Couldn't reach the Hub \(ConnectionErr"):
        load_data("hub:owner/name")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'mixwright\[data\]'"):
        load_data("hub:owner/name")


@pytest.mark.filterwarnings("default")
def test_the_package_itself_on_a_folder_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    pytest.importorskip("datasets", reason="datasets is not installed (extra: data)")
    for part, labels in (("train", [0, 1, 0]), ("test", [1])):
        for k, label in enumerate(labels):
            name = ("cat", "dog")[label]
            write(tmp_path / "pets" / part / name / f"{k}.png", picture(10 * len(labels) + k))
    data = load_data(f"hub:{tmp_path / 'pets'}", data_dir=tmp_path / "cache")
    assert data.classes == ("cat", "dog")
    assert sorted(data.train.labels.tolist()) == [0, 0, 1]
    assert torch.equal(data.test.images[0], pixels(10))
    assert torch.equal(data.train.images[int(data.train.labels.argmax())], pixels(31))
