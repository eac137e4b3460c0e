"""What the runs of a command will take, before any of them starts: time, memory, disk.

As many processes as will train take a few real training steps of each METHOD, all at work at a
time as the runs will be, so that how much they slow each other down is in the figures.
"""

from __future__ import annotations

import heapq
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mixwright.lab.experiments.executors.base import Executor, Job
from mixwright.lab.experiments.measured_run import ImageNeeds, Measured
from mixwright.lab.experiments.step_costs import seconds_of_costs
from mixwright.lab.settings import decode
from mixwright.lab.training.folder import read_metrics
from mixwright.lab.training.mask_snapshots import is_snapshot_epoch
from mixwright.lab.training.recipe import Recipe

if TYPE_CHECKING:
    from mixwright.lab.experiments.grid import Place, Planned

# Curves are as good with so many evaluations of a run; fewer are named where they spare this share
# of the time, and a minute.
_EVALUATIONS, _SPARED, _MINUTE = 10, 0.25, 60.0

# A page takes a part of the time in which a process of ours gets ready, and more for each method.
_PAGE, _PAGE_A_METHOD = 0.4, 0.05


class Sparser(NamedTuple):
    """An evaluation every so many epochs, and the seconds that all would take then."""

    eval_every: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the missing runs of a command take.

    Attributes:
        seconds: of all of it; runs share the workers.
        runs: seconds of each missing run.
        workers: how many are at work at a time.
        memory: most bytes of one worker; None where the system does not say.
        free: bytes of a CUDA device that were free; None for the CPU.
        disk: bytes that are written.
        sparser: rarer evaluations, where a good part of the time is theirs; None elsewhere, and
            where a run was begun, which would begin anew.
    """

    seconds: float
    runs: tuple[float, ...]
    workers: int
    memory: int | None
    free: int | None
    disk: int
    sparser: Sparser | None = None


def measured_by_workers(
    recipes: Mapping[str, Recipe], place: Place, pool: Executor, *, needs: ImageNeeds, workers: int
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Measure a run of each METHOD in the workers of a pool, all at work at a time.

    Return what was found, and for METHODs that could not be measured the reason.
    """
    again = math.ceil(workers / len(recipes))  # of a single method too, all are at work
    jobs = [_job(*item, place, needs, workers) for item in recipes.items()] * again
    found: dict[str, list[Measured]] = {}
    unknown: dict[str, str] = {}
    for end in pool.run(jobs):
        if end.kind == "done":
            one = decode(Measured, end.detail["measured"], where="what a worker measured")
            found.setdefault(end.job.name, []).append(one)
        else:
            unknown[end.job.name] = str(end.detail.get("error", "")).strip()
    return {text: _mean(many) for text, many in found.items()}, unknown


def _on_the_wall(measured: Mapping[str, Measured]) -> dict[str, Measured]:
    """All seconds by the wall clock, as it ran on the whole while these were measured."""
    slow = sum(one.wall for one in measured.values()) / sum(one.busy for one in measured.values())
    return {
        text: replace(
            one,
            start=one.start * slow,
            step=one.step * slow,
            epoch=one.epoch * slow,
            evaluation=one.evaluation * slow,
            end=one.end * slow,
        )
        for text, one in measured.items()
    }


def run_seconds(run: Planned, measured: Measured, *, eval_every: int | None = None) -> float:
    """Return what is left to do of a run, of which all seconds are by the wall clock.

    ``eval_every`` are epochs between two evaluations, where they are not those of its recipe.
    """
    recipe, left = run.recipe, epochs_left(run)
    every = eval_every or recipe.eval_every
    evaluated = sum(not epoch % every or epoch == recipe.epochs for epoch in left)
    snapshots = sum(is_snapshot_epoch(epoch, recipe.epochs) for epoch in left)
    return (
        measured.start
        + len(left) * (measured.epoch + measured.save)
        + evaluated * (measured.evaluation + measured.better / 2)  # some are better than before
        + snapshots * measured.snapshot
        + measured.end
    )


