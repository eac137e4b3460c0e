"""``mixwright compare``: methods times seeds, a table and a report."""

import contextlib
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.arguments import counted
from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.options import CompareOptions
from mixwright.lab.cli.parser import parse, written
from mixwright.lab.cli.prepare import out_folder, prepare_runs, telling
from mixwright.lab.cli.presets import with_preset
from mixwright.lab.cli.progress import display, open_console, say
from mixwright.lab.cli.shared_work import (
    after_a_part,
    check_shared,
    device_elsewhere,
    missing_runs,
    parse_part,
)
from mixwright.lab.cli.stored import Stored, already_there, show_files, show_findings
from mixwright.lab.data.cores import usable_cores

if TYPE_CHECKING:
    from rich.console import Console

    from mixwright.lab.analysis.cost import StepCosts
    from mixwright.lab.analysis.findings import Failure
    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.experiments.estimate import Estimate
    from mixwright.lab.experiments.executors.base import Executor
    from mixwright.lab.experiments.executors.resources import Resources
    from mixwright.lab.experiments.grid import Place, Planned
    from mixwright.lab.training.distributed import World
    from mixwright.lab.training.recipe import Recipe

ABOUT = """Train with several mixing methods and seeds under one recipe, and report on them.

METHOD is
  none                      no mixing, what the others are compared with
  NAME                      a method by its name; mixwright list shows all
  NAME:OPTION=VALUE,...     with options: cutmix:alpha=0.2, decoupledmix:mixer=cutmix; a range
                            of numbers is 2-4: adautomix:sources=2-4
  NAME:OPTION=A|B,...       a grid, one METHOD a value, every combination of several options;
                            quote it: 'miamix:p_self=0|0.1|0.2'
  NAME:p=0.5,clean=1        of any mixer: it mixes with chance p (for each sample, or each batch
                            if it draws once a batch); a loss on whole images beside, of weight
                            clean (one more forward and backward; mixup:clean=1 is RegMixup)
  NAME:OPTION=0to1          a number of a mixer, p and clean too, that changes evenly over training
  METHOD+METHOD             drawn for each sample anew: mixup+cutmix; p and clean stand behind the
                            last and are of the whole
  METHOD+METHOD@batch       drawn for each batch anew: mixup+cutmix@batch
  package.module:Class      a mixer of your own, importable from here
  trained:run=PATH          the mixer that a run has learned, frozen

Without METHOD: none mixup cutmix fmix hmix gmix miamix, on real handwritten digits.
Stopped or killed, the same command goes on where it was. Started by torchrun, all
processes work together on one run after another."""


MOST_SEEDS = 10_000

_LAUNCHED = {"WORLD_SIZE", "SLURM_NTASKS"}  # set by torchrun and srun


@dataclass(frozen=True)
class _Task:
    options: CompareOptions
    runs: "list[Planned]"
    data: "Dataset"
    place: "Place"
    command: str
    console: "Console"
    world: "World"
    resources: "Resources | None"  # of another executor than the workers here
    # At equal time: the recipe whose time every method gets, and what steps cost.
    budget: "Recipe | None" = None
    costs: "StepCosts | None" = None

    @property
    def out(self) -> Path:
        return Path(self.options.out)

    @property
    def own(self) -> "list[Planned]":
        """The runs of this command's part, else all."""
        first, step = parse_part(self.options.part)
        return self.runs[first - 1 :: step]

    @property
    def todo(self) -> "list[Planned]":
        """The runs that are this command's to do."""
        return [] if self.options.collect else self.own

    @property
    def missing(self) -> int:
        return sum(not run.finished for run in self.todo)


