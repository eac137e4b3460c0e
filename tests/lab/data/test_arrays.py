"""Sets stored as arrays: Fashion-MNIST's idx files and MedMNIST's npz files."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixwright.lab.data import DataError, load_data
from mixwright.lab.data.sources import fashion_mnist


def pixels(count: int, seed: int, *more: int, side: int = 28) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 256, (count, side, side, *more))
    return values.astype(np.uint8)


def idx(values: np.ndarray) -> bytes:
    """Bytes as the authors wrote them, big end first."""
    lengths = b"".join(length.to_bytes(4, "big") for length in values.shape)
    return bytes([0, 0, 8, values.ndim]) + lengths + values.tobytes()


def fashion(root: Path, *, pack: bool = True) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", 6), ("t10k", 3)):
        labels = np.arange(count, dtype=np.uint8) + 4
        for name, values in (("images-idx3", pixels(count, count)), ("labels-idx1", labels)):
            stored = idx(values)
            path = root / f"{part}-{name}-ubyte"
            if pack:
                path.with_suffix(".gz").write_bytes(gzip.compress(stored, mtime=0))
            else:
                path.write_bytes(stored)


@pytest.mark.parametrize("below", [".", "fashion-mnist", "FashionMNIST/raw"])
@pytest.mark.parametrize("pack", [True, False])
def test_fashion_mnist(tmp_path: Path, below: str, pack: bool):
    fashion(tmp_path / below, pack=pack)
    said: list[str] = []
    data = load_data("fashion-mnist", data_dir=tmp_path, on_message=said.append)
    assert data.train.labels.tolist() == [4, 5, 6, 7, 8, 9]
    assert data.test.labels.tolist() == [4, 5, 6]
    assert data.classes[9] == "ankle boot"
    assert data.train.shape == (3, 28, 28)
    wanted = torch.from_numpy(pixels(3, 3))[:, None].expand(-1, 3, -1, -1)
    assert torch.equal(data.test.images, wanted)
    assert data.mirrored
    assert any("6 images to train on and 3 to test on here; 60,000" in each for each in said)


def test_fashion_mnist_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fashion(tmp_path / "served")
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / "served").iterdir()
    }
    assert set(digests) == set(fashion_mnist.SHA256)
    monkeypatch.setattr(fashion_mnist, "URL", (tmp_path / "served").as_uri() + "/")
    monkeypatch.setattr(fashion_mnist, "SHA256", digests)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz is neither in"):
        load_data("fashion-mnist", data_dir=tmp_path / "home", download=False)
    data = load_data("fashion-mnist", data_dir=tmp_path / "home", train_size=6, image_size=32)
    assert data.train.shape == (3, 32, 32)
    assert len(list((tmp_path / "home" / "fashion-mnist").iterdir())) == 4


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        (gzip.compress(idx(pixels(6, 6)), mtime=0)[:-20], "cannot be unpacked"),
        (b"nothing packed", "cannot be unpacked"),
        (
            gzip.compress(idx(np.zeros(6, np.uint8)), mtime=0),
            "begins with 00 00 08 01; expected 00 00 08 03",
        ),
        (gzip.compress(b"", mtime=0), "begins with nothing"),
        (gzip.compress(idx(pixels(6, 6))[:-1], mtime=0), "4,703 bytes for an array of 6x28x28"),
        (gzip.compress(idx(pixels(5, 6)), mtime=0), r"5 images and labels of shape \(6,\)"),
        (gzip.compress(idx(pixels(6, 6)[:, :20]), mtime=0), r"shape \(6, 20, 28\)"),
    ],
)
def test_idx_files_that_are_refused(tmp_path: Path, stored: bytes, says: str):
    fashion(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(stored)
    with pytest.raises(DataError, match=says):
        load_data("fashion-mnist", data_dir=tmp_path)


def med(path: Path, *more: int, **changed: Any) -> None:
    counts = {"train": 5, "val": 3, "test": 4}
    arrays: dict[str, Any] = {}
    for seed, (part, count) in enumerate(counts.items()):
        arrays[f"{part}_images"] = pixels(count, seed, *more)
        arrays[f"{part}_labels"] = np.arange(count, dtype=np.uint8)[:, None]
    arrays |= changed
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


@pytest.mark.parametrize("colour", [True, False])
def test_medmnist(tmp_path: Path, colour: bool):
    med(tmp_path / "pathmnist.npz", *((3,) if colour else ()))
    said: list[str] = []
    data = load_data("medmnist:pathmnist", data_dir=tmp_path, on_message=said.append)
    assert data.train.labels.tolist() == [0, 1, 2, 3, 4]
    assert data.test.labels.tolist() == [0, 1, 2, 3]
    assert data.classes[3] == "lymphocytes"
    assert len(data.classes) == 9
    stored = torch.from_numpy(pixels(4, 2, *((3,) if colour else ())))
    wanted = stored.movedim(3, 1) if colour else stored[:, None].expand(-1, 3, -1, -1)
    assert torch.equal(data.test.images, wanted)
    assert any("; 89,996 and 7,180 were published" in each for each in said)


def test_medmnist_judged_on_its_validation_images(tmp_path: Path):
    med(tmp_path / "bloodmnist_64.npz", 3)
    said: list[str] = []
    data = load_data("medmnist:bloodmnist_64:val", data_dir=tmp_path, on_message=said.append)
    assert torch.equal(data.test.images, torch.from_numpy(pixels(3, 1, 3)).movedim(3, 1))
    assert "validation images to test on" in data.note
    assert data.mirrored
    assert any("; 11,959 and 1,712 were published" in each for each in said)


def test_organs_are_not_mirrored(tmp_path: Path):
    med(tmp_path / "organamnist.npz")
    data = load_data("medmnist:organamnist", data_dir=tmp_path)
    assert not data.mirrored
    assert data.classes[4] == "left kidney"


def test_a_set_of_ones_own_in_this_format(tmp_path: Path):
    med(tmp_path / "mine.npz", 1)
    assert load_data("medmnist:mine", data_dir=tmp_path).classes == ("0", "1", "2", "3", "4")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"test_labels": None}, "lacks test_labels; expected train_images, "),
        ({"train_images": np.zeros((5, 28, 28), np.float32)}, "dtype float32; expected"),
        ({"train_images": np.zeros((5, 28, 28, 28), np.uint8)}, "Volumes and other"),
        ({"train_labels": np.zeros((5, 14), np.uint8)}, "several labels an image are not read"),
        ({"test_labels": np.full((4, 1), 9, np.uint8)}, "test has labels from 9 to 9; .* 0 to 8"),
    ],
)
def test_npz_files_that_are_refused(tmp_path: Path, changed: dict[str, Any], says: str):
    med(tmp_path / "pathmnist.npz", **changed)
    with pytest.raises(DataError, match=says):
        load_data("medmnist:pathmnist", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "prepare", "says"),
    [
        ("pathmist", None, "Did you mean 'pathmnist'. Get the file from https://zenodo"),
        ("pathmnist:test", None, "ends in 'test'; expected nothing, or val"),
        ("pathmnist", lambda path: path.write_bytes(b"no"), "cannot be read"),
    ],
)
def test_medmnist_names_and_files(
    tmp_path: Path, name: str, prepare: Callable[[Path], object] | None, says: str
):
    if prepare:
        prepare(tmp_path / "pathmnist.npz")
    with pytest.raises(DataError, match=says):
        load_data(f"medmnist:{name}", data_dir=tmp_path)
