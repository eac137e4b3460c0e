"""Warnings on the display: shown once a run, on a terminal and elsewhere."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from mixwright.lab.cli.progress import display
from mixwright.lab.experiments.pool import Event, Job, progress_detail
from mixwright.lab.training.progress import Progress


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
