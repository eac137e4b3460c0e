"""The local pool: persistent worker processes on this machine, which share its cores."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any, Self

from mixwright.lab.experiments.executors.base import Event, Executor, Job, LostError, Tell, nobody

_LAST_WORDS = 2.0  # seconds to read what a process wrote before it ended
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_COMMAND = (sys.executable, "-m", "mixwright.lab.experiments.executors.worker")

_Reply = dict[str, Any]


class Pool(Executor):
    """Does jobs in at most ``workers`` processes, each of which takes job after job.

    Devices are handed out in turn, one a worker. A worker that dies is replaced by the next job.
    """

    def __init__(
        self,
        *,
        workers: int,
        threads: int,
        devices: Sequence[str],
        command: Sequence[str] = _COMMAND,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers is {workers}; at least one is needed.")
        self._count, self._threads, self._devices = workers, threads, tuple(devices)
        self._command = tuple(command)
        self._lock = threading.RLock()  # messages arrive in the workers' own threads
        self._waiting: deque[_Task] = deque()
        self._workers: set[_Worker] = set()
        self._resting: dict[int, _Worker] = {}  # by place
        self._stays = 0  # contexts that are open

    @property
    def slots(self) -> int:
        """See ``Executor``."""
        return self._count

    def __enter__(self) -> Self:
        """Keep the workers of one ``run`` for the next."""
        self._stays += 1
        return self

    def __exit__(self, *error: object) -> None:
        """End them."""
        self._stays -= 1
        if self._stays:
            return
        with self._lock:
            resting, self._resting = [*self._resting.values()], {}
        for worker in resting:
            worker.stop()

    def run(self, jobs: Sequence[Job], *, on_event: Tell = nobody) -> list[Event]:
        """See ``Executor``; the workers end with it outside of a context."""
        with self:
            return super().run(jobs, on_event=on_event)

    def submit(self, job: Job, tell: Tell) -> Future[Event]:
        """See ``Executor``."""
        task = _Task(job, tell)
        with self._lock:
            self._waiting.append(task)
            if len(self._workers) < self._count:
                self._hand_out(self._free_worker())
        return task.future

    def cancel(self) -> None:
        """See ``Executor``."""
        with self._lock:
            self._waiting.clear()
            workers, self._workers = [*self._workers], set()
        for worker in workers:  # not under the lock, which their threads may be waiting for
            worker.stop()

    def _free_worker(self) -> _Worker:
        """A worker without a job: one that rests and lives, or a new one."""
        taken = {worker.place for worker in self._workers}
        place = min(number for number in range(self._count) if number not in taken)
        worker = self._resting.pop(place, None)
        if worker is not None and not worker.alive:
            worker.stop()
            worker = None
        if worker is None:
            device = self._devices[place % len(self._devices)]
            worker = _Worker(place, self._command, self._threads, device, self._heard)
        self._workers.add(worker)
        return worker

    def _hand_out(self, worker: _Worker) -> None:
        """Give a worker the next job, or rest."""
        if self._waiting:
            worker.take(self._waiting.popleft())
        else:
            self._workers.discard(worker)
            worker.task = None
            self._resting[worker.place] = worker

    def _heard(self, worker: _Worker, reply: _Reply | None) -> None:
        """Act on one message of a worker; None: it is gone."""
        with self._lock:
            task = worker.task
            if worker not in self._workers or task is None:  # it was resting, or has been stopped
                return
            if reply is None:
                self._workers.discard(worker)
                end = f"its process ended with code {worker.stop()}\n{last_lines(task.job.log)}"
                if self._waiting:
                    self._hand_out(self._free_worker())
                outcome: Event | LostError = LostError(end.strip())
            else:
                kind = reply.pop("kind")
                outcome = Event(kind, task.job, reply)
                if kind in ("start", "progress"):
                    task.tell(outcome)
                    return
                self._hand_out(worker)
        if isinstance(outcome, LostError):
            task.future.set_exception(outcome)
        else:
            task.future.set_result(outcome)


class _Task:
    """A job that was handed over."""

    def __init__(self, job: Job, tell: Tell) -> None:
        self.job, self.tell = job, tell
        self.future: Future[Event] = Future()


class _Worker:
    """One worker process and the threads that listen to it and wait for its end."""

    def __init__(
        self,
        place: int,
        command: Sequence[str],
        threads: int,
        device: str,
        heard: Callable[[_Worker, _Reply | None], None],
    ) -> None:
        self.place, self.device = place, device
        self.task: _Task | None = None
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | dict.fromkeys(_THREADS, str(threads)),
            text=True,
            encoding="utf-8",
        )
        assert self._process.stdout is not None
        listener = threading.Thread(
            target=self._listen, args=(self._process.stdout, heard), daemon=True
        )
        listener.start()
        threading.Thread(target=self._watch, args=(listener, heard), daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def take(self, task: _Task) -> None:
        self.task = task
        assert self._process.stdin is not None
        request = task.job.request | {"log": str(task.job.log), "device": self.device}
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

    def _listen(self, stdout: IO[str], heard: Callable[[_Worker, _Reply | None], None]) -> None:
        with stdout:
            for line in stdout:
                try:
                    reply = json.loads(line)
                except json.JSONDecodeError:
                    continue  # half a line of a process that was killed
                heard(self, reply)

    def _watch(
        self, listener: threading.Thread, heard: Callable[[_Worker, _Reply | None], None]
    ) -> None:
        """Say when the process is gone, after all of its own messages."""
        self._process.wait()
        listener.join(_LAST_WORDS)  # the pipe does not end while a child of the process has it
        heard(self, None)


def last_lines(log: Path, count: int = 6) -> str:
    """Return the last lines of a log that are not blank; none where there is no file."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join([line for line in lines if line.strip()][-count:])
