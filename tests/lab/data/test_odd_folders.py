"""Folders as people have them: what is taken for what, what is left out with a word, or refused."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from lab.data.pictures import picture, write
from mixwright.lab.data import DataError, Dataset, LazyImages, load_data
from mixwright.lab.data import memory as memory_module


def fill(root: Path, classes: str = "a b", count: int = 2, *, seed: int = 0) -> None:
    """Folders with so many images each; pictures differ by their seeds."""
    for number, name in enumerate(classes.split()):
        for k in range(count):
            write(root / name / f"{k}.png", picture(seed + 100 * number + k))


def parts(root: Path, train: str, test: str) -> None:
    fill(root / train, count=3)
    fill(root / test, count=1, seed=50)


def load(root: Path | str) -> Dataset:
    return load_data(f"folder:{root}", image_size=8)


def counts(data: Dataset) -> tuple[list[int], list[int]]:
    number = data.num_classes
    return (
        data.train.labels.bincount(minlength=number).tolist(),
        data.test.labels.bincount(minlength=number).tolist(),
    )


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"),
        ("Training", "Testing"),
        ("training_set", "test_set"),
        ("seg_train", "seg_test"),
        ("TrainFolder", "DatasetTest"),
        ("imgs_train", "ImagesVal"),
        ("TRAIN", "VAL"),
        ("train", "Test"),
        ("train", "dev"),
        ("train", "eval"),
        ("asl_alphabet_train", "asl_alphabet_test"),
        ("dataset/dataset/train", "dataset/dataset/test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("images/train", "images/val"),
        ("train/images", "test/images"),
    ],
)
def test_parts_by_their_usual_names(tmp_path: Path, train: str, test: str):
    parts(tmp_path, train, test)
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert counts(data) == ([3, 3], [1, 1])
    assert data.validation is None


@pytest.mark.parametrize("name", ["val", "Valid", "dev", "validation_set"])
def test_a_validation_part_beside_test(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    parts(tmp_path, "train", "test")
    fill(tmp_path / name, "b", count=2, seed=70)
    data = load(tmp_path)
    assert counts(data) == ([3, 3], [1, 1])
    assert data.validation is not None
    assert data.validation.labels.tolist() == [1, 1]
    assert f"train/ and test/ as found, {name}/ to choose by;" in data.note
    assert "2 images to choose by (a 0, b 2)" in data.summary
    assert "1 class without an image to choose by: a." in data.summary
    monkeypatch.setattr(memory_module, "WHOLE_SET_BYTES", 8 * 3 * 64)  # just train and test
    lazy = load(tmp_path)
    assert not isinstance(lazy.train, LazyImages)
    assert isinstance(lazy.validation, LazyImages)
    assert torch.equal(lazy.validation.take(torch.arange(2)), data.validation.images)


def test_a_broken_validation_image_is_named(tmp_path: Path):
    parts(tmp_path, "train", "test")
    fill(tmp_path / "val")
    (tmp_path / "val" / "a" / "0.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"1 of 4 validation images .*val/a/0\.png \(the file is em"
    ):
        load(tmp_path)
    data = load_data(f"folder:{tmp_path}", image_size=8, skip_unreadable=True)
    assert data.validation is not None
    assert data.validation.labels.tolist() == [0, 1, 1]
    assert "Left out: 1 validation image(s) that cannot be read." in data.summary


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        ("a c", "val/ (val has the class 'c', which train has not)"),
        ("", "val/ (val holds no images"),
    ],
)
def test_a_validation_part_that_cannot_be_used_is_told(tmp_path: Path, classes: str, says: str):
    parts(tmp_path, "train", "test")
    (tmp_path / "val").mkdir()
    fill(tmp_path / "val", classes)
    data = load(tmp_path)
    assert data.validation is None
    assert f"Left out: {says}" in data.summary


def test_the_part_behind_the_path_is_tested_on(tmp_path: Path):
    parts(tmp_path, "train", "test")
    fill(tmp_path / "val", count=4, seed=70)
    data = load(f"{tmp_path}:val")
    assert counts(data) == ([3, 3], [4, 4])
    assert data.validation is None
    assert "Left out: test/ (beside train, val)" in data.summary
    assert load(f"{tmp_path}:test").validation is not None


@pytest.mark.parametrize(
    ("train", "part", "says"),
    [
        ("train", "vla", "'vla' is no part of it"),
        ("train", "train", "'train' is what is trained on"),
        (".", "val", "has no folders to train and to test on, and none for 'val'"),
    ],
)
def test_no_such_part(tmp_path: Path, train: str, part: str, says: str):
    fill(tmp_path / train)
    if train != ".":
        fill(tmp_path / "test")
    with pytest.raises(DataError, match=says):
        load(f"{tmp_path}:{part}")


@pytest.mark.parametrize("beside", ["annotations", "Annotation", "masks", "labels", "anything"])
def test_images_beside_what_describes_them_are_no_classes(tmp_path: Path, beside: str):
    fill(tmp_path / "flat", "images")
    if beside == "anything":  # without images
        (tmp_path / "flat" / beside).mkdir()
        (tmp_path / "flat" / beside / "0.xml").write_text("x")
    else:
        fill(tmp_path / "flat", beside)
    with pytest.raises(DataError, match=r"images holds 0 class folder.* 2 image.*csv:PATH"):
        load(tmp_path / "flat")
    fill(tmp_path / "deep" / "images")
    fill(tmp_path / "deep" / beside, "a" if beside != "anything" else "")
    (tmp_path / "deep" / beside).mkdir(exist_ok=True)
    data = load(tmp_path / "deep")
    assert data.classes == ("a", "b")
    assert f"Left out: {beside}/ (beside images/, no class)" in data.summary


@pytest.mark.parametrize(
    ("folders", "says"),
    [
        ("images cat dog", "has images/ beside cat/"),
        ("images JPEGImages", "has JPEGImages/ beside images/"),
        ("annotations cat dog", "annotations holds 2 images beside 2 other"),
        ("train test", r"train holds 0 class folder\(s\) and 2 image\(s\) beside"),
        ("test cat dog", "has test/ but no train/.*Rename the folder if it is a class"),
        ("val/cat test/cat", "has test/ but no train/"),
        ("train/a train/b test", r"test holds no images.* 2 image\(s\) straight .*folder:PATH:val"),
        ("train/Cat train/b test/cat", r"class 'cat', which .*train has not \(it has 'Cat'\)"),
        ("train/a train/b test/c", "has the class 'c', which .*train has not"),
        ("x/train/a x/test/a y/train/a y/test/a", "x has folders to train and to test on itself"),
        ("a/train a/test b/train b/test", "a has folders to train and to test on itself"),
        ("one_train/a one_test/a two_train/a two_test/a", "more than one data set"),
        ("Train/a TRAIN/a test/a", "2 parts that may be the train part: TRAIN, Train"),
        ("train/a test/a", r"train holds 1 class folder\(s\); expected"),
        ("train/a train/b train/test/a train/test/b", "test holds folders called a and b as the"),
        ("a b c backup/b backup/c", "backup holds folders called b and c as the classes beside it"),
    ],
)
def test_folders_that_can_be_read_in_more_than_one_way(tmp_path: Path, folders: str, says: str):
    fill(tmp_path, folders)
    with pytest.raises(DataError, match=says):
        load(tmp_path)


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        ("bus car train", ("bus", "car", "train")),  # trains, not images to train on
        ("bus steam_train test_tube", ("bus", "steam_train", "test_tube")),
        ("animals/cat animals/dog plants/oak", ("animals", "plants")),
        ("cat cat/cat dog/cat dog/old", ("cat", "dog")),
        ("mask no_mask", ("mask", "no_mask")),
        ("data/a data/b", ("a", "b")),
        ("a b __MACOSX .hidden @eaDir", ("a", "b")),
        ("train/a train/b test/a test/b __MACOSX/a", ("a", "b")),
        ("train/train/a train/train/b train/test/a", ("a", "b")),
    ],
)
def test_what_is_a_class(tmp_path: Path, folders: str, classes: tuple[str, ...]):
    fill(tmp_path, folders)
    assert load(tmp_path).classes == classes


def test_folders_that_all_classes_hold_alike_are_told(tmp_path: Path):
    for name in ("augmented", "original"):
        fill(tmp_path / name, "a b")
    data = load(tmp_path)
    assert data.classes == ("augmented", "original")
    assert "the names a, b of the folders in every class folder" in data.summary
    assert f"folder:{tmp_path / 'augmented'}" in data.summary
    (tmp_path / "original" / "b").rename(tmp_path / "original" / "c")
    assert "every class folder" not in load(tmp_path).summary


def test_other_folders_and_files_are_told(tmp_path: Path):
    parts(tmp_path, "train", "test")
    fill(tmp_path, "annotations pred")
    write(tmp_path / "poster.png", picture(0))
    write(tmp_path / "train" / "lost.png", picture(0))
    (tmp_path / "train" / "README").write_text("not an image")
    for name in ("x.heic", "y.HEIC", "z.svg", "z.tga", "notes"):
        (tmp_path / "train" / "a" / name).write_text("x")
    for name in (".DS_Store", "Thumbs.db", "._0.png"):
        (tmp_path / "train" / "a" / name).write_text("x")
    said: list[str] = []
    data = load_data(f"folder:{tmp_path}", image_size=8, on_message=said.append)
    assert counts(data) == ([3, 3], [1, 1])
    assert said[-1].startswith("Left out: annotations/")
    assert said[-1] in data.summary
    assert data.summary.partition("Left out: ")[2].partition(". No")[0].split("; ") == [
        "annotations/ (beside train, test)",
        "pred/ (beside train, test)",
        "1 image(s) outside the parts, such as poster.png",
        "5 file(s) that do not end as images do (2 .heic, 1 without ending, 1 .svg, 1 .tga), such "
        "as train/a/notes",
        "1 image(s) outside the class folders, such as train/lost.png",
    ]


def test_a_class_of_unknown_files_says_how_they_end(tmp_path: Path):
    fill(tmp_path)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "x.heic").write_text("x")
    with pytest.raises(DataError, match=r"1 class folder\(s\) without images: c \(1 \.heic\)"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("link", "to"),
    [("a/loop", "."), ("b/loop", "."), ("a/loop", "a"), ("loop", "."), ("a/to_b", "b")],
)
def test_each_real_folder_is_visited_once(tmp_path: Path, link: str, to: str):
    fill(tmp_path, count=6)
    (tmp_path / link).symlink_to(tmp_path / to)
    data = load(tmp_path)
    assert data.classes == ("a", "b")
    assert counts(data) == ([5, 5], [1, 1])
    assert f"1 link(s) to folders that are read elsewhere, such as {link}" in data.summary


def test_links_from_one_part_into_another(tmp_path: Path):
    parts(tmp_path, "train", "test")
    (tmp_path / "train" / "a" / "more").symlink_to(tmp_path / "test" / "b")
    (tmp_path / "test" / "up").symlink_to("..")
    assert counts(load(tmp_path)) == ([3, 3], [1, 1])


def test_class_folders_may_be_links(tmp_path: Path):
    fill(tmp_path / "elsewhere", count=6)
    (tmp_path / "root").mkdir()
    for name in ("a", "b"):
        (tmp_path / "root" / name).symlink_to(tmp_path / "elsewhere" / name)
    assert counts(load(tmp_path / "root")) == ([5, 5], [1, 1])


@pytest.mark.parametrize(("link", "to"), [("train/c", "train/a"), ("test", "train")])
def test_one_folder_for_two_is_refused(tmp_path: Path, link: str, to: str):
    fill(tmp_path / "train")
    (tmp_path / link).symlink_to(tmp_path / to)
    with pytest.raises(DataError, match="are one folder; expected a folder of its own"):
        load(tmp_path)


def test_pipes_sockets_and_devices_are_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fill(tmp_path, count=6)
    os.mkfifo(tmp_path / "a" / "pipe.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "b" / "zero.png").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path / "b")  # the name of a socket has at most about 100 letters
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket.png")
        data = load(tmp_path)
    assert counts(data) == ([5, 5], [1, 1])
    assert "3 pipe(s), socket(s) or device(s), such as a/pipe.png" in data.summary


@pytest.mark.parametrize("to", ["gone.png", "x.png"])
def test_a_link_to_nothing_is_an_image_that_cannot_be_read(tmp_path: Path, to: str):
    fill(tmp_path)
    (tmp_path / "a" / "x.png").symlink_to(to)
    with pytest.raises(DataError, match=r"a/x\.png \(\[Errno"):
        load(tmp_path)


@pytest.fixture
def guarded() -> Iterator[Path]:
    """A folder that anyone may enter, read by a user who owns nothing."""
    root = Path(tempfile.mkdtemp())
    fill(root)
    load(root)  # what has to be imported is, while it may be
    root.chmod(0o755)
    user = os.geteuid()
    try:
        yield root
    finally:
        os.seteuid(user)
        for path in (root / "a", root / "a" / "0.png"):
            path.chmod(0o755)
        shutil.rmtree(root)


@pytest.mark.parametrize(
    ("forbidden", "says"),
    [
        ("a", "cannot be read: .*Permission denied: .*/a'. Check that its files may be read"),
        ("a/0.png", r"1 of 2 \w+ images cannot be read: a/0\.png \(.*Permission denied"),
    ],
)
def test_what_may_not_be_read_is_named(guarded: Path, forbidden: str, says: str):
    (guarded / forbidden).chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)  # root may read everything
    with pytest.raises(DataError, match=says):
        load(guarded)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_names_that_are_no_text_are_written_out(tmp_path: Path):
    fill(tmp_path)
    strange = os.fsencode(tmp_path) + b"/caf\xe9"
    try:
        os.mkdir(strange)
    except OSError:
        pytest.skip("this file system takes text alone")
    for name in (b"\xff.png", b"\xfe.png"):
        Path(os.fsdecode(strange + b"/" + name)).write_bytes((tmp_path / "a/0.png").read_bytes())
    data = load(tmp_path)
    assert data.classes == ("a", "b", "caf\\xe9")
    data.summary.encode()
    Path(os.fsdecode(strange + b"/\xff.png")).write_bytes(b"x")
    with pytest.raises(DataError, match="cannot be read") as caught:
        load(tmp_path)
    str(caught.value).encode()


def test_a_class_of_one_image_is_told(tmp_path: Path):
    fill(tmp_path, count=5)
    fill(tmp_path, "one", count=1, seed=300)
    fill(tmp_path, "two", count=2, seed=400)
    data = load(tmp_path)
    assert counts(data) == ([4, 4, 1, 1], [1, 1, 0, 1])
    assert "(a 4, b 4, one 1, two 1)" in data.summary
    assert "1 class without an image to test on: one." in data.summary


@pytest.mark.parametrize("make", [lambda root: fill(root, "x"), lambda root: None])
def test_paths_that_are_no_folder(tmp_path: Path, make: Callable[[Path], None]):
    make(tmp_path)
    for path in (tmp_path / "x" / "0.png", tmp_path / "none", f"{tmp_path}/none:val"):
        with pytest.raises(DataError, match=r"is not a folder\. Give"):
            load(path)
