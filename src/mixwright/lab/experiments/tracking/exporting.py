"""One exporter: from run folders to TensorBoard or a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mixwright.arguments import check_arguments
from mixwright.lab.experiments.tracking.csv_table import write_csv
from mixwright.lab.experiments.tracking.runs import find_runs
from mixwright.lab.experiments.tracking.tensorboard import write_events

Target = Literal["tensorboard", "csv"]

_WRITE = {"tensorboard": write_events, "csv": write_csv}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written.

    Args:
        path: the table, or the folder for ``tensorboard --logdir``.
        runs: how many runs it has.
        running: how many of them have not finished.
        points: how many numbers they have.
    """

    path: Path
    runs: int
    running: int
    points: int


@check_arguments
def export_runs(
    runs: str | Path | Sequence[str | Path],
    *,
    to: Target,
    out: str | Path,
    say: Callable[[str], None] = lambda sentence: None,
) -> Exported:
    """Write what runs have measured so far, for TensorBoard or as one tidy table.

    Doing it again brings the same files up to date: nothing is in them twice.

    Args:
        runs: run folders, folders of comparisons, or any that hold such.
        to: ``"tensorboard"`` for events, a folder a run (extra ``tensorboard``), or ``"csv"`` for
            ``runs.csv``, a row a run, epoch, set of weights and measure.
        out: folder to write into; it is made where it is missing.
        say: told of each run that is damaged and left out, or that lacks epochs.

    Raises:
        ValueError: there is no such folder, or it holds no run that can be read.
        ImportError: tensorboard is missing or too old.
        OSError: ``out`` cannot be written to.
    """
    found = find_runs([runs] if isinstance(runs, str | Path) else runs, say=say)
    return Exported(
        path=_WRITE[to](found, Path(out)),
        runs=len(found),
        running=sum(run.result is None for run in found),
        points=sum(len(points) for run in found for points in run.points()),
    )


def follow_runs(
    runs: str | Path | Sequence[str | Path],
    *,
    to: Target,
    out: str | Path,
    say: Callable[[str], None] = lambda sentence: None,
    every: float = 5.0,
) -> Iterator[Exported]:
    """Export again and again, ``every`` so many seconds, until all runs have finished.

    Arguments and errors are those of ``export_runs``; ``say`` is told each thing once.
    """
    told: set[str] = set()

    def once(sentence: str) -> None:
        if sentence not in told:
            told.add(sentence)
            say(sentence)

    while True:
        began = time.monotonic()
        exported = export_runs(runs, to=to, out=out, say=once)
        yield exported
        if not exported.running:
            return
        took = time.monotonic() - began
        time.sleep(max(every, 9 * took))  # a tenth of a core at most, beside what trains