def main(argv: Sequence[str]) -> int:
    """Run the command; see ``mixwright.lab.cli.main``."""
    began = time.monotonic()
    options = parse(CompareOptions, argv, prog="mixwright compare", about=ABOUT)
    command = shlex.join(["mixwright", "compare", *argv])
    if any(word.partition("=")[0] == "--config" for word in argv):
        command = written(options, "mixwright compare")  # the file may change, or be elsewhere
    resources = check_shared(options)
    stored = Stored(options, command)
    alone = not _LAUNCHED & os.environ.keys()  # else all processes have to do the same
    whole = not options.dry_run and options.part is None
    if alone and whole and stored.show(began=began):  # before torch is imported
        return 0
    task = _prepare(options, command, resources)
    if options.dry_run:
        return _dry_run(task, time.monotonic() - began)
    if not task.world.first:
        _work(_at_equal_time(task))
        return 0
    if options.equal_time:
        with _record_of(task):  # two commands would plan runs by two measurements
            task = _at_equal_time(task)
    else:
        _make_folder(task.out)
    return _compare(task, stored)


def _make_folder(out: Path) -> None:
    """Make the comparison's folder, and see before hours of training that it can be written to."""
    from mixwright.lab.experiments.grid import BusyError, alone_in

    with users_words(), contextlib.suppress(BusyError), alone_in(out):
        pass


@contextlib.contextmanager
def _record_of(task: _Task) -> Generator[None]:
    """Write to the comparison's own folder alone; its runs may be trained by others meanwhile."""
    from mixwright.lab.experiments.grid import alone_in

    def wait() -> None:
        say(task.console, f"another mixwright is writing to {task.out}; waiting for it")

    with contextlib.ExitStack() as stack:
        with users_words():
            stack.enter_context(alone_in(task.out, on_wait=wait))
        yield


def _prepare(options: CompareOptions, command: str, resources: "Resources | None" = None) -> _Task:
    from mixwright.lab.data.names import parse_data

    given = options.recipe_fields()
    options, learned, changed = with_preset(options)
    if options.learned_min_lr is not None:
        learned["min_lr"] = options.learned_min_lr
    if options.workers is not None and options.workers < 1:
        raise UsageError(f"--workers is {options.workers}; expected at least 1.")
    if options.seeds > MOST_SEEDS:
        raise UsageError(f"--seeds is {options.seeds}; expected at most {MOST_SEEDS:,}.")
    with users_words():
        parse_data(options.data)  # before torch is imported, which takes seconds
    from mixwright.lab.experiments.defaults import METHODS
    from mixwright.lab.experiments.grid import learns_mixer, plan_runs
    from mixwright.lab.experiments.methods import each_once, parse_methods
    from mixwright.lab.training.distributed import join

    out = out_folder(options.out)
    with users_words():
        methods = each_once(
            parse_methods(options.methods or METHODS, trust=options.trust), say=telling()
        )
        if options.equal_time and all(method.parts for method in methods):
            raise UsageError(
                "--equal-time gives every method the time of no mixing, which is not among them; "
                "add none to the methods."
            )
        if options.equal_time and not any(method.parts for method in methods):
            raise UsageError(
                "--equal-time does nothing where no method is compared with none; leave it out, or "
                "name a method."
            )

        if options.learned_min_lr is not None and not any(map(learns_mixer, methods)):
            raise UsageError(
                "--learned-min-lr does nothing where no method learns a mixer; leave it out, or "
                "name one, such as automix."
            )

        def plan(settings: dict[str, Any]) -> "list[Planned]":
            return plan_runs(methods, settings, seeds=options.seeds, out=out, learned=learned)

        here = options.device if resources is None else "cpu"
        runs, data, where = prepare_runs(plan, options, device=here, given=given)
    if resources is not None:
        where = replace(where, devices=(device_elsewhere(options, resources),))
    with users_words():
        world = join(where.devices[0])
    written_flags = [
        flag
        for flag, there in (
            ("--workers", options.workers is not None),
            ("--executor", resources is not None),
            ("--part", options.part is not None),
            ("--collect", options.collect),
        )
        if there
    ]
    for flag in written_flags if world.size > 1 else ():
        raise UsageError(
            f"{flag} does nothing where {world.size} processes work together on one run after "
            "another; leave it out."
        )
    console = open_console(quiet=not world.first)
    if changed:
        say(console, changed)
    return _Task(options, runs, data, where, command, console, world, resources)


