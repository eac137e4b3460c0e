"""What a training step of each METHOD costs, in turn with steps without mixing.

The clock of a run is that of a machine which other runs share, so nothing is ranked by it. Once
the runs of a comparison are there, one process with one thread takes real training steps of each
method and without mixing in turns, and counts the time of the processor, or on CUDA of the device.
What it found stands in the comparison's folder: the same command again measures nothing twice.
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mixwright import __version__
from mixwright.files import read_json, write_json
from mixwright.lab.analysis.cost import StepCost, StepCosts
from mixwright.lab.bench.timing import Timer, in_turn, processor, timer_for
from mixwright.lab.experiments.executors.base import Event, Executor, Job, SubmitError
from mixwright.lab.experiments.executors.local import Pool
from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.experiments.run import dataset_of, new_model
from mixwright.lab.settings import decode
from mixwright.lab.training.distributed import World
from mixwright.lab.training.epoch import MicroBatches, in_groups, streams, train_step
from mixwright.lab.training.learner import build_criterion
from mixwright.lab.training.loop import torch_set_for
from mixwright.lab.training.machine import machine
from mixwright.lab.training.meter import MeanMeter
from mixwright.lab.training.recipe import Recipe, recipe_hash
from mixwright.lab.training.session import Session, prepare
from mixwright.sampling import Stream

if TYPE_CHECKING:
    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.experiments.grid import Place, Planned

FILE = "cost.json"
CLOCKED = ("cpu", "cuda")
"""Kinds of devices on which steps can be timed."""

# Rounds of a method, and seconds of them. More seconds are spent where the steps that are measured
# stay below one in 50 of its training, fewer where they would be more than one in 4 of a short one.
_FEWEST, _MOST, _SECONDS = 5, 40, 1.5
_LITTLE, _MUCH = 50, 4
_WARM_UP, _WARM_UP_CUDA = 2, 16  # a device loads a kernel when it is first called
_GOLDEN = 0.6180339887498949  # its multiples modulo 1 fill [0, 1) evenly, however many there are


def step_costs(
    runs: Sequence[Planned],
    place: Place,
    out: Path,
    *,
    say: Callable[[str], None],
    executor: Executor | None = None,
) -> StepCosts | None:
    """Return what a step costs with each METHOD of the finished runs, measured where it is unknown.

    Costs are read from ``cost.json`` in ``out`` where it is of the same recipe, machine and
    versions, and written there. They are measured in a process here, or where ``executor`` does
    jobs; then those of any of its machines count. None where there is nothing to compare, or no
    clock for the device.
    """
    device = torch.device(place.devices[0])
    recipes = bare_recipes([run for run in runs if run.finished])
    if device.type not in CLOCKED or not set(recipes) - {"none"}:
        return None
    wanted = conditions(recipes, device, elsewhere=executor is not None)
    known = _known(out / FILE, wanted)
    seeds = len(runs) // len({run.method.text for run in runs})
    return completed(known, recipes, place, out / FILE, seeds=seeds, say=say, executor=executor)


def completed(
    known: StepCosts,
    recipes: Mapping[str, Recipe],
    place: Place,
    file: Path,
    *,
    seeds: int,
    say: Callable[[str], None],
    executor: Executor | None = None,
) -> StepCosts:
    """Return what is known and, measured now, the costs that it lacks; all are kept in the file.

    ``recipes`` are bare, by METHOD. ``say`` is told what could not be measured or kept.
    """
    wanted = {text: recipe for text, recipe in recipes.items() if text not in known.methods}
    wanted.pop("none", None)
    if not wanted:
        return known
    say(f"measuring what a training step costs with {len(wanted)} of the methods")
    jobs = [_job(text, recipe, place, file.parent, seeds) for text, recipe in wanted.items()]
    pool = executor or Pool(workers=1, threads=1, devices=place.devices)
    found: dict[str, StepCost] = {}
    for end in _ends(pool, jobs, say):
        if end.kind == "done":
            if executor is not None:
                known = replace(known, **end.detail["machine"])
            found[end.job.name] = decode(StepCost, end.detail["cost"], where="the cost of a step")
        else:
            error = str(end.detail.get("error", "")).strip().splitlines()
            say(f"{end.job.name}: its cost could not be measured: {' '.join(error[:1])}")
    known = replace(known, methods={**known.methods, **found})
    try:
        write_json(file, asdict(known))
    except OSError as error:  # no reason to lose the table of the runs
        say(f"what steps cost could not be kept: {error}; it is measured anew the next time.")
    return known


def _ends(pool: Executor, jobs: Sequence[Job], say: Callable[[str], None]) -> list[Event]:
    """How the jobs ended; none where a scheduler refuses them: the runs are not lost for that."""
    try:
        return pool.run(jobs)
    except SubmitError as error:
        say(f"what steps cost could not be measured: {error}")
        return []


def measure_step(
    recipe: Recipe,
    data: Dataset,
    *,
    device: torch.device,
    trust: bool = False,
    seeds: int = 1,
    timer: Timer | None = None,
) -> StepCost:
    """Measure real training steps of a recipe in turn with such steps without mixing.

    Both are spread over the whole of training, since schedules and the last epochs without mixing
    change what is done. ``seeds`` is the number of the method's runs, whose steps limit those that
    are measured. ``timer`` None is the time of the processor, or on CUDA of the device.
    """
    if timer is None:
        timer = timer_for(device) if device.type == "cuda" else processor
    with torch_set_for(recipe, device):
        plain, own = (Steps(one, data, device, trust=trust) for one in (_plain(recipe), recipe))
        plain.begin()
        start_seconds = timer(own.begin)
        steps = recipe.epochs * own.session.steps
        most = _rounds(seeds * steps / _MUCH)
        turns = in_turn(
            (plain, own),
            timer=timer,
            warm_up=_WARM_UP_CUDA if device.type == "cuda" else _WARM_UP,
            rounds=None,
            seconds=_SECONDS,
            fewest=min(most, _rounds(seeds * steps / _LITTLE)),
            most=most,
        )
    return step_cost(turns[0], turns[1], start_seconds=start_seconds, steps=steps)


def step_cost(
    plain: Sequence[float], own: Sequence[float], *, start_seconds: float, steps: int
) -> StepCost:
    """Sum up the turns of steps without mixing and of a method, in the order of the rounds.

    ``start_seconds`` are spent once in a run, before its ``steps``.

    Example:
        >>> found = step_cost([1.0, 1.0, 2.0], [1.0, 2.0, 3.0], start_seconds=4.0, steps=12)
        >>> found.ratio, found.median, found.training
        (1.5, 1.5, 1.75)
    """
    ratios = [a / b for a, b in zip(own, plain, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    # Not the median: methods draw how much they do, and many steps cost the mean.
    ratio = statistics.fmean(own) / statistics.fmean(plain)
    return StepCost(
        ratio=ratio,
        median=statistics.median(ratios),
        low=low,
        high=high,
        training=ratio + start_seconds / (steps * statistics.fmean(plain)),
        seconds=statistics.median(own),
        least=min(own),
        plain_seconds=statistics.median(plain),
        rounds=len(ratios),
    )


def seconds_of_costs(plain: float, own: float, *, seeds: int, steps: int) -> float:
    """Return how long ``measure_step`` takes for a method, by the seconds of a step without mixing
    and of its own."""
    most = _rounds(seeds * steps / _MUCH)
    fewest = min(most, _rounds(seeds * steps / _LITTLE))
    rounds = min(most, max(fewest, int(_SECONDS / max(plain + own, 1e-9))))
    return (_WARM_UP + rounds) * (plain + own)


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Do what a worker is asked for: the step of a METHOD and where, as plain values."""
    recipe = Recipe.from_json(json.dumps(request["recipe"]))
    data = dataset_of(
        recipe,
        recipe.data,
        data_dir=request["data_dir"],
        skip_unreadable=request["skip_unreadable"],
    )
    device = torch.device(request["device"])
    cost = measure_step(recipe, data, device=device, trust=request["trust"], seeds=request["seeds"])
    return {"cost": asdict(cost), "machine": _names(device)}


