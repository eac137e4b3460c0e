"""Warnings on the display: shown once a run, on a terminal and elsewhere."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from mixwright.lab.cli import main, progress
from mixwright.lab.cli.progress import display
from mixwright.lab.experiments.executors.base import Event, Job, progress_detail
from mixwright.lab.experiments.executors.worker import serve
from mixwright.lab.training.progress import Progress
from mixwright.lab.training.recipe import Recipe


def now(*warnings: str, epoch: int = 1) -> dict[str, object]:
    return progress_detail(
        Progress(epoch=epoch, epochs=4, step=1, steps=2, loss=1.0, accuracy=0.5, lr=0.1,
                 seconds_left=1.0, scores={"raw": 0.5}, warnings=warnings)
    )  # fmt: skip


@pytest.mark.parametrize("terminal", [False, True])
def test_a_warning_is_shown_once_for_each_run(terminal: bool) -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal)
    one, other = (Job(name, Path(name), Path(name), {}) for name in ("one", "other"))
    with display(console, total=2, finished=0) as shown:
        shown.tell(Event("start", one))
        shown.tell(Event("start", other))
        for epoch in (1, 2, 3):
            shown.tell(Event("progress", one, now(f"flat [by] 0.{epoch}", "large", epoch=epoch)))
        shown.tell(Event("progress", other, now("flat [by] 0.7")))
        shown.tell(Event("progress", other, now()))
        shown.tell(Event("done", one))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("one: flat [by] 0.1") == 1
    assert text.count("one: large") == 1
    assert text.count("other: flat [by] 0.7") == 1
    assert text.count("flat") == 2


@pytest.mark.parametrize("terminal", [False, True])
def test_without_warnings_progress_prints_nothing(terminal: bool) -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal)
    job = Job("one", Path("one"), Path("one"), {})
    with display(console, total=1, finished=0) as shown:
        shown.tell(Event("start", job))
        shown.tell(Event("progress", job, {"share": 0.5, "epoch": 1, "epochs": 2, "top1": None}))
        shown.tell(Event("progress", job, now()))
    assert "one: " not in console.file.getvalue()  # type: ignore[attr-defined]


def shares(share: float, *, epochs: int = 4, top1: float | None = None) -> dict[str, object]:
    return {"share": share, "epoch": int(share * epochs - 1e-9) + 1, "epochs": epochs, "top1": top1}


def test_piped_lines_say_accuracy_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    jobs = [Job(name, Path(name), Path(name), {}) for name in ("none", "cutmix", "fmix")]
    # Of four runs one was finished by an earlier command.
    with display(console, total=4, finished=1) as lines:
        lines.tell(Event("start", jobs[0]))
        for second in range(1, 41):  # a tenth of it every four seconds
            now[0] = float(second)
            lines.tell(Event("progress", jobs[0], shares(second / 40, top1=second / 100)))
        lines.tell(Event("done", jobs[0]))
        # The second had done the first of its two epochs before: 1.125 runs in 50 s, 1.375 left.
        lines.tell(Event("start", jobs[1]))
        for second, share in ((50.0, 0.625), (60.0, 0.75)):
            now[0] = second
            lines.tell(Event("progress", jobs[1], shares(share, epochs=2)))
        lines.tell(Event("done", jobs[1]))
        lines.tell(Event("start", jobs[2]))
        now[0] = 75.0
        lines.tell(Event("progress", jobs[2], {"note": "DADA searches: epoch 1 of 20"}))
        now[0] = 100.0
        lines.tell(Event("done", jobs[2]))
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "none: epoch 1/4, top-1 10.0 %; about 2 minutes left",
        "none: epoch 2/4, top-1 20.0 %; about 2 minutes left",
        "none: epoch 3/4, top-1 30.0 %; about 2 minutes left",
        "none: epoch 4/4, top-1 40.0 %; about 80 seconds left",
        "[2/4] none: done in 40 s, top-1 40.0 %; about 80 seconds left",
        "cutmix: epoch 2/2; about 61 seconds left",
        "cutmix: epoch 2/2; about 60 seconds left",
        "[3/4] cutmix: done in 20 s; about 40 seconds left",
        "fmix: DADA searches: epoch 1 of 20; about 50 seconds left",
        "[4/4] fmix: done in 40 s",
    ]


def test_a_run_that_another_command_did_took_no_time_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    jobs = [Job(name, Path(name), Path(name), {}) for name in ("none", "cutmix")]
    with display(console, total=2, finished=0) as lines:
        lines.tell(Event("held", jobs[0]))
        now[0] = 7.0
        lines.tell(Event("done", jobs[0]))
        lines.tell(Event("start", jobs[1]))  # and then finds the folder locked
        lines.tell(Event("held", jobs[1]))
        now[0] = 10.0
        lines.tell(Event("done", jobs[1]))
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "[0/2] none: another mixwright is at work on it; waiting for it",
        "[1/2] none: done elsewhere; about 7 seconds left",
        "[1/2] cutmix: another mixwright is at work on it; waiting for it; about 7 seconds left",
        "[2/2] cutmix: done elsewhere",
    ]


def test_long_runs_have_a_hundred_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    job = Job("none", Path("none"), Path("none"), {})
    with display(console, total=1, finished=0) as lines:
        lines.tell(Event("start", job))
        for hour_share in range(1, 10_001):  # a day, in events of 8.64 seconds
            now[0] = 8.64 * hour_share
            lines.tell(Event("progress", job, shares(hour_share / 10_000)))
    assert 90 <= len(console.file.getvalue().splitlines()) <= 100  # type: ignore[attr-defined]


SEARCH = "dada:search_epochs=2,search_size=20"


def test_the_search_of_dada_shows_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_PAUSE", 0.0)
    short = ["--epochs", "1", "--train-size", "20", "--batch-size", "10"]
    assert main(["train", SEARCH, *short, "--out", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    assert f"{SEARCH}, seed 0: DADA searches on 20 images before the first epoch" in shown
    assert f"{SEARCH}, seed 0: DADA searches: epoch 2 of 2, loss " in shown
    assert "DADA (search_epochs 2, search_size 20): smallconv on digits, 1 epoch\n" in shown

    # In a worker of a comparison.
    recipe = Recipe(method=SEARCH, train_size=20, batch_size=10, epochs=1)
    out = io.StringIO()
    serve(
        {
            "recipe": asdict(recipe),
            "folder": str(tmp_path / "other"),
            "log": str(tmp_path / "log"),
            "device": "cpu",
        },
        out,
    )
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    notes = [event["note"] for event in told if "note" in event]
    assert [note.partition(",")[0] for note in notes[1:3]] == [
        "DADA searches: epoch 1 of 2",
        "DADA searches: epoch 2 of 2",
    ]
    assert told[-1]["kind"] == "done"
