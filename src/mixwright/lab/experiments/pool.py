"""A local process pool over run folders: persistent workers, tries, one log a run."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from mixwright.lab.training.progress import Progress

TRIES = 3

_LAST_WORDS = 2.0  # seconds to read what a process wrote before it ended


@dataclass(frozen=True, eq=False)
class Job:
    """One run to do: name for people, folder, log, and the request of ``worker.serve``."""

    name: str
    folder: Path
    log: Path
    request: dict[str, Any]


@dataclass(frozen=True)
class Event:
    """What happened to a job: of a progress its numbers or a ``note``; of its end ``error``."""

    kind: Literal["start", "progress", "done", "retry", "failed"]
    job: Job
    detail: dict[str, Any] = field(default_factory=dict[str, Any])


def progress_detail(now: "Progress") -> dict[str, Any]:
    """Return what a ``progress`` event holds of the training loop's report."""
    return {
        "share": now.share,
        "epoch": now.epoch,
        "epochs": now.epochs,
        "top1": now.scores.get("raw"),
        "alarms": list(now.warnings),
    }


class Pool:
    """Runs jobs in ``workers`` processes, each of which takes job after job.

    A worker that dies (killed, out of memory) is replaced and its job tried again, at most
    ``TRIES`` times in all: the run folder makes it resume. A job that raises is not tried again,
    since it would raise again; the others go on. ``on_event`` is called in the caller's thread;
    devices are handed out in turn, one a worker. Within ``with`` workers wait for further jobs.
    """

    def __init__(
        self,
        *,
        workers: int,
        threads: int,
        devices: Sequence[str],
        on_event: Callable[[Event], None],
        command: Sequence[str] = (sys.executable, "-m", "mixwright.lab.experiments.worker"),
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers is {workers}; at least one is needed.")
        self._count, self._threads, self._devices = workers, threads, tuple(devices)
        self._on_event, self._command = on_event, tuple(command)
        self._replies: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self._workers: set[_Worker] = set()
        self._resting: dict[int, _Worker] | None = None  # by place; None outside of ``with``

    def __enter__(self) -> Self:
        """Keep the workers of one ``run`` for the next."""
        self._resting = {}
        return self

    def __exit__(self, *error: object) -> None:
        """End them."""
        resting, self._resting = self._resting or {}, None
        for worker in resting.values():
            worker.stop()

    def run(
        self, jobs: Sequence[Job], *, on_event: Callable[[Event], None] | None = None
    ) -> list[Event]:
        """Do all jobs, started in this order; return a ``done`` or ``failed`` event each.

        ``on_event`` takes the place of the pool's own.
        """
        waiting = deque((job, 1) for job in jobs)
        ends: list[Event] = []
        usual, self._on_event = self._on_event, on_event or self._on_event
        try:
            for place in range(min(self._count, len(jobs))):
                self._hand_out(self._rested(place) or self._start(place), waiting)
            while self._workers:
                worker, reply = self._replies.get()
                if worker in self._workers:
                    end = self._handle(worker, reply, waiting)
                    if end is not None:
                        ends.append(end)
                        self._on_event(end)
        finally:
            self._on_event = usual
            for worker in tuple(self._workers):
                worker.stop()
        return ends

    def _handle(
        self, worker: "_Worker", reply: dict[str, Any] | None, waiting: deque[tuple[Job, int]]
    ) -> Event | None:
        """Act on one message of a worker (None: it is gone); the job's end, if that was it."""
        assert worker.job is not None
        job, tries = worker.job
        if reply is None:
            error = f"its process ended with code {worker.stop()}\n{last_lines(job.log)}".strip()
            self._workers.discard(worker)
            if tries < TRIES:
                waiting.appendleft((job, tries + 1))
                self._on_event(Event("retry", job, {"error": error, "tries": tries}))
            if waiting:
                self._hand_out(self._start(worker.place), waiting)
            if tries < TRIES:
                return None
            return Event("failed", job, {"error": f"{error}\n(tried {TRIES} times)"})
        kind = reply.pop("kind")
        if kind in ("start", "progress"):
            self._on_event(Event(kind, job, reply))
            return None
        self._hand_out(worker, waiting)
        return Event(kind, job, reply)

    def _start(self, place: int) -> "_Worker":
        device = self._devices[place % len(self._devices)]
        worker = _Worker(place, self._command, self._threads, device, self._replies)
        self._workers.add(worker)
        return worker

    def _hand_out(self, worker: "_Worker", waiting: deque[tuple[Job, int]]) -> None:
        if waiting:
            worker.take(*waiting.popleft())
        else:
            self._workers.discard(worker)
            if self._resting is None or not worker.alive:
                worker.stop()
            else:
                self._resting[worker.place] = worker

    def _rested(self, place: int) -> "_Worker | None":
        """A worker that waits for jobs, if it still lives."""
        worker = (self._resting or {}).pop(place, None)
        if worker is not None and not worker.alive:
            worker.stop()
            return None
        if worker is not None:
            self._workers.add(worker)
        return worker


class _Worker:
    """One worker process and the threads that listen to it and wait for its end."""

    def __init__(
        self,
        place: int,
        command: Sequence[str],
        threads: int,
        device: str,
        replies: "queue.Queue[tuple[_Worker, dict[str, Any] | None]]",
    ) -> None:
        self.place, self.device = place, device
        self.job: tuple[Job, int] | None = None
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | dict.fromkeys(names, str(threads)),
            text=True,
            encoding="utf-8",
        )
        assert self._process.stdout is not None
        listener = threading.Thread(
            target=self._listen, args=(self._process.stdout, replies), daemon=True
        )
        listener.start()
        threading.Thread(target=self._watch, args=(listener, replies), daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def take(self, job: Job, tries: int) -> None:
        self.job = (job, tries)
        assert self._process.stdin is not None
        request = job.request | {"log": str(job.log), "device": self.device}
        with contextlib.suppress(BrokenPipeError):  # it is gone: the listener says so
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def stop(self) -> int:
        """End the process, by force where it does not end by itself; return its exit code."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _listen(
        self,
        stdout: IO[str],
        replies: "queue.Queue[tuple[_Worker, dict[str, Any] | None]]",
    ) -> None:
        with stdout:
            for line in stdout:
                try:
                    replies.put((self, json.loads(line)))
                except json.JSONDecodeError:
                    continue  # half a line of a process that was killed

    def _watch(
        self,
        listener: threading.Thread,
        replies: "queue.Queue[tuple[_Worker, dict[str, Any] | None]]",
    ) -> None:
        """Say when the process is gone, after all of its own messages."""
        self._process.wait()
        listener.join(_LAST_WORDS)  # the pipe does not end while a child of the process has it
        replies.put((self, None))


def last_lines(log: Path, count: int = 6) -> str:
    """Return the last lines of a log that are not blank; none where there is no file."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join([line for line in lines if line.strip()][-count:])