def summed(
    runs: Sequence[Planned], measured: Mapping[str, Measured], *, workers: int, compared: bool
) -> Estimate:
    """Sum up what missing runs take, each of the METHOD that was measured; others count as these.

    ``compared`` counts what a comparison does after its runs.
    """
    missing = [run for run in runs if not run.finished]
    measured = _on_the_wall(measured)
    usual = _mean(list(measured.values()))
    each = [(run, measured.get(run.method.text, usual)) for run in missing]
    seconds = [run_seconds(run, found) for run, found in each]
    after = _after(runs, measured, usual) if compared else 0.0
    whole = after + makespan(seconds, workers)
    disk = 0
    for run, found in each:
        snapshots = sum(is_snapshot_epoch(epoch, run.recipe.epochs) for epoch in epochs_left(run))
        disk += found.checkpoints + snapshots * found.snapshot_bytes
    memory = [one.memory for one in measured.values() if one.memory is not None]
    free = [one.free for one in measured.values() if one.free is not None]
    return Estimate(
        seconds=whole,
        runs=tuple(seconds),
        workers=workers,
        memory=max(memory, default=None),
        free=max(free, default=None),  # as it was before the first of them began
        disk=disk,
        sparser=_sparser(each, workers, after=after, whole=whole)
        if len(missing) == len(runs)
        else None,
    )


def _sparser(
    each: Sequence[tuple[Planned, Measured]], workers: int, *, after: float, whole: float
) -> Sparser | None:
    """Ten evaluations of the longest run; None where they spare little, or a run was begun.

    ``whole`` are the seconds of all, of which ``after`` come after the runs.
    """
    runs = [run for run, _ in each]
    every = max(run.recipe.epochs for run in runs) // _EVALUATIONS
    if every <= max(run.recipe.eval_every for run in runs):
        return None
    if any(len(epochs_left(run)) < run.recipe.epochs for run in runs):
        return None
    seconds = [run_seconds(run, measured, eval_every=every) for run, measured in each]
    sparser = Sparser(every, after + makespan(seconds, workers))
    return sparser if whole - sparser.seconds >= max(_MINUTE, _SPARED * whole) else None


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return when the last of some runs ends, each taken by the first worker that is free.

    Example:
        >>> makespan([3.0, 1.0, 1.0, 4.0], 2)
        6.0
    """
    busy = [0.0] * workers
    for one in seconds:
        heapq.heapreplace(busy, busy[0] + one)
    return max(busy)


def _after(runs: Sequence[Planned], measured: Mapping[str, Measured], usual: Measured) -> float:
    """Seconds in which the cost of steps is measured and the page is made, by one process."""
    recipes = {run.method.text: run.recipe for run in runs}
    plain = measured.get("none", usual).step
    costs = 0.0
    for text, recipe in recipes.items():
        own = measured.get(text, usual)
        if text != "none":
            steps = recipe.epochs * max(1, round(own.epoch / max(own.step, 1e-9)))
            seeds = len(runs) // len(recipes)
            costs += 2 * own.start + seconds_of_costs(plain, own.step, seeds=seeds, steps=steps)
    ready = usual.ready * (_PAGE + _PAGE_A_METHOD * len(recipes) + (1 if costs else 0))
    return costs + ready


def epochs_left(run: Planned) -> range:
    """Return the epochs of a run that are still to be trained."""
    done = 0
    if (run.folder / "last.pt").exists():
        done = max((record["epoch"] for record in read_metrics(run.folder)), default=0)
    return range(done + 1, run.recipe.epochs + 1)


def _mean(many: Sequence[Measured]) -> Measured:
    """One for several; of memory the most."""
    values = {field.name: [getattr(one, field.name) for one in many] for field in fields(Measured)}
    summary: dict[str, float | int | None] = {}
    for name, found in values.items():
        if name in ("memory", "free", "ready"):
            known = [value for value in found if value is not None]
            # A worker was started for the first of its requests alone.
            summary[name] = (min if name == "ready" else max)(known, default=None)
        else:
            summary[name] = type(found[0])(statistics.fmean(found))
    return Measured(**summary)  # pyright: ignore[reportArgumentType]


def _job(text: str, recipe: Recipe, place: Place, needs: ImageNeeds, workers: int) -> Job:
    request = {
        "estimate": {
            "recipe": asdict(recipe),
            "data_name": place.data or recipe.data,
            "data_dir": place.data_dir,
            "skip_unreadable": place.skip_unreadable,
            "trust": place.trust,
            "needs": asdict(needs),
            "workers": workers,
        }
    }
    return Job(text, Path(), Path(os.devnull), request)
