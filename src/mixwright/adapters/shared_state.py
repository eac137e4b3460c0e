"""What a ``Mix`` tells loader workers that already run: a few numbers in shared memory."""

from __future__ import annotations

import ctypes
from multiprocessing.context import get_spawning_popen
from multiprocessing.sharedctypes import RawValue
from typing import Any

_SEED_BYTES = 32  # seeds may be numpy's entropy of 128 bits


class _Numbers(ctypes.Structure):
    _fields_ = (
        ("epoch", ctypes.c_int64),
        ("progress", ctypes.c_double),
        ("mixing", ctypes.c_bool),
        ("seed", ctypes.c_ubyte * _SEED_BYTES),
    )


def is_spawning() -> bool:
    """Whether what is pickled now goes to a process that is being started."""
    # What multiprocessing's own queues and locks ask before they let themselves be pickled.
    return get_spawning_popen() is not None


class SharedState:
    """Epoch, progress, switch and seed: workers of a loader see each change of them.

    Forked workers inherit the memory and spawned ones are sent it. Any other copy (by ``copy``,
    pickle or ``torch.save``) has memory of its own, which its own workers see.
    """

    def __init__(self, *, seed: int) -> None:
        self._numbers: Any = RawValue(_Numbers)
        self.epoch, self.progress, self.mixing, self.seed = -1, 0.0, True, seed

    @property
    def epoch(self) -> int:
        """The epoch; -1 where none was told."""
        return self._numbers.epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._numbers.epoch = value

    @property
    def progress(self) -> float:
        """Share of training that is done, in [0, 1]."""
        return self._numbers.progress

    @progress.setter
    def progress(self, value: float) -> None:
        self._numbers.progress = value

    @property
    def mixing(self) -> bool:
        """Whether batches are mixed."""
        return self._numbers.mixing

    @mixing.setter
    def mixing(self, value: bool) -> None:
        self._numbers.mixing = value

    @property
    def seed(self) -> int:
        """The seed of all draws, of at most 255 bits and a sign."""
        return int.from_bytes(bytes(self._numbers.seed), "little", signed=True)

    @seed.setter
    def seed(self, value: int) -> None:
        self._numbers.seed[:] = value.to_bytes(_SEED_BYTES, "little", signed=True)

    def __getstate__(self) -> dict[str, Any]:
        """Give the memory itself to a process that is being started, else what is in it."""
        return {"numbers": self._numbers if is_spawning() else bytes(self._numbers)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the memory, or begin memory of the same contents."""
        numbers = state["numbers"]
        if isinstance(numbers, bytes):
            self._numbers = RawValue(_Numbers)
            ctypes.memmove(ctypes.addressof(self._numbers), numbers, len(numbers))
        else:
            self._numbers = numbers
