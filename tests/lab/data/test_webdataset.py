"""Shards in WebDataset's format: written here by tarfile, as its own writer does."""

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from lab.data.pictures import picture, png
from lab.data.two_ranks import read_by_two
from mixwright.lab.data import Batches, DataError, Dataset, LazyImages, load_data
from mixwright.lab.data import memory as memory_module
from mixwright.lab.data.decode import UnreadableImageError
from mixwright.lab.data.identity import LISTING, data_identity, differences
from mixwright.lab.data.sources.tar_images import TarImages, members
from mixwright.lab.data.sources.webdataset import expand_braces

Files = Sequence[tuple[str, bytes]]


def shard(path: Path, files: Files, mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def sample(seed: int, **files: str) -> Files:
    """A sample called by its seed: a picture, and text under other endings."""
    more = [(f"{seed:06}.{kind}", text.encode()) for kind, text in files.items()]
    return [(f"{seed:06}.png", png(picture(seed))), *more]


def classed(seeds: Sequence[int], per: int = 2) -> Files:
    return [file for seed in seeds for file in sample(seed, cls=str(seed % per))]


def pixels(seed: int) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture(seed)).copy()).movedim(2, 0)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Ten images to train on in three shards, four to test on in one."""
    for number, seeds in enumerate([range(4), range(4, 8), range(8, 10)]):
        shard(tmp_path / f"train-{number:03}.tar", classed(seeds))
    shard(tmp_path / "val-000.tar", classed(range(10, 14)))
    return tmp_path


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "WHOLE_SET_BYTES", 1)


@pytest.mark.parametrize("name", ["", "/{train,val}-{000..002}.tar", "/train-{000..002}.tar"])
def test_a_folder_or_names_with_braces(shards: Path, name: str):
    if "{train" in name:
        for number in (1, 2):
            shard(shards / f"val-{number:03}.tar", [])
    data = load_data(f"webdataset:{shards}{name}")
    held_out = name.startswith("/train")  # no file to test on among these: a fifth of each class
    assert len(data.train) == (8 if held_out else 10)
    assert data.classes == ("0", "1")
    if not held_out:
        assert data.train.labels.tolist() == [0, 1] * 5
        assert all(torch.equal(data.train.images[k], pixels(k)) for k in range(10))
        assert torch.equal(data.test.images[3], pixels(13))
        assert data.note.startswith("images of the shards")


def test_numbers_are_named_by_the_file_beside_them(shards: Path):
    (shards / "classes.txt").write_text("cat\ndog\n")
    assert load_data(f"webdataset:{shards}").classes == ("cat", "dog")
    (shards / "classes.txt").write_text("cat\n")
    with pytest.raises(DataError, match=r"labels from 0 to 1 in \.cls; expected 0 to 0"):
        load_data(f"webdataset:{shards}")
    (shards / "classes.txt").write_text("cat\ncat\n")
    with pytest.raises(DataError, match=r"classes\.txt names a class twice"):
        load_data(f"webdataset:{shards}")


@pytest.mark.parametrize(
    ("make", "classes"),
    [
        (lambda seed: sample(seed, cls=("hen", "cat")[seed % 2]), ("cat", "hen")),
        (lambda seed: sample(seed, json=json.dumps({"label": 1 - seed % 2, "w": 8})), ("0", "1")),
        (lambda seed: sample(seed, json=json.dumps({"class_name": "ba"[seed % 2]})), ("a", "b")),
        (lambda seed: [(f"{'yx'[seed % 2]}/{seed}.png", png(picture(seed)))], ("x", "y")),
        (lambda seed: sample(seed, cls=f"{1 - seed % 2}\n", json="{}", txt="words"), ("0", "1")),
    ],
)
def test_where_the_class_stands(
    tmp_path: Path, make: Callable[[int], Files], classes: tuple[str, ...]
):
    file = shard(tmp_path / "all.tar", [one for seed in range(10) for one in make(seed)])
    data = load_data(f"webdataset:{file}")
    assert data.classes == classes
    rows = [k for k in range(10) if any(torch.equal(x, pixels(k)) for x in data.train.images)]
    assert len(rows) == 8
    assert data.train.labels.tolist() == [1 - k % 2 for k in rows]  # even ones have the later class


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (sample(0, cls="0") + sample(1), r"a\.tar/000001\.png has no \.cls, which other samples"),
        (sample(0), r"a\.tar/000000\.png has neither \.cls nor \.json beside it"),
        (sample(0, cls=" "), r"a\.tar/000000\.png has no class in \.cls"),
        (sample(0, json="[1]"), r"its \.json is no JSON object"),
        (sample(0, json='{"width": 3}'), r"has width in its \.json; expected one of class numbers"),
        (sample(0, cls="0") * 2, r"holds 000000\.png twice"),
        (
            [*sample(0, cls="0"), ("000000.jpg", b"x")],
            r"is a sample of 2 images \(000000\.jpg\); expected one",
        ),
        ([("a.cls", b"0")], "holds no rows"),
        (classed([0, 2]), "has images of one class"),
    ],
)
def test_shards_that_are_refused(tmp_path: Path, files: Files, says: str):
    file = shard(tmp_path / "a.tar", files)
    with pytest.raises(DataError, match=says):
        load_data(f"webdataset:{file}")


HEADER = 512


def tar_of(count: int, path: Path) -> bytes:
    return shard(path, [(f"{k % 2}/{k:02}.txt", b"x") for k in range(count)]).read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda tar: tar[: 6 * 2 * HEADER],  # cut where a header begins
        lambda tar: tar[: 6 * 2 * HEADER + 100],  # and within one
        lambda tar: tar[: 4 * 2 * HEADER] + bytes(HEADER) + tar[4 * 2 * HEADER + HEADER :],
        lambda tar: tar[: 4 * 2 * HEADER] + HEADER * b"\xa5" + tar[4 * 2 * HEADER + HEADER :],
        lambda tar: tar + tar,
    ],
    ids=["cut", "cut within", "zeroed", "overwritten", "two in one"],
)
def test_a_tar_that_is_not_whole_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]):
    file = tmp_path / "a.tar"
    whole = tar_of(10, file)
    assert len(members(file)) == 10
    file.write_bytes(damage(whole))
    with pytest.raises(DataError, match="cut off or damaged at byte"):
        members(file)


def test_links_in_a_tar_are_what_they_name(tmp_path: Path):
    file = tmp_path / "a.tar"
    with tarfile.open(file, "w") as tar:
        for k in range(4):
            data = png(picture(k))
            member = tarfile.TarInfo(f"{k % 2}/{k}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, kind, target in (
            ("1/hard.png", tarfile.LNKTYPE, "0/0.png"),
            ("0/soft.png", tarfile.SYMTYPE, "../1/1.png"),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            tar.addfile(link)
    found = {member.name: member for member in members(file)}
    assert len(found) == 6
    assert found["1/hard.png"].offset == found["0/0.png"].offset
    assert found["0/soft.png"].offset == found["1/1.png"].offset
    data = load_data(f"webdataset:{file}")
    assert len(data.train) + len(data.test) == 6
    with tarfile.open(file, "a") as tar:
        link = tarfile.TarInfo("0/lost.png")
        link.type, link.linkname = tarfile.SYMTYPE, "elsewhere.png"
        tar.addfile(link)
    with pytest.raises(DataError, match=r"0/lost\.png is a link to elsewhere\.png"):
        members(file)


def test_classes_and_braces_of_every_kind(tmp_path: Path):
    assert expand_braces("g-{2..0}.tar") == ["g-2.tar", "g-1.tar", "g-0.tar"]
    with pytest.raises(DataError, match=r"\{0\.\.99999999\} names 100,000,000 files"):
        expand_braces("g-{0..99999999}.tar")
    texts = 2 * ["\ufeff0", 30 * "9", "٣"]
    shard(
        tmp_path / "a.tar",
        [file for seed, text in enumerate(texts) for file in sample(seed, cls=text)],
    )
    data = load_data(f"webdataset:{tmp_path / 'a.tar'}")
    assert sorted(data.classes) == [
        "0",
        30 * "9",
        "٣",
    ]  # names, since not all are numbers
    shard(tmp_path / "b.tar", classed(range(4)))
    (tmp_path / "classes.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match=r"classes\.txt is not UTF-8"):
        load_data(f"webdataset:{tmp_path / 'b.tar'}")


def test_files_that_are_no_shards(shards: Path):
    with pytest.raises(DataError, match=r"2 of the 5 files .*train-003\.tar; expected all"):
        load_data(f"webdataset:{shards}/train-{{000..004}}.tar")
    with pytest.raises(DataError, match="is neither a folder nor a file"):
        load_data(f"webdataset:{shards}/none")
    packed = shard(shards / "zip" / "a.tar", classed(range(4)), mode="w:gz")
    with pytest.raises(DataError, match=r"cannot be read as a tar file: .*not compressed"):
        load_data(f"webdataset:{packed}")
    whole = (shards / "train-000.tar").read_bytes()
    (shards / "train-000.tar").write_bytes(whole[:1600])
    with pytest.raises(DataError, match=r"train-000\.tar cannot be read as a tar file"):
        load_data(f"webdataset:{shards}")


def test_what_is_left_out_is_told(shards: Path):
    more = [("lone.cls", b"1"), ("._000009.png", b"junk"), ("__MACOSX/x.png", b"junk")]
    shard(shards / "train-003.tar", [*more, *sample(20, cls="0", mask=".")])
    data = load_data(f"webdataset:{shards}")
    assert len(data.train) == 11
    assert "1 sample(s) without an image, such as train-003.tar/lone.cls" in data.summary


@pytest.mark.usefixtures("tight")
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_each_image_is_read_by_its_place_and_resumed_bit_by_bit(shards: Path):
    data = load_data(f"webdataset:{shards}", image_size=8)
    assert isinstance(data.train, LazyImages)
    data.train.workers = 2
    batches = Batches(data.train, batch_size=4, device="cpu", augment=None, shuffle=True)
    first, again = (
        [x for x, _ in batches.epoch(torch.Generator().manual_seed(1))] for _ in range(2)
    )
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    wanted = torch.stack([pixels(k) for k in order.tolist()]) / 255
    assert torch.equal(torch.cat(first), wanted)
    assert torch.equal(torch.cat(again), wanted)


@pytest.mark.usefixtures("tight")
def test_two_processes_read_their_own_parts_alone(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two real processes, each of which writes down what it read from the shards."""
    read = TarImages.__getitem__
    seen: list[int] = []

    def noted(self: TarImages, row: int) -> bytes:
        seen.append(row)
        return read(self, row)

    monkeypatch.setattr(TarImages, "__getitem__", noted)
    epochs = read_by_two(
        lambda rank: load_data(f"webdataset:{shards}", image_size=8), seen, tmp_path
    )
    for parts in epochs:
        assert [len(part) for part in parts] == [5, 5]
        assert sorted(parts[0] + parts[1]) == [*range(10)]


