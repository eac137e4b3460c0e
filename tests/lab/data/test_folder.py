import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lab.data.pictures import picture, write
from mixwright.lab.data import Batches, DataError, ImageSet, LazyImages, load_data
from mixwright.lab.data import memory as memory_module


def fill(root: Path, counts: dict[str, int], *, size: tuple[int, int] = (8, 8)) -> None:
    """Folders with so many images each."""
    for number, (name, count) in enumerate(counts.items()):
        for k in range(count):
            write(root / name / f"{k:02}.png", picture(100 * number + k, size))


def test_train_and_test_as_found(tmp_path: Path):
    fill(tmp_path / "train", {"cat": 3, "ant": 2})
    fill(tmp_path / "test", {"cat": 2, "ant": 1})
    fill(tmp_path / "val", {"other": 1})
    data = load_data(f"folder:{tmp_path}")
    assert isinstance(data.train, ImageSet)
    assert data.classes == ("ant", "cat")
    assert data.train.labels.tolist() == [0, 0, 1, 1, 1]
    assert data.test.labels.tolist() == [0, 1, 1]
    wanted = np.asarray(picture(1)).transpose(2, 0, 1)
    assert torch.equal(data.train.images[3], torch.from_numpy(wanted.copy()))
    assert data.train.shape == (3, 8, 8)
    assert "train/ and test/ as found" in data.note
    assert "8x8 pixels (as they are)" in data.note


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_other_names_for_test(tmp_path: Path, name: str):
    fill(tmp_path / "train", {"a": 1, "b": 1})
    fill(tmp_path / name, {"b": 2})
    data = load_data(f"folder:{tmp_path}")
    assert data.test.labels.tolist() == [1, 1]


@pytest.mark.parametrize("below", ["", "train"])
def test_a_fifth_is_held_out_where_nothing_says(tmp_path: Path, below: str):
    fill(tmp_path / below, {"a": 10, "b": 20, "c": 2})
    data = load_data(f"folder:{tmp_path}")
    assert data.train.labels.bincount().tolist() == [8, 16, 1]
    assert data.test.labels.bincount().tolist() == [2, 4, 1]
    every = torch.cat([data.train.images, data.test.images]).flatten(1)
    assert len(every.unique(dim=0)) == 32
    assert torch.equal(load_data(f"folder:{tmp_path}").test.images, data.test.images)
    assert "a fifth of each class held out" in data.note


def test_part_of_the_images(tmp_path: Path):
    fill(tmp_path / "train", {"a": 4, "b": 8})
    fill(tmp_path / "test", {"a": 1, "b": 1})
    data = load_data(f"folder:{tmp_path}", train_size=6)
    assert data.train.labels.bincount().tolist() == [2, 4]
    assert "6 of 12 images to train on" in data.note
    with pytest.raises(DataError, match="train_size is 13; expected between 1 and 12"):
        load_data(f"folder:{tmp_path}", train_size=13)


def test_mixed_sizes_and_a_size_asked_for(tmp_path: Path):
    fill(tmp_path, {"a": 4}, size=(8, 8))
    fill(tmp_path, {"b": 4}, size=(10, 8))
    assert load_data(f"folder:{tmp_path}").train.shape == (3, 224, 224)
    data = load_data(f"folder:{tmp_path}", image_size=8)
    assert data.train.shape == (3, 8, 8)
    assert "shorter side resized" in data.note


def test_alike_but_not_square(tmp_path: Path):
    fill(tmp_path, {"a": 2, "b": 2}, size=(10, 8))
    assert load_data(f"folder:{tmp_path}").train.shape == (3, 224, 224)


def test_deeper_hidden_and_other_files(tmp_path: Path):
    fill(tmp_path, {"a": 2, "b": 2})
    write(tmp_path / "a" / "deep" / "x.PNG", picture(50))
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "b" / ".hidden.png").write_text("no image")
    (tmp_path / ".cache").mkdir()
    said: list[str] = []
    data = load_data(f"folder:{tmp_path}", on_message=said.append)
    assert data.classes == ("a", "b")
    assert len(data.train) + len(data.test) == 5
    assert any("1 file(s)" in each and "a/notes.txt" in each for each in said)


def broken(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 8, "b": 8})
    fill(tmp_path / "test", {"a": 2, "b": 2})
    for k in range(6):
        (tmp_path / "train" / "a" / f"{k:02}.png").write_bytes(b"broken")
    whole = tmp_path / "test" / "b" / "00.png"
    whole.write_bytes(whole.read_bytes()[:100])


