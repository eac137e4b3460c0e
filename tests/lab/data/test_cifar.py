import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mixwright.lab.data import DataError, load_data
from mixwright.lab.data.sources import cifar as cifar_module
from mixwright.lab.data.sources.cifar import ARCHIVES
from mixwright.lab.data.sources.pickles import load_arrays

Files = dict[str, bytes]


def text(value: str) -> bytes:
    """A string as Python 2 pickled it."""
    return b"U" + bytes([len(value)]) + value.encode()


def python2(items: dict[str, bytes]) -> bytes:
    """A dictionary as Python 2 pickled it, protocol 2; the values are pickled already."""
    return b"\x80\x02}(" + b"".join(text(k) + v for k, v in items.items()) + b"u."


def array(values: np.ndarray) -> bytes:
    """A uint8 matrix as NumPy of Python 2 pickled it."""
    rows, columns = values.shape
    content = values.tobytes()
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + b"J" + rows.to_bytes(4, "little") + b"J" + columns.to_bytes(4, "little") + b"\x86"
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        + b"K\x00tb\x89T" + len(content).to_bytes(4, "little") + content + b"tb"
    )  # fmt: skip


def numbers(values: list[int]) -> bytes:
    return b"](" + b"".join(b"K" + bytes([value]) for value in values) + b"e"


def names(values: list[str]) -> bytes:
    return b"](" + b"".join(text(value) for value in values) + b"e"


def pixels(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072)).astype(np.uint8)


def batch(seed: int, labels: list[int], key: str = "labels") -> bytes:
    found = pixels(len(labels), seed)
    return python2({"batch_label": text("x"), key: numbers(labels), "data": array(found)})


def cifar10_files() -> Files:
    files = {f"data_batch_{n}": batch(n, [0, 1, 2, n % 3]) for n in range(1, 6)}
    files["test_batch"] = batch(6, [2, 1])
    files["batches.meta"] = python2({"label_names": names(["cat", "dog", "frog"])})
    return files


def cifar100_files() -> Files:
    return {
        "train": batch(1, [0, 1, 1, 0], "fine_labels"),
        "test": batch(2, [1], "fine_labels"),
        "meta": python2({"fine_label_names": names(["apple", "bee"])}),
    }


