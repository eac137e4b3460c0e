"""A process that trains the runs it is asked for: one request a line in, messages a line out.

Started by ``local``; other executors call ``do`` in processes of theirs. What a run prints goes to
its log, so that the messages stay alone on the pipe. The process ends when its input does, so none
outlives the one that started it.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mixwright.files import LOCK, is_locked, kept_from_children
from mixwright.lab.data.cores import threads_asked_for
from mixwright.lab.data.names import WORKERS
from mixwright.lab.experiments.executors.base import progress_detail
from mixwright.lab.experiments.notes import notes_of_objectives

if TYPE_CHECKING:
    from mixwright.lab.training.progress import Progress

_EVERY = 0.2  # seconds between two messages of progress


def main() -> None:
    """Serve requests from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started us decides
    os.environ.setdefault(WORKERS, str(_threads()))  # runs at work at a time share the cores
    source, out = _own_pipes()
    requests: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        for line in source:
            requests.put(line)
        os._exit(0)  # also in the middle of a run: checkpoints make it resume

    threading.Thread(target=read, daemon=True).start()
    while True:
        serve(json.loads(requests.get()), out)


def _own_pipes() -> tuple[IO[bytes], IO[str]]:
    """Standard input and output, taken away from everything else in this process.

    Children that a data loader forks close ``sys.stdin``, which takes the lock of its buffer: were
    a thread reading it at the fork, they would wait for that lock for ever.
    """
    source = kept_from_children(os.fdopen(os.dup(0), "rb", buffering=0))  # no buffer, no lock
    out = kept_from_children(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return source, out


def serve(request: dict[str, Any], out: IO[str]) -> None:
    """Do one job, and write a line of JSON for each of its messages; see ``do``."""

    def say(kind: str, **detail: Any) -> None:
        out.write(json.dumps({"kind": kind, **detail}) + "\n")
        out.flush()

    do(request, say)


def do(request: dict[str, Any], say: Callable[..., None]) -> None:
    """Do one run: ``recipe``, ``folder``, ``log``, ``device``, arguments of ``run``.

    ``say`` is given the kind of each message and its details; the last one is ``done``, ``failed``
    or, of a run that another process is at work on, ``held``. A request with ``measure`` is for
    ``step_costs`` instead, one with ``estimate`` for ``measured_run``.
    """
    if "recipe" in request and is_locked(Path(request["folder"]) / LOCK):
        say("held")  # before its data are read for nothing; the lock itself is the folder's
        return
    say("start")
    with _log(Path(request.pop("log"))) as file, _printing_to(file):
        try:
            if "measure" in request:
                done = _measure(request)
            elif "estimate" in request:
                done = _estimate(request)
            else:
                done = _train(request, say)
        except Exception as error:
            from mixwright.lab.experiments.run import MISTAKES, failure_text
            from mixwright.lab.training.folder import RunHeldError

            if isinstance(error, RunHeldError):
                say("held")
                return
            text = failure_text(error)
            with contextlib.suppress(OSError):
                if isinstance(error, MISTAKES):
                    file.write(f"{text}\n")
                else:
                    traceback.print_exc(file=file)
                file.flush()
            say("failed", error=text)
        else:
            say("done", **done)


@contextlib.contextmanager
def _log(path: Path) -> Generator[IO[str]]:
    """Open a run's log; where none can be written, as on a full disk, the run goes on without."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:
        path = Path(os.devnull)
    file = path.open("a", encoding="utf-8", errors="backslashreplace")
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):  # its last lines may find no room
            file.close()


def _measure(request: dict[str, Any]) -> dict[str, Any]:
    import torch

    from mixwright.lab.experiments.step_costs import measure

    torch.set_num_threads(1)  # threads that wait for each other are counted as work
    return measure(request["measure"])


def _estimate(request: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()  # what comes now takes seconds, of each process once
    import torch

    from mixwright.lab.experiments.measured_run import measure

    torch.set_num_threads(_threads())
    here = {"device": request["device"], "began": began}
    return {"measured": measure(request["estimate"] | here)}


def _threads() -> int:
    return threads_asked_for() or 1


def _train(request: dict[str, Any], say: Callable[..., None]) -> dict[str, Any]:
    import torch

    from mixwright.lab.data.identity import DataIdentity
    from mixwright.lab.experiments.run import run
    from mixwright.lab.settings import decode
    from mixwright.lab.training.recipe import Recipe

    torch.set_num_threads(_threads())
    last = 0.0

    def on_progress(now: "Progress") -> None:
        nonlocal last
        if now.step == now.steps or time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            say("progress", **progress_detail(now))

    def on_message(text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stdout.write(f"{text}\n")  # to the run's log
            sys.stdout.flush()

    recipe = Recipe.from_json(json.dumps(request.pop("recipe")))
    identity = request.pop("identity", None)
    with notes_of_objectives(lambda note: say("progress", note=note)):
        run(
            recipe,
            Path(request.pop("folder")),
            identity=identity and decode(DataIdentity, identity, where="the request"),
            on_progress=on_progress,
            on_message=on_message,
            **request,
        )
    return {}


@contextlib.contextmanager
def _printing_to(file: IO[str]) -> Any:
    """Send what is printed, also by C code, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        for number, copy in enumerate(kept, start=1):
            os.dup2(copy, number)
            os.close(copy)


if __name__ == "__main__":
    main()