def _at_equal_time(task: _Task, out: Path | None = None) -> _Task:
    """The task with its epochs by cost, where that was asked for; measured by the first process.

    What steps cost is kept in ``out``, by default the task's own.
    """
    if not task.options.equal_time:
        return task
    from mixwright.lab.experiments.continuing import continued
    from mixwright.lab.experiments.equal_time import costs_before, equal_time

    def measured() -> "StepCosts":
        elsewhere = contextlib.nullcontext() if task.resources is None else _executor(task)
        with elsewhere as executor:
            return costs_before(
                task.runs,
                task.place,
                out or task.out,
                say=lambda text: say(task.console, text),
                executor=executor,
            )

    with users_words():
        costs = task.world.first_does(measured)
        runs = equal_time(task.runs, costs, task.out)
        runs = continued(runs, task.place, say=telling())
    budget = next(run.recipe for run in runs if not run.method.parts)
    return replace(task, runs=runs, budget=budget, costs=costs)


def _compare(task: _Task, stored: Stored) -> int:
    from mixwright.lab.cli.forecast import WORTH_SAYING, estimate_line

    began, console = time.monotonic(), task.console
    assert task.place.identity is not None
    data = task.place.identity.digest
    part = task.options.part
    if not task.missing and part is None and stored.show(began=began, data=data):
        return 0
    _announce(task)
    with contextlib.ExitStack() as stack:
        executor = stack.enter_context(_executor(task)) if task.world.size == 1 else None
        if task.missing and executor is not None:
            found = _forecast(task, executor)
            if found is not None and found.seconds > WORTH_SAYING:
                say(console, estimate_line(found))
        parallel, failures = _work(task, executor)
        for failure in failures:
            say(console, f"\n{failure.name} FAILED:\n{failure.error}")
        if part is not None:
            say(console, after_a_part(task.runs))
            return 1 if failures else 0
        if task.resources is None:  # costs are measured where nothing else is at work
            stack.close()
            executor = None
        with _record_of(task):
            if task.options.collect:  # not before: others go on while this one waits
                failures = missing_runs(task.runs, partial(say, console))
            if not any(run.finished for run in task.runs):
                say(console, "no run has finished, so there is nothing to report.")
                return 1
            _report(task, stored, failures, parallel=parallel, began=began, executor=executor)
    return 1 if failures else 0


def _executor(task: _Task) -> "Executor":
    from mixwright.lab.experiments.executors.choice import executor_for

    workers = task.options.workers if task.resources is not None else _workers(task)
    return executor_for(task.resources, task.place, workers=workers, out=task.out)


def _report(
    task: _Task,
    stored: Stored,
    failures: "Sequence[Failure]",
    *,
    parallel: int,
    began: float,
    executor: "Executor | None",
) -> None:
    """Write the record and the page of what is there, and show them."""
    from mixwright.lab.analysis.store import write_findings
    from mixwright.lab.experiments.comparing import check_comparable, compare_runs
    from mixwright.lab.experiments.step_costs import step_costs
    from mixwright.lab.reports.page import write_report

    console = task.console
    assert task.place.identity is not None
    with users_words():
        check_comparable(task.runs, task.out)  # before costs are measured for nothing
    measured = task.costs or step_costs(
        task.runs, task.place, task.out, say=lambda text: say(console, text), executor=executor
    )
    findings, arrays = compare_runs(
        task.runs,
        failures,
        data=task.data,
        command=task.command,
        parallel=parallel,
        out=task.out,
        measured=measured,
        budget=task.budget,
        say=lambda sentence: say(console, sentence),
    )
    show_findings(findings, console)  # whatever becomes of the files: hours were spent on it
    record = write_findings(task.out, findings, arrays)
    page = write_report(record)
    show_files(record, page, console, began=began)
    if not failures:
        data = task.place.identity.digest
        stored.note(task.runs, data=data, page=page, heading=_heading(task))


def _dry_run(task: _Task, seconds: float) -> int:
    """Say what the command would do; ``seconds`` have passed already."""
    from mixwright.lab.cli.forecast import say_plan

    began, found = time.monotonic(), None
    with tempfile.TemporaryDirectory() as name:  # of what steps cost there may be a file already
        for file in task.out.glob("equal-time-*.json"):
            shutil.copy(file, name)
        task = _at_equal_time(task, Path(name))
    if task.missing and task.world.size == 1:
        with _executor(task) as executor:
            found = _forecast(task, executor)
    if task.world.first:
        _announce(task)
        say_plan(task.runs, found, task.console, passed=seconds + time.monotonic() - began)
    return 0


