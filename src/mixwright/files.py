"""Files written whole or not at all, files of one process alone, and values as JSON knows them."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import math
import os
import re
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar
from weakref import WeakSet

_File = TypeVar("_File", bound=IO[Any])

_LOG = logging.getLogger(__name__)


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file that is there completely or not at all, even after a loss of power.

    Its folder exists. If ``write``, which is given the open file, or the disk fails with an
    OSError, an older file of this name is untouched.

    Raises:
        DiskFullError: there is no space left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with write_errors(path):
            with temporary.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


_UNFINISHED = re.compile(r"\..+\.\d+\.tmp")  # the temporary files of ``write_whole``


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes had begun to write in a folder whose lock is held.

    Folders inside that have a lock of their own are left to those who hold it.
    """
    for place, folders, files in os.walk(folder):
        # Looked for behind the listing: whoever writes here has made the lock before.
        if place != str(folder) and Path(place, LOCK).exists():
            folders.clear()
            continue
        for name in filter(_UNFINISHED.fullmatch, files):
            with contextlib.suppress(OSError):
                Path(place, name).unlink()


LOCK = ".lock"
"""Name of the file whose lock belongs to the process that works in a folder."""


def locked(path: Path, *, wait: bool = False) -> IO[bytes] | None:
    """Open a file and hold its lock until it is closed, or this process ends in whatever way.

    The system frees the lock of a process that was killed, on a network file system (NFS version 4
    and others that pass ``flock`` on) also that of another machine. ``wait`` waits for a lock that
    is held. None where the system or the file system has no locks.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be opened.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    with write_errors(path):
        file = kept_from_children(path.open("ab"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    except OSError:
        file.close()
        _LOG.warning(
            "%s: the file system has no locks, so nothing keeps two processes from working there "
            "at a time.", path.parent,
        )  # fmt: skip
        return None
    except BaseException:
        file.close()
        raise
    return file


def is_locked(path: Path) -> bool:
    """Whether another process holds a file's lock; not where there is no such file, or no locks."""
    try:
        import fcntl

        with path.open("rb") as file:  # shared: two that only look do not see each other
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return False
    return False


def append_line(path: Path, line: str) -> None:
    """Add a line to a file; it has reached the disk when this returns."""
    new = not path.exists()
    with write_errors(path), path.open("ab") as file:
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if new:
        _sync_folder(path.parent)


class DiskFullError(OSError):
    """No space is left in a folder, on its disk or in the user's share of it."""

    def __init__(self, number: int | None, folder: Path) -> None:
        super().__init__(number, f"no space left on {folder}")

    def __str__(self) -> str:
        return str(self.strerror)


_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows knows no quota


@contextlib.contextmanager
def write_errors(path: Path) -> Generator[None]:
    """Raise the first cause of an error in the lines inside, which write a file.

    Where no space is left it is a ``DiskFullError``.

    A library that tidies up after an interruption or a full disk may raise an error of its own on
    top: torch's zip writer a RuntimeError about positions in the file.
    """
    outer = sys.exception()  # what was being handled before is no cause
    try:
        yield
    except Exception as error:
        chain: list[BaseException] = []
        link: BaseException | None = error
        while link is not None and link is not outer and link not in chain:
            chain.append(link)
            link = link.__context__
        stops = [cause for cause in chain if not isinstance(cause, Exception)]
        system = [cause for cause in chain if isinstance(cause, OSError)]
        cause = next(iter([*stops, *system]), error)
        if isinstance(cause, OSError) and cause.errno in _FULL:
            raise DiskFullError(cause.errno, path.parent) from cause
        if cause is not error:
            raise cause from None
        raise


def _sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk, where the system can."""
    with contextlib.suppress(OSError, AttributeError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


_NOT_FOR_CHILDREN: WeakSet[IO[Any]] = WeakSet()


def kept_from_children(file: _File) -> _File:
    """Let an open file end with this process: children that are forked do not hold it.

    A data loader's children outlive a process that is killed, by seconds or more, and would hold
    its locks and its pipes.
    """
    _NOT_FOR_CHILDREN.add(file)
    return file


def _let_go() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for file in _NOT_FOR_CHILDREN:
        if not file.closed:  # replaced, since closing might wait for another thread's lock
            os.dup2(null, file.fileno(), inheritable=False)
    os.close(null)


if hasattr(os, "register_at_fork"):  # nothing forks on Windows
    os.register_at_fork(after_in_child=_let_go)


def plain(value: Any) -> Any:
    """Turn a value into what JSON can say: it knows no NaN or infinity, they become null.

    Keys and paths become text, tuples lists.

    Example:
        >>> plain({1: (0.5, float("nan")), "where": Path("runs")})
        {'1': [0.5, None], 'where': 'runs'}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> Any:
    """Read a file of JSON, by ``parse_json``; an OSError says why it cannot be opened."""
    return parse_json(path.read_bytes())


_DEEPEST = 100  # levels; our own records have some ten


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says.

    Raises:
        ValueError: it is neither UTF-8 nor JSON, has a number of more digits than Python reads, or
            is nested so deep that nothing could be done with it.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    level, depth = [value], 0
    while level:
        if depth > _DEEPEST:
            raise ValueError(f"it is nested deeper than {_DEEPEST} levels")
        level = [item for one in level for item in _items(one)]
        depth += 1
    return value


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def write_json(path: Path, value: Any) -> None:
    """Write a record as JSON, by ``plain`` and ``write_whole``.

    Surrogates, which stand for bytes of file names that are no UTF-8, become JSON's escapes, which
    are read as they were.
    """
    text = json.dumps(plain(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_whole(path, lambda file: file.write(text.encode(errors="backslashreplace")))
