"""Paths of many files, small in memory and cheap to make."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from mixwright.lab.data.decode import Encoded


class Files(Sequence[Encoded]):
    """Files, of each of which a ``Path`` is made when it is wanted.

    All paths lie in one block of bytes. A million objects would take some hundred megabytes, and
    again in every worker: to look at an object is to write to its count of references, which copies
    the memory that a forked process shares.

    Example:
        >>> files = Files.of(["cats/1.jpg", "dogs/2.jpg"])
        >>> len(files), files.select([1])[0].as_posix()
        (2, 'dogs/2.jpg')
    """

    def __init__(self, block: bytes, ends: Any) -> None:
        self._block = block
        self._ends = ends  # (M, 2) int64: where each path begins and ends

    @classmethod
    def of(cls, paths: Sequence[str]) -> Files:
        """Return the files of some paths."""
        import numpy as np

        encoded = [os.fsencode(path) for path in paths]
        after = np.cumsum([len(path) for path in encoded], dtype=np.int64)
        before = np.concatenate([np.zeros(1, np.int64), after])[: len(encoded)]
        return cls(b"".join(encoded), np.stack([before, after], axis=1))

    def __len__(self) -> int:
        """Number of files."""
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Files: ...
    def __getitem__(self, index: int | slice) -> Path | Files:
        """Return one of the files, or some."""
        if isinstance(index, slice):
            return Files(self._block, self._ends[index])
        return Path(self._text(index))

    def select(self, rows: Sequence[int]) -> Files:
        """Return some of the files."""
        import numpy as np

        return Files(self._block, self._ends[np.asarray(rows, np.int64)])

    def listing(self) -> Iterator[tuple[int, int]]:
        """Yield the size of each file in bytes, and when it was changed, in nanoseconds."""
        for row in range(len(self)):
            facts = os.stat(self._text(row))
            yield facts.st_size, facts.st_mtime_ns

    def _text(self, row: int) -> str:
        first, last = self._ends[row].tolist()
        return os.fsdecode(self._block[first:last])
