"""What does jobs somewhere: a ``submit`` for each kind of executor, one way to see them through.

An executor only carries a job to a process and says how it ended there. Everything else is the same
for all of them and stands here: tries, runs that another command has in hand, and the order of what
is told. The folder of a run is the truth: whatever became of a process or of the message about its
end, a run is done when its folder says so.
"""

from __future__ import annotations

import contextlib
import queue
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from mixwright.files import LOCK, is_locked

if TYPE_CHECKING:
    from mixwright.lab.training.progress import Progress

TRIES = 3

_HELD_EVERY = 1.0  # seconds between two looks at runs that another command has in hand


@dataclass(frozen=True, eq=False)
class Job:
    """One run to do: name for people, folder, log, and the request of ``worker.serve``."""

    name: str
    folder: Path
    log: Path
    request: dict[str, Any]

    @property
    def finished(self) -> bool:
        """Whether its run has nothing left to do; never of a job that is no run."""
        from mixwright.lab.training.folder import is_finished  # which imports torch

        return "recipe" in self.request and is_finished(self.folder)


@dataclass(frozen=True, eq=False)
class Event:
    """What happened to a job: of a progress its numbers or a ``note``; of its end ``error``.

    A job that is ``held`` is waited for: another command is at work on the same run.
    """

    kind: Literal["start", "progress", "done", "retry", "held", "failed"]
    job: Job
    detail: dict[str, Any] = field(default_factory=dict[str, Any])


Tell = Callable[[Event], None]


def nobody(event: Event) -> None:
    """Hear of an event and do nothing."""


class LostError(Exception):
    """The process of a job is gone, and it did not say how the job ended; the message says why."""


class SubmitError(ValueError):
    """A job could not be handed to a scheduler; the message says what it answered."""


def progress_detail(now: Progress) -> dict[str, Any]:
    """Return what a ``progress`` event holds of the training loop's report."""
    return {
        "share": now.share,
        "epoch": now.epoch,
        "epochs": now.epochs,
        "top1": now.scores.get("raw"),
        "alarms": list(now.warnings),
    }


class Executor(ABC):
    """Does jobs somewhere; a context, within which what it needs stays there for further jobs."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many jobs are at work at a time."""

    @abstractmethod
    def submit(self, job: Job, tell: Tell) -> Future[Event]:
        """Hand a job over; the future has its end: ``done``, ``failed``, or ``held`` by others.

        ``tell`` is told of its start and progress, from any thread. The future raises ``LostError``
        where the process of the job is gone, and every try is one ``submit``.

        Raises:
            SubmitError: it could not be handed over.
        """

    @abstractmethod
    def cancel(self) -> None:
        """End the jobs that are still under way."""

    def together(self) -> AbstractContextManager[None]:
        """Hand over what is submitted within the context in one go, where that makes a difference.

        Raises:
            SubmitError: at its end, as ``submit`` does.
        """
        return contextlib.nullcontext()

    def __enter__(self) -> Self:
        """Get ready for jobs."""
        return self

    @abstractmethod
    def __exit__(self, *error: object) -> None:
        """Leave nothing behind."""

    def run(self, jobs: Sequence[Job], *, on_event: Tell = nobody) -> list[Event]:
        """Do all jobs, started in this order; return a ``done`` or ``failed`` event each.

        A job whose process dies (killed, out of memory, its machine gone) is tried again, at most
        ``TRIES`` times in all: the run folder makes it resume. A job that raises is not tried
        again, since it would raise again; the others go on. A run that another command has in hand
        is waited for, and taken over if that command dies. ``on_event`` is called in the caller's
        thread.

        Raises:
            SubmitError: not even the first jobs could be handed over; nothing is under way then.
        """
        try:
            return _See(self, on_event).through(jobs)
        finally:
            self.cancel()


class _See:
    """The jobs of one ``Executor.run`` on their way."""

    def __init__(self, executor: Executor, on_event: Tell) -> None:
        self._executor, self._on_event = executor, on_event
        self._happened: queue.SimpleQueue[Event | tuple[Job, Future[Event]]] = queue.SimpleQueue()
        self._tries: Counter[Job] = Counter()
        self._held: dict[Job, bool] = {}  # whether it was told
        self._ends: list[Event] = []

    def through(self, jobs: Sequence[Job]) -> list[Event]:
        with self._executor.together():
            for job in jobs:
                self._submit(job)
        looked = time.monotonic()
        while len(self._ends) < len(jobs):
            what = None
            waiting = any(self._held.values())
            with contextlib.suppress(queue.Empty):
                what = self._happened.get(timeout=_HELD_EVERY if waiting else None)
            if isinstance(what, Event):
                self._on_event(what)
            elif what is not None:
                self._ended(*what)
            if waiting and time.monotonic() - looked >= _HELD_EVERY:
                looked = time.monotonic()
                self._look_at_held()
        return self._ends

    def _submit(self, job: Job) -> None:
        self._tries[job] += 1
        future = self._executor.submit(job, self._happened.put)
        future.add_done_callback(lambda future: self._happened.put((job, future)))

    def _again(self, job: Job) -> None:
        try:
            self._submit(job)
        except SubmitError as error:  # the others are under way
            self._end(Event("failed", job, {"error": str(error)}))

    def _ended(self, job: Job, future: Future[Event]) -> None:
        try:
            end = future.result()
        except LostError as error:
            self._lost(job, str(error))
            return
        except SubmitError as error:
            end = Event("failed", job, {"error": str(error)})
        if end.kind != "held":
            self._end(end)
            return
        self._tries[job] -= 1
        if job not in self._held:
            self._on_event(end)
        self._held[job] = True

    def _lost(self, job: Job, error: str) -> None:
        if job.finished:  # it was lost behind its last word
            self._end(Event("done", job))
        elif self._tries[job] < TRIES:
            self._on_event(Event("retry", job, {"error": error, "tries": self._tries[job]}))
            self._again(job)
        else:
            self._end(Event("failed", job, {"error": f"{error}\n(tried {TRIES} times)"}))

    def _look_at_held(self) -> None:
        for job in [job for job, waiting in self._held.items() if waiting]:
            if job.finished:
                self._end(Event("done", job))
            elif not is_locked(job.folder / LOCK):
                self._held[job] = False
                self._again(job)

    def _end(self, end: Event) -> None:
        self._held.pop(end.job, None)
        self._ends.append(end)
        self._on_event(end)
