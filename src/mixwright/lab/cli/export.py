"""``mixwright export``: curves of runs for TensorBoard, or as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mixwright.arguments import counted
from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.parser import option, parse
from mixwright.lab.reports.plain_text import printable

if TYPE_CHECKING:
    from mixwright.lab.experiments.tracking.exporting import Exported

ABOUT = """Write what runs have measured, epoch by epoch, for TensorBoard or as one tidy table.

A RUN is the folder of a run, of a comparison, or any that holds such. Runs may still be training:
the same command again adds what is new, and nothing twice."""


@dataclass(frozen=True)
class ExportOptions:
    """``mixwright export``."""

    runs: tuple[str, ...] = option((), "folders of runs", metavar="RUN")
    to: Literal["tensorboard", "csv"] | None = option(
        None,
        "tensorboard: a folder of events a run (extra tensorboard); csv: runs.csv, a row a run, "
        "epoch, set of weights and measure",
    )
    out: str = option("runs/export", "folder to write into (default runs/export)", metavar="DIR")
    follow: bool = option(
        False, "go on until all runs have finished, adding what is new every few seconds"
    )


def main(argv: Sequence[str]) -> int:
    """Run the command; see ``cli.main``."""
    options = parse(ExportOptions, argv, prog="mixwright export", about=ABOUT)
    if not options.runs:
        raise UsageError("no run given; expected folders of runs: mixwright export runs/compare.")
    if options.to is None:
        raise UsageError("--to is not given; expected --to tensorboard or --to csv.")

    from mixwright.lab.cli.prepare import out_folder, tell
    from mixwright.lab.experiments.tracking.exporting import export_runs, follow_runs

    out = out_folder(options.out)
    try:
        with users_words():
            if options.follow:
                shown = None
                for exported in follow_runs(options.runs, to=options.to, out=out, say=tell):
                    if exported != shown:
                        _show(exported, options.to)
                    shown = exported
            else:
                _show(export_runs(options.runs, to=options.to, out=out, say=tell), options.to)
    except ImportError as error:
        raise UsageError(f"{error}. A table needs nothing more: --to csv.") from error
    return 0


def _show(exported: Exported, to: str) -> None:
    running = f", {exported.running} of them unfinished" if exported.running else ""
    numbers = f"{counted(exported.runs, 'run')}, {exported.points:,} numbers{running}"
    line = f"{to}  {exported.path}  ({numbers})"
    print(printable(line), flush=True)
