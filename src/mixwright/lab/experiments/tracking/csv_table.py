"""Runs as one tidy table."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from pathlib import Path

from mixwright.files import write_whole
from mixwright.lab.experiments.tracking.runs import TrackedRun

HEAD = ("run", "method", "seed", "epoch", "weights", "measure", "value")


def write_csv(runs: Sequence[TrackedRun], out: Path) -> Path:
    """Write ``runs.csv``: a row a run, epoch, set of weights and measure.

    ``weights`` is empty where a number is of no set of weights; ``value`` is as measured:
    fractions, nats, seconds. The file is whole or not at all, and replaces an earlier one.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    for run in runs:
        own = (run.name, run.recipe.method, run.recipe.seed)
        writer.writerows(
            (*own, point.epoch, point.weights, point.measure, repr(point.value))
            for point in itertools.chain(*run.points())
        )
    out.mkdir(parents=True, exist_ok=True)
    path = out / "runs.csv"
    write_whole(path, lambda file: file.write(text.getvalue().encode(errors="backslashreplace")))
    return path