def packed(folder: str, files: Files) -> bytes:
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stored.getvalue()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], Path]:
    """Puts an archive where the downloads come from, here a file:// address."""

    def put(kind: str, content: bytes) -> Path:
        archive = ARCHIVES[kind]
        served = tmp_path / "served" / archive.file_name
        served.parent.mkdir(exist_ok=True)
        served.write_bytes(content)
        changed = replace(archive, url=served.as_uri(), sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(cifar_module.ARCHIVES, kind, changed)
        return served

    return put


def test_the_archives_are_those_of_the_authors():
    assert (
        ARCHIVES["cifar10"].sha256
        == "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    )
    assert (
        ARCHIVES["cifar100"].sha256
        == "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"
    )
    assert ARCHIVES["cifar10"].file_name == "cifar-10-python.tar.gz"
    assert ARCHIVES["cifar100"].file_name == "cifar-100-python.tar.gz"


def test_downloaded_then_read_from_the_archive(serve: Callable[..., Path], tmp_path: Path):
    served = serve("cifar10", packed("cifar-10-batches-py", cifar10_files()))
    messages: list[str] = []
    data = load_data("cifar10", data_dir=tmp_path / "home", on_message=messages.append)
    assert "Downloading file://" in messages[0]
    assert data.classes == ("cat", "dog", "frog")
    assert data.train.labels.tolist() == [x for n in range(1, 6) for x in (0, 1, 2, n % 3)]
    assert data.test.labels.tolist() == [2, 1]
    first = torch.from_numpy(pixels(4, 1)).view(4, 3, 32, 32)
    assert torch.equal(data.train.images[:4], first)
    assert torch.equal(data.test.images, torch.from_numpy(pixels(2, 6)).view(2, 3, 32, 32))
    assert data.mirrored

    served.unlink()
    again = load_data("cifar10", data_dir=tmp_path / "home", on_message=messages.append)
    assert len(messages) <= 11  # not downloaded again
    assert torch.equal(again.train.images, data.train.images)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["cifar-10-python.tar.gz"]


def test_cifar100_and_the_archive_itself_as_data_dir(serve: Callable[..., Path]):
    served = serve("cifar100", packed("cifar-100-python", cifar100_files()))
    data = load_data("cifar100", data_dir=served, image_size=16, train_size=2)
    assert data.classes == ("apple", "bee")
    assert data.train.images.shape == (2, 3, 16, 16)
    assert sorted(data.train.labels.tolist()) == [0, 1]
    assert "2 of 4 images to train on" in data.note


@pytest.mark.parametrize("inside", [True, False])
def test_the_extracted_folder(tmp_path: Path, inside: bool):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, content in cifar10_files().items():
        (folder / name).write_bytes(content)
    data = load_data("cifar10", data_dir=folder if inside else tmp_path, download=False)
    assert len(data.train) == 20


def test_the_cache_folder_serves_when_none_is_given(
    serve: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    serve("cifar100", packed("cifar-100-python", cifar100_files()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load_data("cifar100")
    assert (tmp_path / "cache" / "mixwright" / "cifar-100-python.tar.gz").is_file()


def test_pickles_of_python_3_are_read_too():
    stored = pickle.dumps({"data": np.arange(3, dtype=np.uint8), "labels": [1]})
    for protocol in (2, 4):
        stored = pickle.dumps({"data": np.arange(3, dtype=np.uint8), "labels": [1]}, protocol)
        found = load_arrays(stored, name="x")
        assert found[b"data"].tolist() == [0, 1, 2]


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, serve: Callable[..., Path]):
    trap = tmp_path / "trap"
    stored = pickle.dumps({"data": Evil(trap)})
    pickle.loads(stored)
    assert trap.exists()  # the trap works
    trap.rmdir()
    with pytest.raises(DataError, match=r"cannot be read: it asks for posix\.mkdir"):
        load_arrays(stored, name="x")
    serve("cifar10", packed("cifar-10-batches-py", {**cifar10_files(), "test_batch": stored}))
    with pytest.raises(DataError, match=r"test_batch cannot be read: it asks for posix\.mkdir"):
        load_data("cifar10", data_dir=tmp_path / "home")
    assert not trap.exists()


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        (b"rubbish", "x cannot be read: .*place a fresh copy"),
        (pickle.dumps([1]), "x holds a list; expected a dictionary"),
        (b"cbuiltins\neval\n.", "asks for builtins.eval"),
        (b"cnumpy\nload\n.", "asks for numpy.load"),
    ],
)
def test_pickles_that_are_refused(stored: bytes, says: str):
    with pytest.raises(DataError, match=says):
        load_arrays(stored, name="x")


def changed(**files: bytes | None) -> Files:
    every = {**cifar10_files(), **files}
    return {name: content for name, content in every.items() if content is not None}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (changed(data_batch_3=None), "lacks data_batch_3; expected them in its folder cifar-10"),
        (changed(test_batch=python2({"labels": numbers([1])})), "lacks b'data'"),
        (changed(test_batch=batch(1, [3])), "labels from 3 to 3; expected 0 to 2"),
        (
            changed(test_batch=python2({"labels": numbers([1]), "data": array(pixels(2, 0))})),
            r"has 1 labels and images of shape \(2, 3072\)",
        ),
    ],
)
def test_archives_with_other_content(
    serve: Callable[..., Path], tmp_path: Path, files: Files, says: str
):
    serve("cifar10", packed("cifar-10-batches-py", files))
    with pytest.raises(DataError, match=says):
        load_data("cifar10", data_dir=tmp_path / "home")


def test_missing_damaged_and_foreign_files(serve: Callable[..., Path], tmp_path: Path):
    with pytest.raises(DataError, match=r"cifar-10-batches-py nor .* is there. Place the archive"):
        load_data("cifar10", data_dir=tmp_path, download=False)

    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"half")
    with pytest.raises(DataError, match=r"has the checksum .*; expected 6d95.*remove it"):
        load_data("cifar10", data_dir=tmp_path)

    serve("cifar10", b"not an archive at all")
    with pytest.raises(DataError, match=r"cannot be read: .*place a fresh copy"):
        load_data("cifar10", data_dir=tmp_path / "home")
