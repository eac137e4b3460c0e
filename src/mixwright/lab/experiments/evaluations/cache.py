"""What evaluations have found, kept in a folder: each part once, its pieces as they come."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixwright.files import write_json, write_whole
from mixwright.lab.evaluation.subject import Measurement

Arrays = Mapping[str, Tensor]


class FolderCache:
    """Arrays in ``.npz`` files of one folder, under the keys they were made for.

    Args:
        folder: of one evaluation with its options; made when the first arrays are kept.
        shared: of what all evaluations of a model and its images take.
    """

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


def write_arrays(file: Path, arrays: Arrays) -> None:
    """Write tensors to an ``.npz`` file, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    stored: dict[str, Any] = {name: one.cpu().numpy() for name, one in arrays.items()}
    write_whole(file, lambda stream: np.savez_compressed(stream, **stored))


def read_arrays(file: Path) -> dict[str, Tensor] | None:
    """Read what ``write_arrays`` wrote; None where there is no whole file."""
    try:  # opened by us: numpy leaves a damaged file open
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return {name: torch.from_numpy(stored[name]) for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None


def write_found(folder: Path, found: Measurement, identity: Mapping[str, Any]) -> None:
    """Keep what a part found, and of what.

    Args:
        folder: of the part; made.
        found: what it found.
        identity: everything that decides the numbers; the same one finds them again.
    """
    write_arrays(folder / "arrays.npz", found.arrays)
    # Last: its presence says that the part is whole.
    write_json(folder / "found.json", {"identity": dict(identity), "summary": found.summary})


def read_found(folder: Path, identity: Mapping[str, Any]) -> Measurement | None:
    """What was found of the same thing before, or None."""
    try:
        kept = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    arrays = read_arrays(folder / "arrays.npz")
    if not isinstance(kept, dict) or kept.get("identity") != dict(identity) or arrays is None:
        return None
    return Measurement(summary=kept["summary"], arrays=arrays)
