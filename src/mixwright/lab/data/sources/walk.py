"""Files below a folder: each real folder once, regular files only."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_JUNK = frozenset(
    (
        *("__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "System Volume Information"),
        *("lost+found", "Thumbs.db", "ehthumbs.db", "desktop.ini"),
    )
)
"""What systems and archivers leave behind; passed over as hidden files are."""


def hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or left behind by a system or an archiver."""
    return name[0] == "." or name in _JUNK


def readable(path: str | Path) -> str:
    """Return a path as text that can be written down, whatever bytes the system gave it.

    Example:
        >>> import os
        >>> readable(os.fsdecode(b"caf\\xe9"))
        'caf\\\\xe9'
    """
    return os.fsencode(path).decode(errors="backslashreplace")


def path_below(root: Path, path: str) -> str:
    """Return the text of a path below a folder, which it begins with."""
    return path if str(root) == "." else path[len(os.path.join(root, "")) :]


@dataclass
class Visited:
    """Real folders that were looked into, however they are linked, and what was passed over.

    ``special`` are pipes, sockets and devices, ``links`` are links to folders that are read
    elsewhere.
    """

    folders: dict[tuple[int, int], Path] = field(default_factory=dict)
    special: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)

    def enter(self, folder: Path) -> Path | None:
        """Note a folder; return the path by which it is known already, None where it is new."""
        stat = folder.stat()
        known = self.folders.setdefault((stat.st_dev, stat.st_ino), folder)
        return None if known is folder else known


def files_below(folder: Path, visited: Visited) -> list[str]:
    """Return every file below a folder, in one order on every machine; hidden ones left out.

    The folder itself is noted in ``visited`` by the caller. A link to nothing counts as a file:
    where it is read, the error names it.
    """
    found: list[str] = []  # a million paths as text: objects would take several times as long
    waiting = [folder]
    while waiting:
        parent = waiting.pop()
        below: list[Path] = []
        with os.scandir(parent) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if hidden(entry.name):
                    continue
                if is_folder(entry):
                    below.append(Path(entry.path))
                elif _is_file(entry):
                    found.append(entry.path)
                else:
                    visited.special.append(Path(entry.path))
        # Entered before any of them is read: a link below one never hides the next.
        new = []
        for path in below:
            if visited.enter(path) is None:
                new.append(path)
            else:
                visited.links.append(path)
        waiting += reversed(new)
    return found


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a regular file, or a link to one or to nothing."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError:
        return True


def ending(path: str) -> str:
    """Return how a file's name ends, with the dot, in lower case."""
    return os.path.splitext(path)[1].lower()


def endings(paths: list[str]) -> str:
    """Return how many files have each ending, the most frequent first.

    Example:
        >>> endings(["a.svg", "b.txt", "c.TXT", "README"])
        '2 .txt, 1 .svg, 1 without ending'
    """
    counts = Counter(map(ending, paths)).most_common()
    listed = [f"{count:,} {readable(suffix) or 'without ending'}" for suffix, count in counts[:4]]
    return ", ".join(listed) + (", ..." if len(counts) > 4 else "")
