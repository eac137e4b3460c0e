"""Executors that share but the disk with us: what jobs tell, how they are lost, full disks."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mixwright.lab.data.names import WORKERS
from mixwright.lab.experiments.executors import remote
from mixwright.lab.experiments.executors.base import TRIES, Event, Job, SubmitError
from mixwright.lab.experiments.executors.remote import Messages, Remote, Task, carry_out
from mixwright.lab.training.recipe import Recipe

Script = Callable[[dict[str, Any], Callable[..., None]], None]


class DiedError(BaseException):
    """In place of a process that is killed."""


class Threads(Remote):
    """A scheduler whose jobs are threads; it keeps no word of theirs unless it is asked to."""

    patience: ClassVar[float] = 0.05

    def __init__(self, *, most: int | None = None, keeps: bool = False) -> None:
        super().__init__(device="cpu", threads=3, most=most)
        self.keeps, self.handed, self.ended, self.at_work = keeps, list[str](), list[str](), 0
        self.most_at_work, self.refuses = 0, False

    @property
    def slots(self) -> int:
        return 1

    def __exit__(self, *error: object) -> None:
        pass

    def hand_over(self, tasks: Sequence[Task]) -> None:
        if self.refuses:
            raise SubmitError("sbatch refuses")
        for task in tasks:
            self.handed.append(task.job.name)
            task.handle = {"last": None}
            threading.Thread(target=self._run, args=(task,), daemon=True).start()

    def _run(self, task: Task) -> None:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            returned = carry_out({**task.request})
            task.handle["last"] = returned if self.keeps else "its job ended (COMPLETED)"
        except BaseException:
            task.handle["last"] = "its job ended (NODE_FAIL)"
        finally:
            self.at_work -= 1

    def gone(self, tasks: Sequence[Task]) -> dict[Task, str | Messages]:
        return {task: task.handle["last"] for task in tasks if task.handle["last"] is not None}

    def end(self, tasks: Iterable[Task]) -> None:
        self.ended += [task.job.name for task in tasks]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look often; what ``carry_out`` changes of its own process is put back."""
    monkeypatch.setattr(remote, "_EVERY", 0.01)
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    monkeypatch.setenv(WORKERS, "")
    monkeypatch.delenv(WORKERS)
    monkeypatch.chdir(Path.cwd())
    yield
    monkeypatch.undo()


def jobs(tmp_path: Path, *names: str) -> list[Job]:
    return [
        Job(name, tmp_path / name, tmp_path / "logs" / f"{name}.log", {"name": name})
        for name in names
    ]


def scripted(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    from mixwright.lab.experiments.executors import worker

    monkeypatch.setattr(worker, "do", script)


@pytest.mark.parametrize(("asked", "found"), [(None, "3"), ("0", "0")])
def test_a_run_decodes_with_the_processors_that_it_is_given(
    asked: str | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many processes as threads, unless --data-workers said so."""
    seen: list[str | None] = []

    def script(request: dict[str, Any], say: Callable[..., None]) -> None:
        seen.append(os.environ.get(WORKERS))

    scripted(monkeypatch, script)
    if asked is not None:
        monkeypatch.setenv(WORKERS, asked)
    where = {"threads": 3, "status": str(tmp_path / "status"), "cwd": str(tmp_path), "path": []}
    carry_out(where)
    assert seen == [found]


def test_what_jobs_tell_arrives_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    halfway = {name: threading.Event() for name in ("well", "raises")}

    def hear(event: Event) -> None:
        heard.append(event)
        if event.detail.get("share") == 0.5:
            halfway[event.job.name].set()

    def script(request: dict[str, Any], say: Callable[..., None]) -> None:
        seen[request["name"]] = (request["device"], os.environ["OMP_NUM_THREADS"])
        say("start")
        threading.Event().wait(0.05)  # messages that follow at once are held back for the next
        say("progress", share=0.5)
        assert halfway[request["name"]].wait(30)
        threading.Event().wait(0.05)
        say("progress", share=1.0)
        if request["name"] == "raises":
            say("failed", error="ValueError: so it was")
        else:
            say("done", cost=2.5)

    scripted(monkeypatch, script)
    heard: list[Event] = []
    ends = Threads().run(jobs(tmp_path, "well", "raises"), on_event=hear)
    assert {end.job.name: (end.kind, end.detail) for end in ends} == {
        "well": ("done", {"cost": 2.5}),
        "raises": ("failed", {"error": "ValueError: so it was"}),
    }
    for name in ("well", "raises"):
        kinds = [event.kind for event in heard if event.job.name == name]
        assert kinds[0] == "start"
        assert kinds.count("start") == 1
        shares = [event.detail["share"] for event in heard
                  if event.kind == "progress" and event.job.name == name]  # fmt: skip
        assert shares == [0.5, 1.0]
    assert seen == {"well": ("cpu", "3"), "raises": ("cpu", "3")}
    assert list((tmp_path / "logs").iterdir()) == []


def test_a_job_whose_machine_is_gone_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def script(request: dict[str, Any], say: Callable[..., None]) -> None:
        tries.append(request["name"])
        say("start")
        if request["name"] == "always" or tries.count("once") == 1:
            Path(request["log"]).write_text("the last line\n")
            raise DiedError
        say("done")

    scripted(monkeypatch, script)
    once, always = jobs(tmp_path, "once", "always")
    assert [end.kind for end in Threads().run([once])] == ["done"]
    (end,) = Threads().run([always])
    assert end.kind == "failed"
    said = f"its job ended (NODE_FAIL)\nthe last line\n(tried {TRIES} times)"
    assert end.detail["error"] == said
    assert (tries.count("once"), tries.count("always")) == (2, TRIES)


def test_no_more_at_a_time_than_asked_for_and_a_late_refusal_is_one_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(request: dict[str, Any], say: Callable[..., None]) -> None:
        threading.Event().wait(0.02)
        executor.refuses = request["name"] == "3"
        say("done")

    scripted(monkeypatch, script)
    executor = Threads(most=1)
    ends = executor.run(jobs(tmp_path, "1", "2", "3", "4"))
    assert executor.most_at_work == 1
    assert executor.handed == ["1", "2", "3"]
    assert [(end.job.name, end.kind) for end in ends] == [
        ("1", "done"), ("2", "done"), ("3", "done"), ("4", "failed"),
    ]  # fmt: skip
    assert ends[-1].detail["error"] == "sbatch refuses"


def test_an_interruption_ends_all_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def script(request: dict[str, Any], say: Callable[..., None]) -> None:
        say("start")
        go.wait(10)

    def stop(event: Event) -> None:
        raise KeyboardInterrupt

    scripted(monkeypatch, script)
    executor = Threads()
    with pytest.raises(KeyboardInterrupt):
        executor.run(jobs(tmp_path, "1", "2"), on_event=stop)
    go.set()
    assert sorted(executor.ended) == ["1", "2"]


def test_a_full_disk_on_one_machine(tmp_path: Path) -> None:
    """The run, its log and its file of messages lie there; the scheduler has its last words."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20k", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk can be mounted by root alone")
    try:
        recipe = Recipe(data="digits", train_size=20, batch_size=10, epochs=1, warmup_epochs=0)
        request = {"recipe": asdict(recipe), "folder": str(disk / "run"), "data_dir": None}
        job = Job("run", disk / "run", disk / "logs" / "run.log", json.loads(json.dumps(request)))
        executor = Threads(keeps=True)
        (end,) = executor.run([job])
        assert executor.handed == ["run"]  # tried once: it would fail again
        assert end.kind == "failed"
        assert "no space left on" in end.detail["error"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
