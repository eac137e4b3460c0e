"""What is the same for all executors: tries, runs that others have in hand, the folder's word."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from mixwright.files import LOCK, locked
from mixwright.lab.experiments.executors import base
from mixwright.lab.experiments.executors.base import (
    TRIES,
    Event,
    Executor,
    Job,
    LostError,
    SubmitError,
    Tell,
)


class Scripted(Executor):
    """Ends every try of a job at once, as it was told."""

    def __init__(self, outcome: Callable[[Job, int], str]) -> None:
        self.outcome, self.tries, self.cancelled = outcome, list[str](), 0

    @property
    def slots(self) -> int:
        return 1

    def submit(self, job: Job, tell: Tell) -> Future[Event]:
        self.tries.append(job.name)
        kind = self.outcome(job, self.tries.count(job.name))
        if kind == "refused":
            raise SubmitError("no such partition")
        future: Future[Event] = Future()
        tell(Event("start", job))
        if kind == "lost":
            future.set_exception(LostError("its machine is gone"))
        else:
            future.set_result(Event(kind, job, {"error": "so it was"}))  # type: ignore[arg-type]
        return future

    def cancel(self) -> None:
        self.cancelled += 1

    def __exit__(self, *error: object) -> None:
        pass


def job(tmp_path: Path, name: str) -> Job:
    folder = tmp_path / name
    folder.mkdir()
    return Job(name, folder, tmp_path / f"{name}.log", {"recipe": {}})


def kinds(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.job.name, event.kind) for event in events if event.kind != "start"]


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the folders of runs that have finished."""
    names: set[str] = set()
    monkeypatch.setattr(
        "mixwright.lab.training.folder.is_finished", lambda folder: folder.name in names
    )
    monkeypatch.setattr(base, "_HELD_EVERY", 0.01)
    return names


def test_tries_are_counted_and_what_raises_is_not_tried_again(
    tmp_path: Path, finished: set[str]
) -> None:
    script = {"once": ["lost", "done"], "always": ["lost"] * 9, "raises": ["failed"]}
    executor = Scripted(lambda job, tries: script[job.name][tries - 1])
    heard: list[Event] = []
    ends = executor.run([job(tmp_path, name) for name in script], on_event=heard.append)
    assert dict(kinds(ends)) == {"once": "done", "always": "failed", "raises": "failed"}
    assert {name: executor.tries.count(name) for name in script} == {
        "once": 2,
        "always": TRIES,
        "raises": 1,
    }
    (always,) = [end for end in ends if end.job.name == "always"]
    assert always.detail["error"] == f"its machine is gone\n(tried {TRIES} times)"
    assert [event.kind for event in heard].count("retry") == TRIES  # one and two
    assert executor.cancelled == 1


def test_a_run_lost_behind_its_last_word_is_done(tmp_path: Path, finished: set[str]) -> None:
    finished.add("well")
    executor = Scripted(lambda job, tries: "lost")
    assert kinds(executor.run([job(tmp_path, "well")])) == [("well", "done")]
    assert executor.tries == ["well"]


def test_a_run_of_another_command_is_waited_for(tmp_path: Path, finished: set[str]) -> None:
    """One ends there, one dies there and is taken over; both are told of once."""
    pytest.importorskip("fcntl")
    ends_there, dies_there = job(tmp_path, "ends there"), job(tmp_path, "dies there")
    locks = {one.name: locked(one.folder / LOCK) for one in (ends_there, dies_there)}
    heard: list[Event] = []

    def outcome(job: Job, tries: int) -> str:
        if job.name == "dies there" and tries < 3:
            return "held"  # another command was faster again
        return "held" if job.name == "ends there" else "done"

    def on_event(event: Event) -> None:
        heard.append(event)
        if kinds(heard) == [("ends there", "held"), ("dies there", "held")]:
            finished.add("ends there")
            for lock in locks.values():
                assert lock is not None
                lock.close()

    executor = Scripted(outcome)
    ends = executor.run([ends_there, dies_there], on_event=on_event)
    assert sorted(kinds(ends)) == [("dies there", "done"), ("ends there", "done")]
    assert kinds(heard)[:2] == [("ends there", "held"), ("dies there", "held")]
    assert len(kinds(heard)) == 4
    assert executor.tries.count("ends there") == 1


def test_a_scheduler_that_refuses(tmp_path: Path, finished: set[str]) -> None:
    """At first it is the caller's; a second try that is refused fails alone."""
    with pytest.raises(SubmitError, match="no such partition"):
        Scripted(lambda job, tries: "refused").run([job(tmp_path, "first")])
    script = {"again": ["lost", "refused"], "other": ["done"]}
    executor = Scripted(lambda job, tries: script[job.name][tries - 1])
    ends = executor.run([job(tmp_path, name) for name in script])
    assert dict(kinds(ends)) == {"again": "failed", "other": "done"}
