"""Data sets that their authors give as a folder of files: found, unpacked or fetched."""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from mixwright.files import DiskFullError, write_errors
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.source import Request
from mixwright.lab.data.sources.download import cache_folder, need_file


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What is known of such a set before it is read.

    Args:
        name: on the command line.
        title: with authors and year.
        marker: a path in ``folder`` by which it is known.
        published: images to train and to test on.
        page: where people get it.
        url: of the archive that may be fetched, with its ``sha256``; empty where there is none.
    """

    name: str
    title: str
    folder: str
    marker: str
    published: tuple[int, int]
    page: str
    url: str = ""
    sha256: str = ""

    @property
    def archive(self) -> str:
        """File name of the archive."""
        return self.url.partition("?")[0].rpartition("/")[2]


def find_tree(tree: Tree, request: Request) -> Path:
    """Return the folder in which a set's marker lies; its archive is unpacked or fetched first.

    The request's ``data_dir`` is the folder, the one that holds it, or the archive.
    """
    given = request.data_dir or cache_folder()
    home = given.parent if given.is_file() else given
    for root in (home, home / tree.folder):
        if (root / tree.marker).exists():
            return root
    where = f"{tree.name}: neither {home} nor {home / tree.folder} holds {tree.marker}."
    if not tree.url:
        raise DataError(
            f"{where} Get the data from {tree.page}, unpack them, and name their folder with "
            "data_dir (--data-dir)."
        )
    archive = given if given.is_file() else home / tree.archive
    missing = (
        f"{where} Place the archive from {tree.url} there, name another folder with data_dir "
        "(--data-dir), or allow the download."
    )
    need_file(archive, url=tree.url, sha256=tree.sha256, request=request, missing=missing)
    request.say(f"Unpacking {archive}.")
    return _unpacked(archive, tree)


def _unpacked(archive: Path, tree: Tree) -> Path:
    """Unpack into a folder that appears whole or not at all."""
    target = archive.parent / tree.folder
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=f".{tree.folder}.") as inside:
        try:
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as packed, write_errors(target):
                    packed.extractall(inside)
            else:
                with tarfile.open(archive) as packed, write_errors(target):
                    packed.extractall(inside, filter="data")
        except DiskFullError as error:
            raise DataError(
                f"{archive} cannot be unpacked: {error}. Make room, then run again."
            ) from error
        except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
            raise DataError(
                f"{archive} cannot be unpacked: {error}. Remove it, and place a fresh copy."
            ) from error
        if not (Path(inside) / tree.folder / tree.marker).exists():
            raise DataError(
                f"{archive} lacks {tree.folder}/{tree.marker}; expected the authors' archive. "
                "Remove it, and place a fresh copy."
            )
        try:
            (Path(inside) / tree.folder).rename(target)
        except OSError:  # another process was faster
            if not (target / tree.marker).exists():
                raise
    return target