def _rounds(steps: float) -> int:
    """Rounds of two steps each, as many as make so many steps."""
    return min(_MOST, max(_FEWEST, int(steps / 2)))


class Steps:
    """The training steps of a recipe, one a call, spread evenly over its epochs."""

    def __init__(self, recipe: Recipe, data: Dataset, device: torch.device, *, trust: bool) -> None:
        method = parse_method(recipe.method, trust=trust)
        self.session = prepare(
            recipe,
            model=new_model(recipe, data),
            objective=method.objective(build_criterion(recipe)),
            data=data,
            world=World(),
            device=device,
        )
        self._mixing = streams(recipe.seed, 0, 1)[Stream.MIX]
        self._groups = _full_groups(self.session)
        self._count = 0

    def begin(self) -> None:
        """Do what comes before the first step of a run."""
        self.session.train_mode()
        self.session.begin_epoch()
        if self.session.train.decoded is not None:
            # Reading them is no part of a step: other processes do it ahead of time.
            self._groups = itertools.cycle([*itertools.islice(self._groups, 2)])

    def __call__(self) -> None:
        """Take the next step."""
        progress = self._count * _GOLDEN % 1
        self._count += 1
        epoch = 1 + int(progress * self.session.recipe.epochs)
        group = next(self._groups)
        train_step(self.session, group, MeanMeter(), self._mixing, progress, epoch)


