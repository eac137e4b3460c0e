"""Images in tar files, each read by its place: in any order, by any process, none twice."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from mixwright.lab.data.decode import Encoded, UnreadableImageError
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.sources.walk import hidden

_MOST_LINKS = 40  # one behind the other, as Linux follows them


@dataclass(frozen=True)
class Member:
    """A file in a tar: its name, where its content begins and how long it is, in bytes."""

    name: str
    offset: int
    size: int


def members(shard: Path) -> list[Member]:
    """Return the files in a tar, without hidden ones, in their order; a link is what it names.

    Raises:
        DataError: it cannot be read, is not whole, or is compressed, so that nothing in it has a
            place.
    """
    try:
        with tarfile.open(shard, "r:") as tar:
            found = [
                Member(member.name, file.offset_data, file.size)
                for member in tar
                if not any(map(hidden, Path(member.name).parts))
                and (file := _file(tar, member, shard)) is not None
            ]
            _check_end(shard, tar.offset)
            return found
    except (tarfile.TarError, EOFError) as error:
        raise DataError(
            f"{shard} cannot be read as a tar file: {error}; expected one that is whole and not "
            "compressed. Place a fresh copy, or unpack it with gunzip or the like."
        ) from error


def _file(tar: tarfile.TarFile, member: tarfile.TarInfo, shard: Path) -> tarfile.TarInfo | None:
    """Give the regular file that a member is or, as a link, names; None for folders and the like.

    Raises:
        DataError: a link names nothing in this tar.
    """
    steps = 0
    while member.issym() or member.islnk():
        name = member.linkname
        if member.issym():
            name = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), name))
        steps += 1
        try:
            found = tar.getmember(name)
        except KeyError:
            found = None
        if found is None or steps > _MOST_LINKS:
            raise DataError(
                f"{shard}: {member.name} is a link to {member.linkname}, which is not in this tar; "
                "expected what it shows. Pack the files with tar --dereference --hard-dereference."
            )
        member = found
    return member if member.isreg() else None


def _check_end(shard: Path, offset: int) -> None:
    """Refuse a tar that does not end where its last file does: the reader stops at a bad header.

    Raises:
        DataError: behind the last file come not two empty blocks, or more than empty blocks.
    """
    with shard.open("rb") as file:
        file.seek(offset)
        end = file.read(2 * tarfile.BLOCKSIZE)
        rest = any(any(block) for block in iter(lambda: file.read(2**20), b""))
    if len(end) < 2 * tarfile.BLOCKSIZE or any(end) or rest:
        raise DataError(
            f"{shard} is cut off or damaged at byte {offset:,}, behind the last file that can be "
            "read; expected a tar that is whole, alone in its file. Place a fresh copy."
        )


class TarImages(Sequence[Encoded]):
    """Images that stay in their tar files until they are wanted.

    Args:
        shards: the tar files.
        places: ``(M, 3)`` int64: which of them, offset and size in bytes.
    """

    def __init__(self, shards: Sequence[Path], places: Any) -> None:
        self._shards = shards
        self._places = places

    def __len__(self) -> int:
        """Number of images."""
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> TarImages: ...
    def __getitem__(self, index: int | slice) -> bytes | TarImages:
        """Return what is in an image's file."""
        if isinstance(index, slice):
            return TarImages(self._shards, self._places[index])
        shard, offset, size = self._places[index].tolist()
        try:
            with self._shards[shard].open("rb", buffering=0) as file:
                file.seek(offset)
                found = file.read(size)
        except OSError as error:
            raise UnreadableImageError(f"{error.strerror}: {self._shards[shard]}") from error
        if len(found) < size:
            raise UnreadableImageError(f"{self._shards[shard]} ends before it")
        return found

    def select(self, rows: Sequence[int]) -> TarImages:
        """Return some of the images."""
        return TarImages(self._shards, self._places[list(rows)])

    def listing(self) -> Iterator[tuple[int, int]]:
        """Yield the size of each image, and when its tar was changed, in nanoseconds."""
        times = [shard.stat().st_mtime_ns for shard in self._shards]
        for shard, _, size in self._places.tolist():
            yield size, times[shard]