@pytest.mark.usefixtures("tight")
def test_what_the_data_are(shards: Path, tmp_path: Path):
    """Names, sizes and some content of the images, wherever the shards lie."""

    def load(where: Path) -> Dataset:
        return load_data(f"webdataset:{where}", image_size=8)

    noted = [(name, data + b"a note") for name, data in classed(range(4, 8)) if name[-1] == "g"]
    more = [(name, data) for name, data in classed(range(4, 8)) if name[-1] != "g"]
    shard(shards / "train-001.tar", [*noted, *more])
    before = data_identity(load(shards))
    assert before.parts["train"].by == LISTING
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in shards.glob("*.tar"):
        file.rename(moved / file.name)
    assert data_identity(load(moved)).digest == before.digest
    file = moved / "train-001.tar"
    data = bytearray(file.read_bytes())
    data[data.index(b"a note")] ^= 1  # the same name and size, and pixels that can be read
    file.write_bytes(data)
    after = data_identity(load(moved))
    assert differences(before, after) == [
        "train: class '0' has other images, or the same in another order"
    ]


def test_shards_that_change_while_they_are_in_use(tmp_path: Path):
    data = png(picture(0))
    file = shard(tmp_path / "a.tar", [("a.png", data)])
    images = TarImages([file], np.array([[0, 512, len(data)]]))
    assert images[0] == data
    file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(UnreadableImageError, match=r"a\.tar ends before it"):
        _ = images[0]
    file.unlink()
    with pytest.raises(UnreadableImageError, match=r"No such file or directory: .*a\.tar"):
        _ = images[0]
