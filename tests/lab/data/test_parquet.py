import builtins
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lab.data.pictures import picture, png
from mixwright.lab.data import DataError, load_data

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def images(seeds: list[int]) -> Any:
    cells = [{"bytes": png(picture(seed)), "path": None} for seed in seeds]
    return pa.array(cells, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def save(path: Path, columns: dict[str, Any], names: list[str] | None = None) -> Path:
    """A file as Hugging Face writes it, in row groups of three."""
    table = pa.table(columns)
    if names is not None:
        features = {"img": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        told = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": told})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=3)
    return path


def pixels(seed: int) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture(seed)).copy()).movedim(2, 0)


def sets(root: Path, train: str = "train.parquet", test: str = "test.parquet") -> None:
    save(root / train, {"img": images([*range(8)]), "label": [0, 1] * 4}, ["cat", "dog"])
    save(root / test, {"img": images([8, 9]), "label": [1, 0]}, ["cat", "dog"])


@pytest.mark.parametrize(
    ("train", "test", "word"),
    [
        ("train.parquet", "test.parquet", "test"),
        ("train-00000-of-00001.parquet", "validation-00000-of-00001.parquet", "validation"),
        ("data/train-0.parquet", "data/test-0.parquet", "test"),
        ("train/0000.parquet", "val/0000.parquet", "validation"),
    ],
)
def test_a_folder_of_hugging_face(tmp_path: Path, train: str, test: str, word: str):
    sets(tmp_path, train, test)
    data = load_data(f"parquet:{tmp_path}")
    assert data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 1] * 4
    assert data.test.labels.tolist() == [1, 0]
    assert torch.equal(data.train.images[7], pixels(7))
    assert torch.equal(data.test.images, torch.stack([pixels(8), pixels(9)]))
    assert f"files for train and {word} as found" in data.note


def test_several_files_and_a_part_of_their_rows(tmp_path: Path):
    for k in range(3):
        rows = [*range(10 * k, 10 * k + 10)]
        save(tmp_path / f"train-{k}.parquet", {"img": images(rows), "label": [0] * 5 + [1] * 5})
    save(tmp_path / "test.parquet", {"img": images([40]), "label": [1]})
    whole = load_data(f"parquet:{tmp_path}")
    assert torch.equal(whole.train.images, torch.stack([pixels(k) for k in range(30)]))
    part = load_data(f"parquet:{tmp_path}", train_size=6)
    assert part.train.labels.bincount().tolist() == [3, 3]
    where = [
        int((whole.train.images == each).flatten(1).all(dim=1).nonzero())
        for each in part.train.images
    ]
    assert where == sorted(where)
    assert whole.train.labels[where].tolist() == part.train.labels.tolist()
    assert "6 of 30 images to train on" in part.note


def test_only_the_chosen_rows_are_decoded(tmp_path: Path):
    cells = images([*range(8)]).to_pylist()
    for k in range(8):
        if k not in (0, 3):
            cells[k]["bytes"] = b"broken"
    table = {"img": pa.array(cells, images([0]).type), "label": [0, 1, 1, 1, 1, 1, 1, 1]}
    save(tmp_path / "train.parquet", table)
    save(tmp_path / "test.parquet", {"img": images([9]), "label": [1]})
    with pytest.raises(DataError, match=r"6 of 8 train images cannot be read: train.parquet row 1"):
        load_data(f"parquet:{tmp_path}")
    said: list[str] = []
    load_data(f"parquet:{tmp_path}", train_size=2, skip_unreadable=True, on_message=said.append)
    assert "Decoding 2 train images." in said


def test_one_file_is_split_by_us(tmp_path: Path):
    path = save(tmp_path / "all.parquet", {"image": images([*range(20)]), "label": [0, 1] * 10})
    for spec in (path, tmp_path):
        data = load_data(f"parquet:{spec}")
        assert data.train.labels.bincount().tolist() == [8, 8]
        assert data.test.labels.bincount().tolist() == [2, 2]
        every = torch.cat([data.train.images, data.test.images]).flatten(1)
        assert len(every.unique(dim=0)) == 20
        assert data.classes == ("0", "1")
        assert "a fifth of each class held out" in data.note


@pytest.mark.parametrize("image", ["img", "image", "picture"])
@pytest.mark.parametrize("label", ["label", "labels", "fine_label", "kind"])
def test_columns_by_name_or_by_type(tmp_path: Path, image: str, label: str):
    columns = {
        "text": ["x"] * 4,
        label: pa.array([0, 1, 0, 1], pa.int16()),
        image: pa.array([png(picture(k)) for k in range(4)]),
    }
    data = load_data(f"parquet:{save(tmp_path / 'a.parquet', columns)}")
    assert len(data.train) == 2