def _forecast(task: _Task, executor: "Executor") -> "Estimate | None":
    """What the missing runs will take; measured here, wherever they are done."""
    from mixwright.lab.cli.forecast import forecast
    from mixwright.lab.experiments.grid import worker_pool

    tell = partial(say, task.console)
    if task.resources is None:
        workers = _workers(task)
        return forecast(task.todo, task.data, task.place, pool=executor, workers=workers, tell=tell)
    with users_words():
        slots = min(executor.slots, task.missing)
    with worker_pool(task.place, workers=1) as pool:
        return forecast(task.todo, task.data, task.place, pool=pool, elsewhere=slots, tell=tell)


def _work(task: _Task, executor: "Executor | None" = None) -> "tuple[int, list[Failure]]":
    """Do what is missing; how many runs shared the machine, and those that failed."""
    from mixwright.lab.analysis.findings import Failure
    from mixwright.lab.experiments.executors.base import SubmitError
    from mixwright.lab.experiments.grid import run_parallel, run_together
    from mixwright.lab.experiments.run import MISTAKES

    total = len(task.todo)
    together = task.world.size > 1
    parallel = 1 if together else _workers(task)
    with display(task.console, total=total, finished=total - task.missing) as bars:
        if together:
            try:
                ends = run_together(task.runs, task.place, on_event=bars.tell)
            except MISTAKES as error:
                raise UsageError(str(error)) from error
        elif executor is not None and task.missing:
            try:
                if task.resources is not None:
                    parallel = min(executor.slots, task.missing)
                ends = run_parallel(task.todo, task.place, pool=executor, on_event=bars.tell)
            except SubmitError as error:
                raise UsageError(str(error)) from error
        else:
            ends = []
    failed = [end for end in ends if end.kind == "failed"]
    return parallel, [
        Failure(name=end.job.name, error=str(end.detail.get("error", "")).strip()) for end in failed
    ]


def _workers(task: _Task) -> int:
    gpus = len(task.place.devices) if task.place.devices[0].startswith("cuda") else 0
    most = task.options.workers or gpus or usable_cores()
    return min(most, task.missing or len(task.runs))


def _heading(task: _Task) -> str:
    from mixwright.lab.reports.sections.equal_time import at_equal_time

    recipe = task.runs[0].recipe
    by_method = {run.method.text: run.recipe.epochs for run in task.runs}
    epochs = counted(recipe.epochs, "epoch") if task.budget is None else at_equal_time(by_method)
    return (
        f"{counted(len(by_method), 'method')} x {counted(task.options.seeds, 'seed')}: "
        f"{recipe.model} on {recipe.data} "
        f"({len(task.data.train)} images to train on, {len(task.data.test)} to test on), "
        f"{epochs}, in {task.out}\n{task.data.summary}"
    )


def _announce(task: _Task) -> None:
    recipe, console = task.runs[0].recipe, task.console
    say(console, _heading(task))
    if task.options.part is not None:
        first, parts = parse_part(task.options.part)
        say(
            console, f"part {first} of {parts}: {len(task.own)} of {counted(len(task.runs), 'run')}"
        )
    done = sum(run.finished for run in task.own)
    if done:
        say(console, already_there(done, len(task.own)))
    if other := _record_of_another(task.out, recipe):
        say(
            console,
            f"{task.out} holds the record and page of a comparison of {other}; they give way to "
            "those of this one, and its runs stay. To keep them, give --out another folder.",
        )


def _record_of_another(out: Path, recipe: "Recipe") -> str:
    """Model and data of the record in a folder, where they are not the recipe's; else nothing."""
    from mixwright.lab.analysis.store import NAMES, read_findings

    try:
        there = read_findings(out / NAMES["comparison"]).about.recipe or {}
    except (OSError, ValueError):  # none, or one that cannot be read and so not be lost
        return ""
    named = there.get("model"), there.get("data")
    return "" if named == (recipe.model, recipe.data) else "{} on {}".format(*named)
