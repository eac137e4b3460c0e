"""A comparison that several commands or machines share: whose runs are whose, what is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mixwright.arguments import counted
from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.experiments.executors.resources import read_resources

if TYPE_CHECKING:
    from mixwright.lab.analysis.findings import Failure
    from mixwright.lab.cli.options import CompareOptions
    from mixwright.lab.experiments.executors.resources import Resources
    from mixwright.lab.experiments.grid import Planned


def check_shared(options: CompareOptions) -> Resources | None:
    """Refuse options of a shared comparison that say nothing together, or cannot be had here.

    Return what its executor gives each run; None for the local pool.
    """
    parse_part(options.part)
    if options.part is not None and options.collect:
        raise UsageError(
            "--part does runs and --collect reports on those that are there; give one of them."
        )
    for flag, given in (("--part", options.part is not None), ("--collect", options.collect)):
        if given and options.dry_run:
            raise UsageError(
                f"{flag} does nothing beside --dry-run, which says what all runs would take; leave "
                "one of them out."
            )
    if options.collect and options.workers is not None:
        raise UsageError(
            "--workers does nothing with --collect, which trains nothing; leave it out."
        )
    with users_words():
        resources = read_resources(options.executor, options.resources)
    if resources is not None:
        device_elsewhere(options, resources)
        check_installed(options.executor)
    return resources


def check_installed(executor: str) -> None:
    """Refuse an executor whose library is not there."""
    try:
        if executor == "ray":
            from mixwright.lab.experiments.executors.ray_tasks import import_ray

            import_ray()
        elif executor == "slurm":
            from mixwright.lab.experiments.executors.slurm import import_submitit

            import_submitit()
    except ImportError as error:
        raise UsageError(f"--executor {executor}: {error}") from error


def parse_part(text: str | None) -> tuple[int, int]:
    """Read ``K/N``; None is all runs, 1/1.

    Example:
        >>> parse_part("2/4"), parse_part(None)
        ((2, 4), (1, 1))
    """
    if text is None:
        return 1, 1
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
    first, parts = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= first <= parts:
        raise UsageError(
            f"--part is {text or 'empty'}; expected K/N with K from 1 to N, such as 2/4 for the "
            "second of four."
        )
    return first, parts


def device_elsewhere(options: CompareOptions, resources: Resources) -> str:
    """The device of runs that are done elsewhere, by what they are given."""
    if options.device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"--device is {options.device}; expected cpu or cuda with --executor "
            f"{options.executor}, which gives each run GPUs of its own."
        )
    if options.device == "cuda" and not resources.gpus:
        raise UsageError(
            "--device cuda needs a GPU; give --resources gpus=1, or a share such as 0.5."
        )
    if options.device == "cpu" and resources.gpus:
        raise UsageError(
            f"--resources gpus={resources.gpus:g} does nothing with --device cpu; leave one out."
        )
    return "cuda:0" if resources.gpus else "cpu"


def missing_runs(runs: Sequence[Planned], say: Callable[[str], None]) -> list[Failure]:
    """Return the runs that have not finished as failures; ``say`` is told of each."""
    from mixwright.lab.analysis.findings import Failure
    from mixwright.lab.experiments.estimate import epochs_left

    missing: list[Failure] = []
    for run in runs:
        if run.finished:
            continue
        epochs = run.recipe.epochs
        done = epochs - len(epochs_left(run))
        if run.held:
            how = "is under way in another command"
        elif done:
            how = f"was stopped after {done} of {counted(epochs, 'epoch')}"
        else:
            how = "is missing"
        missing.append(Failure(name=run.name, error=f"it {how}"))
        say(f"{run.name} {how}")
    return missing


def after_a_part(runs: Sequence[Planned]) -> str:
    """Say what has become of all runs, and what reports on them."""
    there = f"{sum(run.finished for run in runs)} of {counted(len(runs), 'run')}"
    return f"{there} are there; the same command with --collect in place of --part reports on them"