def _full_groups(session: Session) -> Iterator[MicroBatches]:
    """Images of step after step without end; smaller steps at the end of an epoch are left out."""
    wanted = None
    for epoch in itertools.count(1):
        seeds = streams(session.recipe.seed, 0, epoch)
        batches = session.train.epoch(order=seeds[Stream.ORDER], augment=seeds[Stream.AUGMENT])
        for group in in_groups(batches, session.recipe.accumulate):
            size = sum(len(labels) for _, labels in group)
            wanted = size if wanted is None else wanted  # an epoch's first step is a full one
            if size == wanted:
                yield group


def _plain(recipe: Recipe) -> Recipe:
    return replace(recipe, method="none")


def bare_recipes(runs: Sequence[Planned]) -> dict[str, Recipe]:
    """Return the recipe of each METHOD, that of its first run, as it is measured."""
    recipes: dict[str, Recipe] = {}
    for run in runs:
        recipes.setdefault(run.method.text, bare(run.recipe))
    return recipes


def bare(recipe: Recipe) -> Recipe:
    """Return the recipe from fresh weights that hardly move: neither changes what a step costs.

    At its own rate a training whose epochs are drawn at random may diverge.
    """
    return replace(
        recipe, pretrained=False, init=None, init_weights="raw", init_digest=None,
        lr=1e-6, min_lr=0.0,
    )  # fmt: skip


def conditions(
    recipes: Mapping[str, Recipe], device: torch.device, *, elsewhere: bool = False
) -> StepCosts:
    """Return all that decides costs but the method, without any cost yet.

    The names of device and processor are empty where they are ``elsewhere``.
    """
    names = {"device": "", "processor": ""} if elsewhere else _names(device)
    some = next(iter(recipes.values()))
    return StepCosts(
        clock="device events" if device.type == "cuda" else "processor time",
        recipe=recipe_hash(replace(_plain(some), seed=0)),
        device=names["device"],
        processor=names["processor"],
        threads=1,
        torch=torch.__version__,
        mixwright=__version__,
    )


def _names(device: torch.device) -> dict[str, str]:
    where = machine(device)
    return {"device": str(where["device"]), "processor": str(where["cpu"])}


def _known(file: Path, wanted: StepCosts) -> StepCosts:
    """What a file holds, if that is of the wanted conditions; else these alone."""
    try:
        found = decode(StepCosts, read_json(file), where=str(file))
    except (OSError, ValueError):  # damaged, of another version, or not there: measured anew
        return wanted
    own = replace(found, methods={})
    if not wanted.device:
        own = replace(own, device="", processor="")
    return found if own == wanted else wanted


def _job(text: str, recipe: Recipe, place: Place, out: Path, seeds: int) -> Job:
    request = {
        "measure": {
            "recipe": asdict(replace(recipe, data=place.data or recipe.data)),
            "data_dir": place.data_dir,
            "skip_unreadable": place.skip_unreadable,
            "trust": place.trust,
            "device": place.devices[0],
            "seeds": seeds,
        }
    }
    return Job(text, out, (out / "logs" / "cost.log").resolve(), request)
