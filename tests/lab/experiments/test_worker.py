"""Real worker processes on data that their own children decode; slow ones fail, none hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from lab.data.pictures import picture, write
from mixwright.lab.experiments.executors.base import Event, Job
from mixwright.lab.experiments.executors.local import Pool
from mixwright.lab.training.recipe import Recipe

LIMIT = 180.0  # seconds; the slowest takes about 30

# The worker as it is started by default, but for how loaders start and what counts as large.
WORKER = """
import multiprocessing, runpy, sys
from mixwright.lab.data import lazy, memory
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    memory.WHOLE_SET_BYTES = 0
    lazy.usable_cores = lambda: 1  # loader processes at a time
    worker = "mixwright.lab.experiments.executors.worker"
    runpy.run_module(worker, run_name="__main__", alter_sys=True)
"""


def lazy_job(tmp_path: Path, *, epochs: int) -> Job:
    for part, count in (("train", 20), ("test", 4)):
        for number in range(count):
            path = tmp_path / "data" / part / "ab"[number % 2] / f"{number}.png"
            write(path, picture(number))
    recipe = Recipe(data=f"folder:{tmp_path / 'data'}", epochs=epochs, batch_size=2)
    request = {"recipe": asdict(recipe), "folder": str(tmp_path / "run"), "data_dir": None}
    return Job("lazy", tmp_path / "run", tmp_path / "lazy.log", request)


def run(job: Job, start: str, on_event: Callable[[Event, Pool], None]) -> list[Event]:
    """How the job ended; fails where it has not within the limit."""
    ends: list[Event] = []
    pool = Pool(
        workers=1,
        threads=1,
        devices=("cpu",),
        command=(sys.executable, "-c", WORKER, start),
    )
    running = threading.Thread(
        target=lambda: ends.extend(pool.run([job], on_event=lambda event: on_event(event, pool))),
        daemon=True,
    )
    running.start()
    running.join(LIMIT)
    if running.is_alive():
        for worker in pool._workers:
            worker._process.kill()
        pytest.fail(f"no end after {LIMIT} seconds")
    return ends


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_data_that_is_decoded_when_wanted_runs_through_the_pool(tmp_path: Path, start: str) -> None:
    job = lazy_job(tmp_path, epochs=1)
    ends = run(job, start, lambda *_: None)
    assert [end.kind for end in ends] == ["done"], ends[0].detail
    assert "decoded by worker processes" in job.log.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_a_worker_killed_while_its_loaders_live_is_replaced(tmp_path: Path) -> None:
    heard: list[str] = []
    loaders: list[int] = []
    open_in_loaders: list[os.stat_result] = []
    pipes: list[os.stat_result] = []

    def kill(event: Event, pool: Pool) -> None:
        heard.append(event.kind)
        if event.kind != "progress" or loaders:
            return
        (worker,) = pool._workers
        process = worker._process
        stop(process.pid)  # no loader comes or goes meanwhile
        loaders.extend(children(process.pid))
        for loader in loaders:
            stop(loader)  # it will not end with its parent
            open_in_loaders.extend(map(os.stat, Path(f"/proc/{loader}/fd").iterdir()))
        assert process.stdin is not None
        assert process.stdout is not None
        pipes.extend([os.fstat(process.stdin.fileno()), os.fstat(process.stdout.fileno())])
        os.kill(process.pid, signal.SIGKILL if loaders else signal.SIGCONT)

    try:
        (end,) = run(lazy_job(tmp_path, epochs=2), "fork", kill)
    finally:
        for loader in loaders:
            with contextlib.suppress(ProcessLookupError):  # the kernel ended it with its parent
                os.kill(loader, signal.SIGKILL)
    assert loaders
    assert heard.count("retry") == 1
    assert end.kind == "done", end.detail
    assert open_in_loaders
    assert not any(os.path.samestat(one, pipe) for one in open_in_loaders for pipe in pipes)


def stop(process: int) -> None:
    """Stop a process, and wait until it stands: the signal alone lets it run on for a while."""
    os.kill(process, signal.SIGSTOP)
    until = time.monotonic() + LIMIT
    while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "TZ":
        assert time.monotonic() < until, "the process does not stop"
        time.sleep(0.001)


def children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(number) for number in listed.split()]
