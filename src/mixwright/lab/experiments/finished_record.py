"""Whether the record and page of a finished comparison are still those of what lies in its folder.

The same command again would read the same files and, after many seconds of statistics and drawing,
write the same record and page. So a comparison keeps digests of all that went into them and of what
came out, and shows what is stored while none of these differs. torch is not imported here: that
alone takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mixwright.files import LOCK, read_json, write_json
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.names import parse_data
from mixwright.lab.data.sources.download import cache_folder
from mixwright.lab.settings import decode

FILE = "comparison.inputs.json"

_MOST = 20_000  # files of data whose sizes and times are looked up, in a fraction of a second
_ONLY_STAT = (".pt",)  # checkpoints: too large to be read, and looked at by few pages


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a record and page were made of, and what they are.

    Args:
        request: digest of the command and of every option, those of files and recipes too.
        code: digest of the files of this package, by their sizes and times.
        found: digest of where the data lie, by sizes and times of the files; empty where those are
            too many or not known.
        data: digest of the data by content.
        runs: folders of the runs, relative to the comparison's.
        files: digest of the folder's own files, figures and the runs' files.
        page: name of the page.
        heading: what was said before the table.
    """

    request: str
    code: str
    found: str
    data: str
    runs: tuple[str, ...]
    files: str
    page: str
    heading: str


def request_digest(command: str, options: Any) -> str:
    """Return a digest of a command and the dataclass of its options."""
    return _digest([json.dumps([command, asdict(options)], sort_keys=True, default=str).encode()])


def note_inputs(
    out: Path,
    *,
    request: str,
    data_name: str,
    data_dir: str | None,
    data: str,
    runs: Sequence[Path],
    page: Path,
    heading: str,
) -> None:
    """Keep beside a record and page, just written, what they were made of.

    ``data`` is the digest of the data by content, ``runs`` are the folders of the runs.
    """
    names = tuple(run.relative_to(out).as_posix() for run in runs)
    inputs = Inputs(
        request=request,
        code=_code(),
        found=_data_files(data_name, data_dir),
        data=data,
        runs=names,
        files=_files(out, names),
        page=page.name,
        heading=heading,
    )
    write_json(out / FILE, asdict(inputs))


def unchanged(
    out: Path, *, request: str, data_name: str, data_dir: str | None, data: str | None = None
) -> Inputs | None:
    """Return what the record and page in a folder were made of, if they would be made alike now.

    ``data`` is the digest of the data by content, where it is known; without it, where they lie
    and the sizes and times of their files count. None where something differs, is damaged or
    missing, or where nothing is known.
    """
    try:
        there = decode(Inputs, read_json(out / FILE), where=FILE)
    except (OSError, ValueError):
        return None
    if (there.request, there.code) != (request, _code()):
        return None
    if data is not None:
        if there.data != data:
            return None
    elif not there.found or there.found != _data_files(data_name, data_dir):
        return None
    try:
        return there if there.files == _files(out, there.runs) else None
    except OSError:
        return None


def _code() -> str:
    """A new version may decide or draw otherwise."""
    import mixwright

    files = (
        file
        for file in _tree(Path(str(mixwright.__file__)).parent)
        if "__pycache__" not in file.parts
    )
    return _digest(_stats(files))


def _data_files(name: str, data_dir: str | None) -> str:
    """A digest of the files of data by sizes and times; empty where they are too many."""
    try:
        kind, path = parse_data(name)
        if kind == "digits":  # among the files of this package
            return "digits"
        if kind == "hub" or "root=" in path:
            return ""
        lie_there = kind in ("folder", "csv", "parquet", "webdataset")
        places = [path, path.rpartition(":")[0]] if lie_there else []
        own = [place for place in (Path(some).expanduser() for some in places if some)
               if place.exists()]  # fmt: skip
        if places and not own:
            return ""
        where = own[0] if own else Path(data_dir).expanduser() if data_dir else cache_folder()
        where = where.parent if kind == "csv" else where  # of the images that it names
        files = [where] if where.is_file() else _few(_tree(where))
        return "" if files is None else _digest(_stats(files))
    except (OSError, RuntimeError, DataError):
        return ""


def _files(out: Path, runs: Iterable[str]) -> str:
    own = [file for file in sorted(out.iterdir()) if file.is_file()]
    kept = [file for file in own if file.name not in (FILE, LOCK)]
    figures = out / "figures"
    kept += sorted(figures.iterdir()) if figures.is_dir() else []
    for run in runs:
        kept += [file for file in _tree(out / run) if file.name != LOCK]
    parts: list[bytes] = []
    for file in kept:
        parts.append(file.relative_to(out).as_posix().encode(errors="surrogateescape"))
        read = file.suffix not in _ONLY_STAT
        parts += [file.read_bytes()] if read else list(_stats([file]))
    return _digest(parts)


def _tree(folder: Path) -> Iterator[Path]:
    """All files below a folder, sorted within each."""
    for place, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(files):
            yield Path(place, name)


def _few(files: Iterator[Path]) -> list[Path] | None:
    """The files, or None where they are more than ``_MOST``."""
    found: list[Path] = []
    for file in files:
        found.append(file)
        if len(found) > _MOST:
            return None
    return found


def _stats(files: Iterable[Path]) -> Iterator[bytes]:
    for file in files:
        stat = file.stat()
        yield f"{file} {stat.st_size} {stat.st_mtime_ns}".encode(errors="surrogateescape")


def _digest(parts: Iterable[bytes]) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for part in parts:
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.hexdigest()
