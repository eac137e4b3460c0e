"""The same time for every METHOD: epochs by what a step costs, measured before any training.

What was measured stands in the folder of the comparison, and the epochs of its runs follow from
that file alone: the same command plans the same runs, whatever machine or version it is given to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mixwright.files import read_json
from mixwright.lab.analysis.cost import StepCost, StepCosts, lengths
from mixwright.lab.experiments.grid import Place, Planned, planned
from mixwright.lab.experiments.step_costs import CLOCKED, bare_recipes, completed, conditions
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from mixwright.lab.experiments.executors.base import Executor
    from mixwright.lab.training.recipe import Recipe


def costs_before(
    runs: Sequence[Planned],
    place: Place,
    out: Path,
    *,
    say: Callable[[str], None],
    executor: Executor | None = None,
) -> StepCosts:
    """Return what a step costs with each METHOD of planned runs, and keep it in ``out``.

    What is there is taken as it stands, wherever it was measured: other costs would be other runs.
    Recipes that differ in data, epochs or anything else but seed and rate have files of their own.

    Raises:
        ValueError: there is no clock for the device, the file is damaged, a cost could not be
            measured, or the file not be written.
    """
    assert place.identity is not None
    device = torch.device(place.devices[0])
    if device.type not in CLOCKED:
        raise ValueError(
            f"--equal-time: steps cannot be timed on {device}; expected cpu or cuda. Give --device "
            "another one, or leave --equal-time out."
        )
    recipes = bare_recipes(runs)
    # By its content: the same images may lie elsewhere the next time.
    base = replace(recipes["none"], data=place.identity.digest)
    wanted = conditions({"none": base}, device, elsewhere=executor is not None)
    file = out / f"equal-time-{wanted.recipe}.json"
    known = _kept(file) if file.exists() else wanted
    seeds = len(runs) // len(recipes)
    costs = completed(known, recipes, place, file, seeds=seeds, say=say, executor=executor)
    lacking = [text for text in recipes if text != "none" and text not in costs.methods]
    if lacking:
        raise ValueError(
            f"--equal-time: what a step costs with {', '.join(lacking)} could not be measured, so "
            "nothing was trained. Leave it out, or leave --equal-time out."
        )
    if costs != known and not (file.is_file() and _kept(file) == costs):
        raise ValueError(
            f"--equal-time: {file} could not be written, without which the same command would "
            "plan other epochs. Make room there, then give it again."
        )
    return costs


def equal_time(runs: Sequence[Planned], costs: StepCosts, out: Path) -> list[Planned]:
    """Return the runs, each with as many epochs as cost no more than those of no mixing."""
    return [
        run
        if run.method.text == "none"
        else planned(run.method, shortened(run.recipe, costs.methods[run.method.text]), out)
        for run in runs
    ]


def shortened(recipe: Recipe, cost: StepCost) -> Recipe:
    """Return a recipe whose training costs what it would without mixing, or a little less.

    Its epochs are ``floor(epochs / cost.ratio)``, less what the method does before the first one,
    never above the recipe's own and at least 1. Warm-up and the last epochs without mixing shrink
    in proportion, and schedules end with the shortened training.
    """
    before = cost.training - cost.ratio  # in units of the whole training without mixing
    affordable = recipe.epochs * (1 - before) / cost.ratio
    epochs = min(recipe.epochs, max(1, math.floor(round(affordable, 6))))
    return replace(recipe, **lengths(asdict(recipe), epochs))


def _kept(file: Path) -> StepCosts:
    try:
        return decode(StepCosts, read_json(file), where=str(file))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--equal-time: {file} cannot be read ({error}); expected what steps cost, from which "
            "the epochs of runs follow. Bring it back, or delete it to plan runs anew."
        ) from None
