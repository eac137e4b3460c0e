"""Executors whose processes are not our children: a Ray cluster's, or SLURM's.

All they share with us is the disk, so a job tells of itself in a small file beside its log, which
is looked at here now and then; a scheduler is only asked whether a job is still there.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import uuid
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from mixwright.lab.data.names import WORKERS
from mixwright.lab.experiments.executors.base import (
    Event,
    Executor,
    Job,
    LostError,
    SubmitError,
    Tell,
)
from mixwright.lab.experiments.executors.local import last_lines

_LONGEST = 20.0  # seconds that the end of a look is waited for
_EVERY = 0.5  # seconds between two looks, and between two messages of a job
Messages = dict[str, Any]
"""The newest messages of a job, by kind."""

_OPEN = "start", "progress"  # kinds of messages after which others come


@dataclass(eq=False)
class Task:
    """A job that was handed over, and what is known of it."""

    job: Job
    tell: Tell
    request: dict[str, Any]
    future: Future[Event] = field(default_factory=Future)
    handle: Any = None  # the scheduler's
    seen: Messages = field(default_factory=dict[str, Any])
    gone_since: float | None = None  # when the scheduler first had it no more

    @property
    def status(self) -> Path:
        """The file in which it tells of itself."""
        return Path(self.request["status"])


class Remote(Executor):
    """Hands jobs to a scheduler, and looks at what they say of themselves on the shared disk."""

    patience: ClassVar[float] = 1.5
    """Seconds in which the last words of a job that is gone may still arrive on a shared disk."""

    def __init__(self, *, device: str, threads: int, most: int | None) -> None:
        self._device, self._threads = device, threads
        self._most = most  # tasks that the scheduler has at a time; None leaves that to it
        self._backlog: deque[Task] = deque()
        self._lock = threading.Lock()
        self._tasks: set[Task] = set()
        self._ready: list[Task] | None = None  # in ``together``: what is to be handed over
        self._looking: threading.Thread | None = None
        self._looks = False  # whether it goes on

    @abstractmethod
    def hand_over(self, tasks: Sequence[Task]) -> None:
        """Give tasks to the scheduler, and note its handle in each.

        Raises:
            SubmitError: it refuses.
        """

    @abstractmethod
    def gone(self, tasks: Sequence[Task]) -> dict[Task, str | Messages]:
        """Return the tasks that have ended for the scheduler.

        Each with what ``carry_out`` returned there, or with what the scheduler says of its end.
        """

    @abstractmethod
    def end(self, tasks: Iterable[Task]) -> None:
        """Have the scheduler end tasks, whether they are at work or waiting."""

    def submit(self, job: Job, tell: Tell) -> Future[Event]:
        """See ``Executor``."""
        status = job.log.parent / f".{job.log.stem[:80]}.{uuid.uuid4().hex}.status"
        status.parent.mkdir(parents=True, exist_ok=True)
        where = {
            "log": str(job.log),
            "device": self._device,
            "threads": self._threads,
            "status": str(status),
            "cwd": os.getcwd(),
            "path": [place for place in sys.path if place],
        }
        task = Task(job, tell, job.request | where)
        if self._ready is not None:
            self._ready.append(task)
        else:
            self._hand_over([task])
        return task.future

    @contextlib.contextmanager
    def together(self) -> Any:
        """See ``Executor``."""
        self._ready = []
        try:
            yield
            ready = self._ready
        finally:
            self._ready = None
        if ready:
            self._hand_over(ready)

    def cancel(self) -> None:
        """See ``Executor``."""
        with self._lock:
            tasks, self._tasks = self._tasks, set()
            self._backlog.clear()
        if tasks:
            self.end(tasks)
        for task in tasks:
            _remove(task.status)
        if self._looking is not None:  # it asks a scheduler, which may be gone in a moment
            self._looking.join(_LONGEST)

    def _hand_over(self, tasks: Sequence[Task]) -> None:
        with self._lock:
            self._backlog.extend(tasks)
            self._fill()
            if not self._looks:
                self._looks = True
                self._looking = threading.Thread(target=self._look, daemon=True)
                self._looking.start()

    def _fill(self) -> None:
        """Hand over as many tasks as there may be; the lock is held."""
        room = len(self._backlog) if self._most is None else self._most - len(self._tasks)
        tasks = [self._backlog.popleft() for _ in range(min(room, len(self._backlog)))]
        if tasks:
            self.hand_over(tasks)
            self._tasks.update(tasks)

    def _look(self) -> None:
        """See how all tasks are, until none is left."""
        while True:
            with self._lock:
                tasks = [*self._tasks]
                if not tasks:
                    self._looks = False
                    return
            try:
                gone = self.gone(tasks)  # before the files: what ended has written its own
                ended = [(task, end) for task in tasks if (end := _news(task, gone, self.patience))]
            except Exception as error:  # a fault of ours: nobody may wait for ever
                ended = [(task, error) for task in tasks]
            for task, end in ended:
                with self._lock:
                    if task not in self._tasks:  # cancelled
                        continue
                    self._tasks.discard(task)
                _remove(task.status)
                if isinstance(end, Exception):
                    task.future.set_exception(end)
                else:
                    task.future.set_result(end)
            self._next()
            time.sleep(_EVERY)

    def _next(self) -> None:
        """Hand over what has waited for its turn."""
        with self._lock:
            waiting = [*self._backlog]
            try:
                self._fill()
            except SubmitError as error:
                refused = [task for task in waiting if task not in self._backlog], error
            else:
                return
        for task in refused[0]:
            task.future.set_exception(refused[1])


def _news(
    task: Task, gone: dict[Task, str | Messages], patience: float
) -> Event | LostError | None:
    """Tell what is new of a task, and return how it ended, if it has."""
    messages, last = _read(task.status), gone.get(task)
    if isinstance(last, dict):
        messages |= last
    for kind in _OPEN:
        detail = messages.get(kind)
        if detail is not None and task.seen.get(kind) != detail:
            task.tell(Event(kind, task.job, {**detail}))
    task.seen = messages or task.seen
    for kind in ("done", "failed", "held"):
        if kind in messages:
            return Event(kind, task.job, messages[kind])
    if last is None:
        task.gone_since = None
        return None
    task.gone_since = task.gone_since or time.monotonic()
    if time.monotonic() - task.gone_since < patience:
        return None
    return LostError(f"{last}\n{last_lines(task.job.log)}".strip())


def _read(status: Path) -> Messages:
    try:
        found = json.loads(status.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet
        return {}
    return found if isinstance(found, dict) else {}


def _remove(status: Path) -> None:
    with contextlib.suppress(OSError):
        status.unlink()


def carry_out(request: dict[str, Any]) -> Messages:
    """Do a job in a process of a scheduler's, tell of it in its file, and return what was told.

    A job that was interrupted and is started anew by its scheduler goes on where it was.
    """
    threads, status = request.pop("threads"), Path(request.pop("status"))
    cwd, path = request.pop("cwd"), request.pop("path")
    with contextlib.suppress(OSError):  # methods of the user's are found as they are there
        os.chdir(cwd)
    sys.path += [place for place in path if place not in sys.path]
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault(WORKERS, str(threads))  # as in the workers of the local pool
    from mixwright.lab.experiments.executors.worker import do

    messages: Messages = {}
    written = 0.0

    def say(kind: str, **detail: Any) -> None:
        nonlocal written
        messages[kind] = detail
        if kind == "progress" and time.monotonic() - written < _EVERY:
            return  # it is in the next one
        written = time.monotonic()
        temporary = status.with_suffix(".tmp")
        with contextlib.suppress(OSError):  # no room: its folder says how it ended
            temporary.write_text(json.dumps(messages), encoding="utf-8")
            temporary.replace(status)

    do(request, say)
    return messages