def test_the_known_name_wins(tmp_path: Path):
    columns = {
        "coarse_label": [0] * 4,
        "fine_label": [0, 1, 0, 1],
        "thumb": images([9] * 4),
        "img": images([0, 1, 2, 3]),
    }
    data = load_data(f"parquet:{save(tmp_path / 'a.parquet', columns)}")
    assert data.num_classes == 2
    assert not any(torch.equal(each, pixels(9)) for each in data.train.images)


def test_a_missing_image_is_named(tmp_path: Path):
    cells = [*images([0, 1, 2]).to_pylist(), {"bytes": None, "path": "x.png"}, None]
    cells = pa.array(cells, images([0]).type)
    save(tmp_path / "train.parquet", {"img": cells, "label": [0, 1, 0, 1, 0]})
    save(tmp_path / "test.parquet", {"img": images([9]), "label": [1]})
    with pytest.raises(
        DataError, match=r"2 of 5 train images .* row 3 \(not an image .* row 4 \(not an image"
    ):
        load_data(f"parquet:{tmp_path}")
    data = load_data(f"parquet:{tmp_path}", skip_unreadable=True)
    assert data.train.labels.tolist() == [0, 1, 0]


def test_files_that_are_not_used_are_told(tmp_path: Path):
    sets(tmp_path)
    save(tmp_path / "extra.parquet", {"img": images([0]), "label": [0]})
    said: list[str] = []
    load_data(f"parquet:{tmp_path}", on_message=said.append)
    assert "Left out: 1 parquet file(s) of no part, such as extra.parquet." in said[-1]


def damaged(root: Path) -> None:
    sets(root)
    path = root / "train.parquet"
    stored = bytearray(path.read_bytes())
    path.write_bytes(stored[: len(stored) // 2])


def with_train(**columns: Any) -> Callable[[Path], object]:
    every = {"img": images([0, 1]), "label": [0, 1], **columns}
    kept = {name: values for name, values in every.items() if values is not None}

    def prepare(root: Path) -> None:
        sets(root)
        save(root / "train.parquet", kept, ["cat", "dog"])

    return prepare


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda root: None, "is neither a folder nor a file"),
        (lambda root: root.mkdir(), "holds no file that ends in .parquet"),
        (
            lambda root: save(root / "test.parquet", {"a": [1]}),
            "test.parquet.* but none for training",
        ),
        (damaged, "train.parquet cannot be read as a parquet file: .*fresh copy"),
        (with_train(img=None), r"has the columns label \(int64\); expected one of images"),
        (with_train(img=["a.png", "b.png"]), "Columns of paths or pixel lists are not read"),
        (with_train(label=None), "expected one of class numbers, named label, labels"),
        (with_train(label=["cat", "dog"]), "expected one of class numbers"),
        (with_train(label=None, a=[0, 1], b=[0, 1]), "expected one of class numbers"),
        (with_train(label=pa.array([0, None])), "1 rows have no 'label'"),
        (with_train(label=[0, 2]), "labels from 0 to 2 in 'label'; expected 0 to 1"),
        (with_train(label=[0, -1]), "labels from -1 to 0 in 'label'"),
        (
            with_train(label=None, kind=[0, 1]),
            "test.parquet lacks the column 'kind', which the other files have",
        ),
        (
            with_train(img=images([]), label=pa.array([], pa.int64())),
            "hold no rows; expected at least one",
        ),
    ],
)
def test_files_that_are_refused(tmp_path: Path, prepare: Callable[[Path], object], says: str):
    root = tmp_path / "root"
    prepare(root)
    with pytest.raises(DataError, match=says):
        load_data(f"parquet:{root}")


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"pip install 'mixwright\[data\]'"):
        load_data(f"parquet:{tmp_path}")


def test_on_real_photographs():
    beside = Path(__file__).parents[3].parent / "shared" / "data" / "cifar10"
    root = Path(os.environ.get("MIXWRIGHT_CIFAR10", beside))
    if not root.is_dir():
        pytest.skip(
            "no CIFAR-10 parquet files; name their folder in MIXWRIGHT_CIFAR10 to test them"
        )
    data = load_data(f"parquet:{root}", train_size=200)
    assert data.classes[:3] == ("airplane", "automobile", "bird")
    assert data.train.labels.bincount().tolist() == [20] * 10
    assert data.train.shape == (3, 32, 32)
    assert all(0.4 < mean < 0.55 for mean in data.mean)
    assert all(0.2 < std < 0.3 for std in data.std)
    assert data.test.labels.bincount().tolist() == [1000] * 10
