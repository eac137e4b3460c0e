"""CIFAR-10 and CIFAR-100, from the archives of their authors."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.sets import ImageSet
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.arrays import cut_and_resized
from mixwright.lab.data.sources.download import cache_folder, need_file
from mixwright.lab.data.sources.pickles import load_arrays


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One of the two archives ("python version"), and the files in its folder."""

    url: str
    sha256: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str  # the file with the names of the classes
    labels: bytes  # key of the labels in train and test files
    names: bytes  # key of the names in the meta file

    @property
    def file_name(self) -> str:
        """The archive's own name."""
        return self.url.rpartition("/")[2]


ARCHIVES: dict[str, Archive] = {
    "cifar10": Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        folder="cifar-10-batches-py",
        train=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test=("test_batch",),
        meta="batches.meta",
        labels=b"labels",
        names=b"label_names",
    ),
    "cifar100": Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        folder="cifar-100-python",
        train=("train",),
        test=("test",),
        meta="meta",
        labels=b"fine_labels",
        names=b"fine_label_names",
    ),
}

_FRESH = "Place a fresh copy of the archive."


def load_cifar(request: Request) -> Source:
    """Return CIFAR-10 or CIFAR-100 in the authors' split, downloaded if need be.

    The folder of the request may hold the archive or what it unpacks to; the archive is read as
    it is and never unpacked.
    """
    archive = ARCHIVES[request.kind]
    files = _read_files(archive, request)
    classes = tuple(_text(name) for name in files[archive.meta][archive.names])
    train = _images(archive, [files[name] for name in archive.train], classes=len(classes))
    test = _images(archive, [files[name] for name in archive.test], classes=len(classes))
    train, test, part = cut_and_resized(train, test, request)
    return Source(
        train=train,
        test=test,
        classes=classes,
        note=f"CIFAR-{len(classes)} (Krizhevsky, 2009), the authors' split{part}",
    )


def _read_files(archive: Archive, request: Request) -> dict[str, dict[bytes, Any]]:
    """Return the unpickled files by their names, from the folder or the archive."""
    home = request.data_dir or cache_folder()
    wanted = (*archive.train, *archive.test, archive.meta)
    for folder in (home / archive.folder, home):
        if all((folder / name).is_file() for name in wanted):
            return {
                name: load_arrays((folder / name).read_bytes(), name=str(folder / name))
                for name in wanted
            }
    path = home if home.is_file() else home / archive.file_name
    missing = (
        f"neither {home / archive.folder} nor {path} is there. Place the archive from "
        f"{archive.url} in that folder, name another (--data-dir), or allow the download."
    )
    need_file(path, url=archive.url, sha256=archive.sha256, request=request, missing=missing)
    return _unpacked(path, archive.folder, wanted)


def _unpacked(path: Path, folder: str, wanted: tuple[str, ...]) -> dict[str, dict[bytes, Any]]:
    found: dict[str, dict[bytes, Any]] = {}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:  # in the archive's order: going back means decompressing again
                name = member.name.removeprefix("./").removeprefix(f"{folder}/")
                if name in wanted and (content := tar.extractfile(member)) is not None:
                    found[name] = load_arrays(content.read(), name=f"{path}: {member.name}")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(
            f"{path} cannot be read: {error}. Remove it, and place a fresh copy."
        ) from error
    if missing := [name for name in wanted if name not in found]:
        raise DataError(
            f"{path} lacks {', '.join(missing)}; expected them in its folder {folder}. Remove it, "
            "and place a fresh copy."
        )
    return found


def _images(archive: Archive, files: list[dict[bytes, Any]], *, classes: int) -> ImageSet:
    import numpy as np

    images: list[Tensor] = []
    labels: list[Tensor] = []
    for file in files:
        try:
            pixels = np.asarray(file[b"data"])
            classes_of = np.asarray(file[archive.labels], dtype=np.int64)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"a file of {archive.folder} lacks {error}. {_FRESH}") from error
        if pixels.shape != (len(classes_of), 3072) or pixels.dtype != np.uint8:
            raise DataError(
                f"a file of {archive.folder} has {len(classes_of)} labels and images of "
                f"shape {pixels.shape} and dtype {pixels.dtype}; expected (count, 3072) of uint8. "
                f"{_FRESH}"
            )
        if len(classes_of) and not 0 <= classes_of.min() <= classes_of.max() < classes:
            raise DataError(
                f"a file of {archive.folder} has labels from {classes_of.min()} to "
                f"{classes_of.max()}; expected 0 to {classes - 1}. {_FRESH}"
            )
        images.append(torch.from_numpy(pixels.reshape(-1, 3, 32, 32).copy()))
        labels.append(torch.from_numpy(classes_of))
    return ImageSet(torch.cat(images), torch.cat(labels))


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
