"""What a command will take: measured before it starts, refused where memory does not suffice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import torch

from mixwright.arguments import counted
from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.progress import say
from mixwright.lab.experiments.estimate import Estimate, epochs_left, measured_by_workers, summed
from mixwright.lab.experiments.free_memory import free_memory
from mixwright.lab.experiments.grid import own_fields
from mixwright.lab.experiments.measured_run import (
    ImageNeeds,
    Measured,
    image_needs,
    images_together,
    least_memory,
    measure_run,
)
from mixwright.lab.experiments.run import failure_text, new_model
from mixwright.lab.experiments.step_costs import CLOCKED, bare
from mixwright.lab.reports.formatting import about_time

if TYPE_CHECKING:
    from rich.console import Console

    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.experiments.executors.base import Executor
    from mixwright.lab.experiments.grid import Place, Planned
    from mixwright.lab.training.recipe import Recipe

WORTH_SAYING = 30.0
"""Seconds below which nobody needs to be told."""

_GIB, _MIB = 2**30, 2**20
# How a step ends that gets no memory: torch's words on both kinds of device, the system's signal.
_SHORT = ("out of memory", "not enough memory", "can't allocate", "OutOfMemory", "code -9")


def forecast(
    runs: Sequence[Planned],
    data: Dataset,
    place: Place,
    *,
    pool: Executor | None,
    workers: int = 1,
    elsewhere: int | None = None,
    tell: Callable[[str], None],
) -> Estimate | None:
    """Return what the missing runs will take, measured in the pool's workers, without one here.

    Runs that are done ``elsewhere``, so many at a time, are measured here all the same, as long as
    their kind of device is here; whether memory suffices there is not known.

    None where all are finished, or on a device whose time and memory we cannot read. ``tell`` is
    told which methods could not be measured.

    Raises:
        UsageError: there is too little memory; the message says what to do.
    """
    missing = [run for run in runs if not run.finished]
    device = torch.device(place.devices[0])
    if not missing or device.type not in CLOCKED:
        return None
    if elsewhere is not None and device.type == "cuda" and not torch.cuda.is_available():
        return None
    recipes = {run.method.text: run.recipe for run in reversed(missing)}
    recipe = missing[0].recipe
    together = math.ceil(workers / len(place.devices)) if device.type == "cuda" else workers
    free = None if elsewhere else free_memory()
    needs = _needs(recipe, data, free)
    if device.type == "cpu":
        least = least_memory(recipe, needs, images=len(data.train))
        _check(least, free, recipe, data, needs, together=together, pooled=pool is not None)
    if pool is None:
        found, unknown = _measured_here(recipes, data, device, place, needs)
    else:
        found, unknown = measured_by_workers(recipes, place, pool, needs=needs, workers=workers)
    for text, error in unknown.items():
        if any(word in error for word in _SHORT):
            raise UsageError(
                f"{text}: there is too little memory for a training step of "
                f"{images_together(recipe, len(data.train)):,} images of {_size(data)} pixels "
                f"({' '.join(error.split())[:200]}). {_advice(pooled=pool is not None)}"
            )
        tell(f"{text}: a training step could not be measured: {' '.join(error.split())[:200]}")
    if not found:
        return None
    total = summed(runs, found, workers=elsewhere or workers, compared=pool is not None)
    if total.memory is not None and elsewhere is None:
        room = free if total.free is None else total.free
        _check(total.memory, room, recipe, data, needs, together=together, pooled=pool is not None)
    return total


def estimate_line(found: Estimate) -> str:
    """Return the estimate of a comparison in one line.

    Example:
        >>> of = Estimate(seconds=1100, runs=(170, 190) * 6, workers=2, memory=645_000_000,
        ...               free=None, disk=0)
        >>> estimate_line(of)
        'about 18 minutes: 12 runs of 3 minutes on 2 workers; 0.6 GiB each'
    """
    low, high = about_time(min(found.runs)), about_time(max(found.runs))
    number, _, unit = low.rpartition(" ")
    if low == high:
        spread = high
    elif high.endswith((unit, f"{unit}s")):
        spread = f"{number} to {high}"
    else:
        spread = f"{low} to {high}"
    runs = f"{counted(len(found.runs), 'run')} of {spread} on {counted(found.workers, 'worker')}"
    memory = "" if found.memory is None else f"; {_gib(found.memory)} each"
    return f"about {about_time(found.seconds)}: {runs}{memory}{_rarer(found)}"


def run_line(found: Estimate, run: Planned) -> str:
    """Return the estimate of a single run in one line."""
    epochs = len(epochs_left(run))
    memory = "" if found.memory is None else f"; {_gib(found.memory)}"
    each = about_time(found.seconds / max(1, epochs))
    times = f"{counted(epochs, 'epoch')} of {each}"
    return f"about {about_time(found.seconds)}: {times}{memory}{_rarer(found)}"


def _rarer(found: Estimate) -> str:
    """What rarer evaluations would spare."""
    if found.sparser is None:
        return ""
    every, seconds = found.sparser
    return f"; with --eval-every {every} about {about_time(seconds)}"


def say_plan(
    runs: Sequence[Planned],
    found: Estimate | None,
    console: Console,
    *,
    passed: float,
    line: Callable[[Estimate], str] = estimate_line,
) -> None:
    """Say what would be done and what it would take; ``passed`` seconds went by before it."""
    methods = {run.method.text: run.method for run in runs}
    say(console, "methods")
    for text, method in methods.items():
        options = ", ".join(f"{name} {value}" for name, value in method.options.items())
        say(console, f"  {text}: {method.label}{f' ({options})' if options else ''}")
    recipes = [asdict(run.recipe) for run in runs]
    shared = [
        f"{name} {value}"
        for name, value in recipes[0].items()
        if value is not None
        and name not in ("method", "seed")
        and all(recipe[name] == value for recipe in recipes)
    ]
    say(console, f"recipe: {', '.join(shared)}")
    for text, fields in own_fields(runs).items():
        own = ", ".join(f"{name} {value}" for name, value in fields.items())
        say(console, f"  {text}: {own}")
    seeds = dict.fromkeys(str(run.recipe.seed) for run in runs)
    say(console, f"seeds: {', '.join(seeds)}")
    if all(run.finished for run in runs):
        say(console, "estimate: all runs are finished")
    elif found is None:
        say(console, "estimate: none on this device, or for processes that train together")
    else:
        whole = replace(found, seconds=found.seconds + passed)
        say(console, f"estimate: {line(whole)}, {_bytes(found.disk)} on disk")
    say(console, "nothing was written (--dry-run)")


def _needs(recipe: Recipe, data: Dataset, free: int | None) -> ImageNeeds:
    """What an image needs; of networks that cannot be asked without data, nothing is known."""
    with torch.random.fork_rng(devices=[]):
        with users_words():  # a function of the user's, called again
            model = new_model(bare(recipe), data)
        try:
            return image_needs(model, data.train.shape, free=free)
        except (RuntimeError, NotImplementedError, TypeError, ValueError):
            return ImageNeeds(bytes=0.0, seconds=1e-9, fixed=0)


def _measured_here(
    recipes: dict[str, Recipe], data: Dataset, device: torch.device, place: Place, needs: ImageNeeds
) -> tuple[dict[str, Measured], dict[str, str]]:
    found: dict[str, Measured] = {}
    unknown: dict[str, str] = {}
    for text, recipe in recipes.items():
        try:
            found[text] = measure_run(recipe, data, device=device, needs=needs, trust=place.trust)
        except Exception as error:  # it will be met again where it is reported
            unknown[text] = failure_text(error)
    return found, unknown


def _check(
    memory: float,
    free: int | None,
    recipe: Recipe,
    data: Dataset,
    needs: ImageNeeds,
    *,
    together: int,
    pooled: bool,
) -> None:
    """Refuse what does not fit; ``memory`` is that of each of the workers that share a device."""
    if free is None or memory * together <= free:
        return
    images = images_together(recipe, len(data.train))
    others = memory - images * needs.bytes
    fits = int((free / together - others) / needs.bytes) if needs.bytes else 0
    example = f" (about {fits * recipe.accumulate:,} fit)" if 0 < fits < images else ""
    who = f"{together} workers need" if together > 1 else "training needs"
    raise UsageError(
        f"{who} {_gib(memory * together)} of memory, of which {_gib(free)} are free: a step is "
        f"{images:,} images of {_size(data)} pixels in {recipe.model}. "
        f"{_advice(pooled=pooled and together > 1, example=example)}"
    )


def _advice(*, pooled: bool, example: str = "") -> str:
    fewer = ", fewer --workers" if pooled else ""
    return f"Give a smaller --batch-size{example}{fewer} or a smaller --image-size."


def _size(data: Dataset) -> str:
    return "x".join(str(side) for side in data.train.shape[1:])


def _gib(size: float) -> str:
    amount = size / _GIB
    return f"{amount:.1f} GiB" if amount < 100 else f"{amount:,.0f} GiB"


def _bytes(size: int) -> str:
    return f"{size / _MIB:,.0f} MiB" if size < _GIB else _gib(size)
