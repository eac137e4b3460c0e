"""The pool: jobs go to workers, deaths are retried, failures are reported, others go on."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from mixwright.lab.experiments.executors.base import TRIES, Event, Job
from mixwright.lab.experiments.executors.local import Pool

# A worker without torch: what it does with a job is written in the job.
WORKER = """
import json, os, pathlib, signal, subprocess, sys
for line in sys.stdin:
    job = json.loads(line)
    seen = pathlib.Path(job["folder"])
    tries = len(seen.read_text()) if seen.exists() else 0
    seen.write_text("x" * (tries + 1))
    pathlib.Path(job["folder"] + ".pid").write_text(str(os.getpid()))
    pathlib.Path(job["log"]).write_text("a line\\nthe last line\\n")
    say = lambda **message: print(json.dumps(message), flush=True)
    say(kind="start")
    if job["heir"]:
        pathlib.Path(job["heir"]).write_text(str(subprocess.Popen(["sleep", "30"]).pid))
    if tries < job["deaths"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if job["raises"]:
        say(kind="failed", error="ValueError: so it was")
    else:
        say(kind="progress", share=0.5, epoch=1, epochs=2, top1=None)
        say(kind="done")
"""


def job(tmp_path: Path, name: str, *, deaths: int = 0, raises: bool = False, heir: str = "") -> Job:
    folder = tmp_path / name
    request = {"folder": str(folder), "deaths": deaths, "raises": raises, "heir": heir}
    return Job(name, folder, tmp_path / f"{name}.log", request)


def run(jobs: list[Job], workers: int = 2) -> tuple[dict[str, Event], list[Event]]:
    heard: list[Event] = []
    pool = Pool(
        workers=workers,
        threads=1,
        devices=("cpu",),
        command=(sys.executable, "-c", WORKER),
    )
    return {end.job.name: end for end in pool.run(jobs, on_event=heard.append)}, heard


def test_every_job_is_done_once(tmp_path: Path) -> None:
    jobs = [job(tmp_path, str(n)) for n in range(5)]
    ends, heard = run(jobs)
    assert sorted(ends) == ["0", "1", "2", "3", "4"]
    assert {end.kind for end in ends.values()} == {"done"}
    assert all(one.folder.read_text() == "x" for one in jobs)
    assert sum(event.kind == "progress" for event in heard) == 5


def test_a_killed_run_is_tried_again_and_the_others_go_on(tmp_path: Path) -> None:
    jobs = [
        job(tmp_path, "dies once", deaths=1),
        job(tmp_path, "dies always", deaths=99),
        job(tmp_path, "raises", raises=True),
        job(tmp_path, "well"),
    ]
    ends, heard = run(jobs)
    kinds = {name: end.kind for name, end in ends.items()}
    assert kinds == {
        "dies once": "done",
        "dies always": "failed",
        "raises": "failed",
        "well": "done",
    }
    tries = {one.name: len(one.folder.read_text()) for one in jobs}
    assert tries == {"dies once": 2, "dies always": TRIES, "raises": 1, "well": 1}
    assert "the last line" in ends["dies always"].detail["error"]
    assert "-9" in ends["dies always"].detail["error"]
    assert ends["raises"].detail["error"] == "ValueError: so it was"
    assert sum(event.kind == "retry" for event in heard) == TRIES  # one and two


def test_a_death_is_noticed_while_a_child_of_the_dead_holds_its_pipe(tmp_path: Path) -> None:
    heir = tmp_path / "heir"  # holds its process number
    begun = time.monotonic()
    ends, heard = run([job(tmp_path, "dies", deaths=1, heir=str(heir))])
    passed = time.monotonic() - begun
    os.kill(int(heir.read_text()), signal.SIGKILL)
    assert ends["dies"].kind == "done"
    assert sum(event.kind == "retry" for event in heard) == 1
    assert passed < 25  # the children live for 30 seconds


def test_workers_wait_for_further_jobs_within_a_context(tmp_path: Path) -> None:
    def process(one: Job) -> int:
        return int(Path(f"{one.folder}.pid").read_text())

    heard: list[Event] = []
    pool = Pool(
        workers=1,
        threads=1,
        devices=("cpu",),
        command=(sys.executable, "-c", WORKER),
    )
    first, second, third = (job(tmp_path, name) for name in ("first", "second", "third"))
    others: list[Event] = []
    with pool:
        pool.run([first], on_event=others.append)
        pool.run([second], on_event=heard.append)
        assert process(first) == process(second)
        assert [event.kind for event in others] == [event.kind for event in heard]
        os.kill(process(second), signal.SIGKILL)  # while it waits
        assert [end.kind for end in pool.run([third])] == ["done"]
        assert process(third) != process(second)
        os.kill(process(third), 0)  # it lives
    with pytest.raises(ProcessLookupError):
        os.kill(process(third), 0)


def test_no_jobs_and_no_workers(tmp_path: Path) -> None:
    assert run([]) == ({}, [])
    with pytest.raises(ValueError, match="workers is 0"):
        run([job(tmp_path, "x")], workers=0)


def test_an_interruption_leaves_no_worker(tmp_path: Path) -> None:
    seen: set[object] = set()

    def stop(event: Event) -> None:
        seen.update(pool._workers)
        raise KeyboardInterrupt

    pool = Pool(
        workers=2,
        threads=1,
        devices=("cpu",),
        command=(sys.executable, "-c", WORKER),
    )
    with pytest.raises(KeyboardInterrupt):
        pool.run([job(tmp_path, str(n)) for n in range(4)], on_event=stop)
    assert len(seen) == 2
    assert all(worker._process.poll() is not None for worker in seen)


def test_a_worker_writes_what_the_data_says_to_its_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mixwright.lab.experiments import run
    from mixwright.lab.experiments.executors import worker
    from mixwright.lab.training.recipe import Recipe

    def tells(*_: object, on_message: Callable[[str], None], **__: object) -> None:
        on_message("2 of 9 images are left out.")

    monkeypatch.setattr(run, "run", tells)
    request = {"recipe": asdict(Recipe()), "folder": "x", "data_dir": None}
    worker._train(request, lambda *_: None)
    assert capsys.readouterr().out == "2 of 9 images are left out.\n"


def test_a_data_set_is_loaded_once_whoever_listens() -> None:
    from mixwright.lab.experiments.run import dataset

    def digits(train_size: int, on_message: Callable[[str], None] | None = None) -> object:
        return dataset("digits", data_dir=None, train_size=train_size, image_size=None,
                       skip_unreadable=False, on_message=on_message)  # fmt: skip

    first = digits(20)
    assert digits(20, print) is first
    assert digits(30) is not first
    assert digits(20) is not first  # the last alone is kept
