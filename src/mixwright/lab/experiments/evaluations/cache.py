"""What evaluations have found, kept in a folder: each part once, its pieces as they come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mixwright.files import read_json, write_json
from mixwright.lab.analysis.store import read_arrays, write_arrays
from mixwright.lab.evaluation.subject import Measurement

Arrays = Mapping[str, Tensor]


class FolderCache:
    """Arrays in ``.npz`` files of one evaluation's folder, or of one that all of a model share."""

    def __init__(self, folder: Path, shared: Path) -> None:
        self.folder, self.shared = folder, shared

    def get_or_compute(
        self, key: str, make: Callable[[], Arrays], *, shared: bool = False
    ) -> Arrays:
        """Read what was kept, or make and keep it; a file that cannot be read is made anew."""
        file = (self.shared if shared else self.folder) / f"{key}.npz"
        kept = read_arrays(file)
        if kept is None:
            kept = dict(make())
            write_arrays(file, kept)
        return kept

    def kept(self, key: str) -> Arrays | None:
        """Read what was kept; None where there is nothing, or what cannot be read."""
        return read_arrays(self.folder / f"{key}.npz")


def write_found(folder: Path, found: Measurement, identity: Mapping[str, Any]) -> None:
    """Keep what a part found, and of what: the same identity finds it again."""
    write_arrays(folder / "arrays.npz", found.arrays)
    # Last: its presence says that the part is whole.
    write_json(folder / "found.json", {"identity": dict(identity), "summary": found.summary})


def read_found(folder: Path, identity: Mapping[str, Any]) -> Measurement | None:
    """What was found of the same thing before, or None."""
    try:
        kept = read_json(folder / "found.json")
    except (OSError, ValueError):
        return None
    arrays = read_arrays(folder / "arrays.npz")
    if not isinstance(kept, dict) or kept.get("identity") != dict(identity) or arrays is None:
        return None
    return Measurement(summary=kept["summary"], arrays=arrays)
