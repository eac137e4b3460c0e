"""The METHOD ``trained:run=PATH``: a mixer that a run has learned."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from pathlib import Path

from mixwright.mixers.learned import LearnedMixer, load_mixer
from mixwright.mixers.mixer_file import mixer_path
from mixwright.objectives.objective import Objective


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What ``trained:run=PATH`` means as a METHOD: the mixer that a run has learned, frozen.

    A recipe, and so its hash, holds the path alone: training another generator into the same
    folder changes what is run, and not what it is called.

    Args:
        run: a run folder, a checkpoint, or a file that ``save_mixer`` wrote, as ``load_mixer``
            takes it; ``~`` is the home folder.
    """

    run: Path

    def load(self, *, trust: bool = False) -> LearnedMixer:
        """Return the mixer as ``load_mixer`` does, a fresh copy; an unchanged file is read once."""
        file = mixer_path(self.run.expanduser())
        about = file.stat()
        stamp = about.st_mtime_ns, about.st_size
        return copy.deepcopy(_read_once(str(file.resolve()), trust, *stamp))


@functools.lru_cache(maxsize=2)
def _read_once(file: str, trust: bool, *stamp: int) -> LearnedMixer:
    del stamp  # tells a file from one that was there before it
    return load_mixer(file, trust=trust)


def learns_mixer(cls: type) -> bool:
    """Whether an objective's class gives a mixer that it has learned."""
    return getattr(cls, "trained_mixer", None) is not Objective.trained_mixer
