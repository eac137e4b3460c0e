"""Live progress of an evaluation: bars on a terminal, a line for each finished part elsewhere."""

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING

from mixwright.lab.cli.progress import say
from mixwright.lab.experiments.evaluations.measuring import KEPT
from mixwright.lab.reports.plain_text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from mixwright.lab.evaluation.subject import Evaluation
    from mixwright.lab.experiments.evaluations.measuring import PartProgress
    from mixwright.lab.experiments.evaluations.models_to_evaluate import ModelToEvaluate


@contextlib.contextmanager
def show_progress(console: "Console", *, total: int) -> "Generator[PartProgress]":
    """Show how far an evaluation of ``total`` parts is, for the length of a ``with`` block."""
    if console.is_terminal:
        with _bars(console, total) as on_progress:
            yield on_progress
    else:
        yield _lines(console, total)


def _lines(console: "Console", total: int) -> "PartProgress":
    ended = 0

    def on_progress(
        candidate: "ModelToEvaluate", part: "Evaluation", share: float, note: str
    ) -> None:
        nonlocal ended
        if share < 1:
            return
        ended += 1
        what = f"{candidate.name} ({candidate.weights}): {part.name}"
        outcome = "done" if not note else note if note == KEPT else f"not measured: {note}"
        say(console, f"[{ended:>{len(str(total))}}/{total}] {what} {outcome}")

    return on_progress


@contextlib.contextmanager
def _bars(console: "Console", total: int) -> "Generator[PartProgress]":
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=32),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    ended = 0
    with progress:
        every = progress.add_task("all", total=total, note="")
        one = progress.add_task("", total=1.0, note="")

        def on_progress(
            candidate: "ModelToEvaluate", part: "Evaluation", share: float, note: str
        ) -> None:
            nonlocal ended
            what = f"{candidate.name} ({candidate.weights}): {part.name}"
            if share >= 1:
                ended += 1
                if note and note != KEPT:
                    say(console, f"{what} not measured: {note}")
            progress.update(
                one,
                description=printable(what),
                completed=share,
                note="" if share >= 1 else printable(note),
            )
            done = ended if share >= 1 else ended + share
            progress.update(every, completed=done, note=f"{ended}/{total}")

        yield on_progress
