"""How much memory may still be taken here, by the machine and by the groups it runs us in."""

from __future__ import annotations

from pathlib import Path

_KIB = 1024
# Version 2 of control groups has one tree, version 1 one for each controller.
_FILES = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def free_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that can be taken before something is ended; None where nobody says.

    That is what Linux calls available, or less where a control group allows less: a container, a
    job of SLURM. Cached files do not count as taken. ``root`` is where the system's files lie.
    """
    known = [_available(root / "proc/meminfo"), *_groups(root)]
    return min((room for room in known if room is not None), default=None)


def _available(file: Path) -> int | None:
    return next((size * _KIB for name, size in _table(file) if name == "MemAvailable:"), None)


def _groups(root: Path) -> list[int]:
    """What is left in each control group that this process is in, and in those around them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    rooms: list[int] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller, limit, usage, cached in _FILES:
            if controller not in controllers.split(","):
                continue
            top = root / "sys/fs/cgroup" / controller
            group = top / path.strip("/")
            # Inside a container the path may be one of the host's, which is not there.
            for place in (group, *group.parents):
                room = _room(place, limit, usage, cached)
                rooms += [] if room is None else [room]
                if place == top:
                    break
    return rooms


def _room(group: Path, limit: str, usage: str, cached: str) -> int | None:
    try:
        most, taken = (int((group / name).read_text()) for name in (limit, usage))
    except (OSError, ValueError):  # not there, or "max"
        return None
    files = next((size for name, size in _table(group / "memory.stat") if name == cached), 0)
    return max(0, most - taken + files)


def _table(file: Path) -> list[tuple[str, int]]:
    """The names and numbers at the start of the lines of a file."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines]
    return [(words[0], int(words[1])) for words in fields if len(words) > 1 and words[1].isdigit()]