def test_unreadable_images_are_named_and_counted(tmp_path: Path):
    broken(tmp_path)
    with pytest.raises(DataError) as caught:
        load_data(f"folder:{tmp_path}")
    said = str(caught.value)
    assert "6 of 16 train images cannot be read" in said
    assert "train/a/00.png (not an image that Pillow knows)" in said
    assert "train/a/04.png" in said
    assert "train/a/05.png" not in said
    assert "and 1 more" in said
    assert "--skip-unreadable" in said


def test_unreadable_images_are_skipped_on_request(tmp_path: Path):
    broken(tmp_path)
    said: list[str] = []
    data = load_data(f"folder:{tmp_path}", skip_unreadable=True, on_message=said.append)
    assert data.train.labels.tolist() == [0] * 2 + [1] * 8
    assert data.test.labels.tolist() == [0, 0, 1]
    assert any("6 of 16 train images cannot be read" in each for each in said)
    assert any("1 of 4 test images cannot be read: test/b/00.png" in each for each in said)
    assert "7 unreadable left out" in data.note
    wanted = np.asarray(picture(6)).transpose(2, 0, 1)
    assert torch.equal(data.train.images[0], torch.from_numpy(wanted.copy()))


def test_nothing_left(tmp_path: Path):
    for name in ("train/a/x.png", "train/b/x.png", "test/a/x.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(DataError, match="No image is left"):
        load_data(f"folder:{tmp_path}", skip_unreadable=True)


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory_module, "_MESSAGE_SECONDS", 0.0)
    fill(tmp_path, {"a": 3, "b": 2})
    said: list[str] = []
    load_data(f"folder:{tmp_path}", on_message=said.append)
    assert "Decoding 3 train images." in said
    assert "Decoded 3 of 3 train images." in said


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        if path.suffix:
            write(path, picture(0))
        else:
            path.mkdir(parents=True)


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda root: None, "is not a folder. Give the folder"),
        (lambda root: root.mkdir(), r"holds 0 class folder\(s\); expected"),
        (lambda root: make(root, "a/1.png"), r"holds 1 class folder\(s\)"),
        (lambda root: make(root, "a", "b"), "holds no images; expected files ending in .jpg"),
        (
            lambda root: make(root, "a/1.png", "b", "c"),
            r"2 class folder\(s\) without images: b, c. Add images",
        ),
        (lambda root: make(root, "test/a/1.png"), r"has test/ but no train/"),
        (
            lambda root: make(root, "train/a/1.png", "train/b/1.png", "val/c/1.png"),
            "has the class 'c', which .*train has not",
        ),
        (
            lambda root: make(root, "train/a/1.png", "train/b/1.png", "val"),
            "val holds no images",
        ),
        (lambda root: make(root, "a/1.png", "b/1.png"), "every class has a single image"),
    ],
)
def test_folders_that_are_refused(tmp_path: Path, prepare: Callable[[Path], None], says: str):
    root = tmp_path / "root"
    prepare(root)
    with pytest.raises(DataError, match=says):
        load_data(f"folder:{root}")


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fill(tmp_path, {"a": 2, "b": 2})
    for name in [name for name in sys.modules if name == "PIL" or name.startswith("PIL.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"needs PIL.*pip install 'mixwright\[lab\]'"):
        load_data(f"folder:{tmp_path}")


def test_what_the_system_forbids_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def forbidden(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", forbidden)
    with pytest.raises(DataError, match=r"cannot be read: .*Permission denied.*may be read"):
        load_data(f"folder:{tmp_path}")


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any memory."""
    monkeypatch.setattr(memory_module, "WHOLE_SET_BYTES", 1000)


@pytest.mark.usefixtures("tight")
def test_a_set_that_does_not_fit_is_decoded_when_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fill(tmp_path / "train", {"a": 6, "b": 6})
    fill(tmp_path / "test", {"a": 2, "b": 3})
    said: list[str] = []
    lazy = load_data(f"folder:{tmp_path}", on_message=said.append)
    assert isinstance(lazy.train, LazyImages)
    assert any("held in memory" in each for each in said)
    monkeypatch.undo()
    whole = load_data(f"folder:{tmp_path}")
    assert (lazy.mean, lazy.std) == (whole.mean, whole.std)
    assert lazy.train.shape == whole.train.shape
    assert lazy.image_size == 8
    rows = torch.tensor([7, 0])
    assert torch.equal(lazy.train.take(rows), whole.train.take(rows))
    with pytest.raises(DataError, match=r"use take\(rows\)"):
        _ = lazy.train.images

    for data in (lazy, whole):
        if isinstance(data.train, LazyImages):
            data.train.workers = 0
    before = torch.random.get_rng_state()
    epochs = [
        list(
            Batches(each.train, batch_size=5, device="cpu", augment=None, shuffle=True).epoch(
                torch.Generator().manual_seed(1)
            )
        )
        for each in (lazy, whole)
    ]
    assert torch.equal(torch.random.get_rng_state(), before)
    for (a, x), (b, y) in zip(*epochs, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(x, y)


@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_workers_keep_the_order_and_draw_nothing(tmp_path: Path):
    from mixwright.lab.data.lazy import EncodedImages

    files = [write(tmp_path / f"{k}.png", picture(k)) for k in range(9)]
    stored = EncodedImages(files, [file.name for file in files], torch.arange(9))
    parts = torch.arange(9).flip(0).split(2)
    before = torch.random.get_rng_state()
    found = [list(LazyImages(stored, image_size=8, workers=n).stream(parts)) for n in (0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(torch.cat(found[0]), torch.cat(found[1]))
    assert torch.equal(
        found[0][0][0], torch.from_numpy(np.asarray(picture(8)).copy()).movedim(2, 0)
    )

    files[4].write_bytes(b"broken")
    stream = LazyImages(stored, image_size=8, workers=1).stream(parts)
    assert len(next(stream)) == 2
    with pytest.raises(DataError, match=r"^an image cannot be read: 4\.png \(not an image"):
        list(stream)


@pytest.mark.usefixtures("tight")
def test_lazy_and_unreadable(tmp_path: Path):
    broken(tmp_path)
    with pytest.raises(DataError, match=r"an image cannot be read: train/a/00\.png"):
        load_data(f"folder:{tmp_path}", image_size=8)
    data = load_data(f"folder:{tmp_path}", skip_unreadable=True)
    assert isinstance(data.train, LazyImages)
    assert data.train.labels.tolist() == [0] * 2 + [1] * 8
    assert "7 unreadable left out" in data.note


def test_a_listing_names_every_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From inside the folder too, with names of any bytes, and links that lead around."""
    fill(tmp_path / "train", {"a": 3, "b": 3})
    fill(tmp_path / "test", {"a": 1, "b": 1})
    odd = Path(os.fsdecode(os.fsencode(tmp_path / "train" / "a") + b"/caf\xe9.png"))
    write(odd, picture(40))
    (tmp_path / "train" / "a" / "again").symlink_to(tmp_path / "train", target_is_directory=True)
    monkeypatch.setattr(memory_module, "WHOLE_SET_BYTES", 1)
    monkeypatch.chdir(tmp_path)
    names: list[list[str]] = []
    for where in (str(tmp_path), ".", f"../{tmp_path.name}"):
        train = load_data(f"folder:{where}", image_size=8).train
        assert isinstance(train, LazyImages)
        names.append(list(train.stored.names))
        assert [path.is_file() for path in train.stored.encoded] == [True] * 7  # type: ignore[union-attr]
        assert torch.equal(
            train.take(torch.tensor([3]))[0],
            torch.from_numpy(np.asarray(picture(40)).copy()).movedim(2, 0),
        )
    files = [f"train/{name}/0{k}.png" for name in "ab" for k in range(3)]
    assert names == [[*files[:3], "train/a/caf\\xe9.png", *files[3:]]] * 3


def test_sizes_are_looked_at_until_two_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for k in range(400):
        write(tmp_path / "ab"[k % 2] / f"{k:03}.png", picture(k, (8, 8) if k % 7 else (9, 8)))
    looked: list[Path] = []
    sides = memory_module.image_sides

    def noted(file: Path) -> tuple[int, int]:
        looked.append(file)
        time.sleep(0.001)  # a thread looks ahead while this one is told what it found
        return sides(file)

    monkeypatch.setattr(memory_module, "image_sides", noted)
    monkeypatch.setattr(memory_module, "MIXED_SIZE", 8)
    monkeypatch.setattr(memory_module, "usable_cores", lambda: 1)
    assert load_data(f"folder:{tmp_path}").image_size == 8
    assert len(looked) < 320  # of 320 to train on and 80 to test on: what was in hand already
