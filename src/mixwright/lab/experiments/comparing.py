"""From run folders to the findings of a comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.arguments import counted
from mixwright.lab.analysis.answer import with_answer
from mixwright.lab.analysis.comparison import FinishedMethod, FinishedRun, comparison_parts
from mixwright.lab.analysis.cost import SHORTENED, StepCosts
from mixwright.lab.analysis.findings import About, Arrays, Failure, Findings
from mixwright.lab.analysis.sweep import find_sweeps
from mixwright.lab.evaluation.protocol import run_protocols
from mixwright.lab.experiments.about import about_data, now
from mixwright.lab.experiments.grid import Planned, own_fields
from mixwright.lab.experiments.methods import Method
from mixwright.lab.experiments.pictures import mask_pictures, method_pictures
from mixwright.lab.training.folder import RunError, read_metrics, read_result
from mixwright.lab.training.result import Result

if TYPE_CHECKING:
    from mixwright.lab.data import sets
    from mixwright.lab.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class _Run:
    planned: Planned
    result: Result
    epochs: list[dict[str, Any]]


def compare_runs(
    runs: Sequence[Planned],
    failures: Sequence[Failure],
    *,
    data: sets.Dataset,
    command: str,
    parallel: int,
    out: Path,
    measured: StepCosts | None = None,
    budget: Recipe | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> tuple[Findings, Arrays]:
    """Read the results of all finished runs and compare them.

    Scores are those of the last epoch: the best epoch may be chosen on test data. Differences
    are paired by seed, since runs of one seed share first weights and order of images. Like is
    compared with like: a method's own teacher, an average of weights, with the baseline's EMA.
    ``measured`` is what steps cost; without it nothing is ranked by cost. ``budget`` is the recipe
    without mixing whose time every method was given; None where all had its epochs. ``say`` is told
    which runs are left out though they have finished, and of which some epochs are missing. Return
    the findings, and the pictures that their page shows.

    Raises:
        ValueError: see ``check_comparable``.
    """
    check_comparable(runs, out)
    done = [found for run in runs if (found := _read(run, say)) is not None]
    by_method: dict[str, list[_Run]] = {}
    for run in done:
        by_method.setdefault(run.planned.method.text, []).append(run)
    methods = {text: many[0].planned.method for text, many in by_method.items()}
    recipe, last = _shared_recipe(done), done[-1].result
    shortened = () if budget is None else SHORTENED
    recipe |= {name: getattr(budget, name) for name in shortened}
    own_epochs: dict[str, int] = {}
    if budget is not None:
        own_epochs = {text: many[0].result.epochs for text, many in by_method.items()}
    options = options_by_method(list(methods.values()))
    samples, sample_arrays = method_pictures(
        [(methods[text], [run.planned.folder for run in many]) for text, many in by_method.items()],
        data,
        flips=data.mirrored and bool(recipe.get("flip", True)),
    )
    masks, mask_arrays = mask_pictures(
        {}
        if data.withheld  # they are of its images
        else {text: many[0].planned.folder for text, many in by_method.items()}
    )
    sweeps = find_sweeps(
        {text: options[text] for text, method in methods.items() if len(method.parts) == 1}
    )
    parts, arrays = comparison_parts(
        [_finished(methods[text], many, out) for text, many in by_method.items()],
        recipe=recipe,
        measured=measured,
        own_epochs=own_epochs,
        numbers={
            "sweep": asdict(sweeps),
            "samples": asdict(samples),
            "diagnostics": asdict(masks),
        },
    )
    about = About(
        command=command,
        finished=now(),
        seconds=sum(run.result.seconds for run in done),
        machine=last.machine,
        commit=", ".join(sorted({run.result.commit for run in done if run.result.commit})) or None,
        versions={"mixwright": last.mixwright, "torch": last.torch},
        data=about_data(data),
        recipe=recipe,
        details={
            "parallel": parallel,
            "parameters": last.parameters,
            "options": options,
            "chosen_on": sorted({run.result.chosen_on for run in done}),
            "set_by_data": {
                text: many[0].result.set_by_data
                for text, many in by_method.items()
                if many[0].result.set_by_data
            },
            **(
                {"own_fields": own}
                if (own := own_fields([run.planned for run in done], but=shortened))
                else {}
            ),
            "heads": {
                text: many[0].result.heads
                for text, many in by_method.items()
                if many[0].result.heads
            },
        },
        failures=tuple(failures),
    )
    return with_answer(Findings(kind="comparison", about=about, parts=parts)), {
        **arrays,
        **{f"samples/{key}": array for key, array in sample_arrays.items()},
        **{f"diagnostics/{key}": array for key, array in mask_arrays.items()},
    }


def options_by_method(methods: Sequence[Method]) -> dict[str, dict[str, str]]:
    """Return METHOD -> ``name.option`` -> text, for options that some METHOD names."""
    named = {name for method in methods for name in method.given}
    return {
        method.text: {name: text for name, text in method.options.items() if name in named}
        for method in methods
    }


def check_comparable(runs: Sequence[Planned], out: Path) -> None:
    """Refuse runs of which none can be compared.

    Raises:
        ValueError: no run has finished, or the results of all that have are of a newer format.
    """
    newer: list[str] = []
    for run in runs:
        try:
            if read_result(run.folder) is not None:
                return
        except RunError as error:
            newer.append(f"{run.name}: {error}")
    if not newer:
        raise ValueError(f"{out}: no run has finished, so there is nothing to compare.")
    more = f" So it is with {len(newer) - 1} more." if len(newer) > 1 else ""
    raise ValueError(f"{out}: no result can be read. {newer[0]}{more}")


def _read(planned: Planned, say: Callable[[str], None]) -> _Run | None:
    try:
        result = read_result(planned.folder)
    except RunError as error:
        say(f"{planned.name} is left out: {error}")
        return None
    if result is None:
        return None
    epochs = read_metrics(planned.folder)
    if len(epochs) < result.epochs:
        say(
            f"{planned.name}: {result.epochs - len(epochs)} of "
            f"{counted(result.epochs, 'epoch')} are missing or damaged in "
            f"{planned.folder / 'metrics.jsonl'}; curves and medians over the last epochs are made "
            "without them. Remove the run's folder to have it done anew."
        )
    return _Run(planned, result, epochs)


def _finished(method: Method, runs: Sequence[_Run], out: Path) -> FinishedMethod:
    return FinishedMethod(
        text=method.text,
        label=method.label,
        slug=method.slug,
        baseline=not method.parts,
        runs=[
            FinishedRun(
                seed=run.result.seed,
                folder=run.planned.folder.relative_to(out).as_posix(),
                scores=run.result.scores,
                clean_train=run.result.clean_train,
                best=run.result.best,
                protocols=run_protocols(run.epochs),
                step_seconds=run.result.step_seconds,
                seconds=run.result.seconds,
                warnings=run.result.warnings,
                epochs=run.epochs,
            )
            for run in runs
        ],
    )


def _shared_recipe(runs: Sequence[_Run]) -> dict[str, Any]:
    """The fields of the recipe in which all runs agree, but for method and seed."""
    recipes = [asdict(run.planned.recipe) for run in runs]
    return {  # runs that start from one of their own each share no start
        name: value
        for name, value in recipes[0].items()
        if name not in ("method", "seed") and all(recipe[name] == value for recipe in recipes)
    }
