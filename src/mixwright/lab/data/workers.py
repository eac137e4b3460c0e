"""Processes that read and decode images: one pool for all sets, kept from stream to stream."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.names import WORKERS

Stored = Any
"""A set of images as they were stored: whatever the jobs on it read."""

Job = Callable[[Stored], tuple[Tensor, str]]
"""Makes a batch of stored images, and says what could not be read; it can be pickled.

An exception that crosses from a worker would arrive wrapped in the worker's traceback.
"""

_MOST = 16  # by default: they decode about 10,000 photographs a second
_AHEAD = 2  # batches that each worker has ready or in its hands


def data_workers(cores: int) -> int:
    """Return how many processes decode: as ``names.WORKERS`` says, else this one's share of cores.

    Processes that train one model together (torchrun, srun) share the cores of their machine.

    Raises:
        DataError: the variable is no whole number, at least 0.
    """
    text = os.environ.get(WORKERS, "")
    if text:
        if not (text.isascii() and text.isdigit()):
            raise DataError(
                f"{WORKERS} is {text!r}; expected a whole number, at least 0, of processes that "
                "decode images. Give --data-workers, or unset it."
            )
        return int(text)
    beside = os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("SLURM_NTASKS_PER_NODE") or "1"
    together = int(beside) if beside.isascii() and beside.isdigit() else 1
    return min(_MOST, max(1, cores // max(1, together)))


class Workers:
    """Worker processes that decode for one stream after another, started by the first.

    They end with the last set that uses them, and with this process however it ends. They know the
    sets that were there when they were started; for a set that is new they are started again.

    Args:
        count: of processes, at least 1.
        pin: whether batches are copied to page-locked memory, from where a GPU fetches them
            while it computes.
    """

    def __init__(self, count: int, *, pin: bool) -> None:
        self._count = count
        self._pin = pin
        self._loader: DataLoader[tuple[Tensor, str]] | None = None
        self._tasks: list[tuple[int, Job]] = []
        self._known: dict[int, Stored] = {}
        self._busy = False

    def read(self, stored: Stored, jobs: Sequence[Job]) -> Iterator[Tensor]:
        """Yield what each job makes of a set, in order.

        Raises:
            DataError: an image cannot be read, or a worker was ended from outside.
        """
        if self._busy:  # a stream within another one: by workers of its own
            yield from Workers(self._count, pin=self._pin).read(stored, jobs)
            return
        self._busy = True
        try:
            loader = self._started(stored)
            number = _NUMBERS[stored]
            self._tasks[:] = [(number, job) for job in jobs]
            yield from map(checked, loader)
        except (GeneratorExit, DataError):  # what is on its way is passed over by the next stream
            raise
        except BaseException as error:
            _end(self._loader)
            self._loader = None
            # Whoever was ended can no longer hand over what it had ready, which shows first.
            gone = isinstance(error, RuntimeError) and "DataLoader worker" in str(error)
            if gone or isinstance(error, EOFError | OSError):
                reason = str(error).partition("\n")[0].strip(". ") or type(error).__name__
                raise DataError(
                    f"a process that decodes images has ended ({reason}), perhaps for want of "
                    "memory; expected it to go on. Take fewer of them (--data-workers), or 0 to "
                    "decode without."
                ) from error
            raise
        finally:
            self._busy = False

    def leave(self) -> None:
        """Forget the workers without ending them: they are those of the process we came from."""
        if self._loader is not None:
            _OTHERS.append(self._loader)
        self._loader, self._busy = None, False

    def _started(self, stored: Stored) -> DataLoader[tuple[Tensor, str]]:
        """Return the loader whose workers know a set."""
        if self._loader is None or _NUMBERS[stored] not in self._known:
            self._loader = None  # the old workers end before others begin
            self._known = {number: known for known, number in _NUMBERS.items()}
            main = threading.current_thread() is threading.main_thread()
            self._loader = DataLoader(
                _Sets(self._known),
                # The same list is read anew by each stream.
                sampler=cast("Sampler[int]", self._tasks),
                batch_size=None,
                num_workers=self._count,
                prefetch_factor=_AHEAD,
                persistent_workers=True,
                pin_memory=self._pin,
                worker_init_fn=partial(_begin, with_parent=main),
                # The loader takes one draw to seed its workers: not from the global generator, or
                # the numbers that follow would depend on how the images are read.
                generator=Generator().manual_seed(0),
            )
        return self._loader


def checked(decoded: tuple[Tensor, str]) -> Tensor:
    """Return the images that a job made, unless one could not be read."""
    images, unreadable = decoded
    if unreadable:
        raise DataError(
            f"an image cannot be read: {unreadable}. Fix or remove it, or load the data with "
            "skip_unreadable (--skip-unreadable), which looks at every image first."
        )
    return images


def workers_for(stored: Stored, count: int, *, pin: bool) -> Workers:
    """Return the workers of this process for a set; whoever streams keeps them."""
    enrol(stored)
    return _POOLS.setdefault((count, pin), Workers(count, pin=pin))


def enrol(stored: Stored) -> None:
    """Let workers that are started from now on know a set."""
    global _next
    if stored not in _NUMBERS:
        _NUMBERS[stored] = _next
        _next += 1


_next = 0
_NUMBERS: WeakKeyDictionary[Stored, int] = WeakKeyDictionary()
_POOLS: WeakValueDictionary[tuple[int, bool], Workers] = WeakValueDictionary()
_OTHERS: list[object] = []  # loaders that a forked child must not end


def _leave_to_parent() -> None:
    for pool in list(_POOLS.values()):
        pool.leave()


if hasattr(os, "register_at_fork"):  # nothing forks on Windows
    os.register_at_fork(after_in_child=_leave_to_parent)


class _Sets(Dataset[tuple[Tensor, str]]):
    """Does the jobs that are asked for, each on its set."""

    def __init__(self, sets: dict[int, Stored]) -> None:
        self._sets = sets

    def __getitem__(self, task: tuple[int, Job]) -> tuple[Tensor, str]:
        number, job = task
        return job(self._sets[number])


def _end(loader: object) -> None:
    """End the processes of a loader that failed: here, where what torch still raises is caught.

    It answers the signal of a lost process with an exception, wherever it is at that moment; in a
    finaliser nobody could catch it.
    """
    end = getattr(getattr(loader, "_iterator", None), "_shutdown_workers", None)
    with contextlib.suppress(RuntimeError):
        if end is not None:
            end()


def _begin(worker: int, *, with_parent: bool) -> None:
    """Let a worker end at once with the process that started it, and leave Ctrl-C to that one."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if with_parent:  # the signal comes with the end of the thread that started the worker
        _end_with_parent()


def _end_with_parent() -> None:
    """Ask the kernel to end this process with its parent; elsewhere than on Linux, do nothing.

    The loader's own watch looks every five seconds, for which a worker would hold what it has
    inherited: a pipe that a shell waits for, memory.
    """
    try:
        from torch.multiprocessing import (
            _prctl_pr_set_pdeathsig,  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]
        )
    except ImportError:
        return
    _prctl_pr_set_pdeathsig(signal.SIGKILL)
