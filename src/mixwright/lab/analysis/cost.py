"""What accuracy cost, by steps taken in turn, and the epochs that no mixing could have had."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.settings import decode

SHORTENED = ("epochs", "warmup_epochs", "mix_off_epochs")
"""Fields of a recipe that shrink with its epochs."""

SAME = 0.1
"""Share by which costs may differ and still count as equal."""

_GONE = ("longer", "equal_time")  # of records that knew baselines of other comparisons
_OUTSIDE = 1.5  # times that a run may be longer than its steps say, against the baseline's


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """What a training step with a METHOD costs, measured in turn with steps without mixing.

    Attributes:
        ratio: mean of its steps in means of those without mixing.
        median: of the ratios of single rounds; ``low`` and ``high`` are their quartiles.
        training: ``ratio`` of a whole run: with what is done once, before the first epoch.
        seconds: median of its steps; ``least`` is the fastest of them.
        plain_seconds: median of the steps without mixing in the same rounds.
        rounds: how many count.
    """

    ratio: float
    median: float
    low: float
    high: float
    training: float
    seconds: float
    least: float
    plain_seconds: float
    rounds: int


@dataclass(frozen=True, kw_only=True)
class StepCosts:
    """What steps cost with several METHODs under one recipe, and what decides it.

    Attributes:
        clock: ``processor time`` or ``device events``.
        recipe: hash of the recipe, without its method, seed and first weights.
        device: its name, or ``cpu``; ``processor``, ``threads``, ``torch`` and ``mixwright`` are
            what else it was measured with.
        methods: by METHOD; none without mixing, whose ratio is 1.
    """

    clock: str
    recipe: str
    device: str
    processor: str
    threads: int
    torch: str
    mixwright: str
    methods: dict[str, StepCost] = field(default_factory=dict[str, StepCost])


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What one method spent, and what it got.

    Times are of the wall clock, on a machine that other work may share: nothing is ranked by them.

    Attributes:
        key: of its group, for the colour.
        name: how people call it.
        baseline: whether it is no mixing.
        seconds: median over its runs of the whole training, evaluation and checkpoints included.
        ratio: ``seconds`` in those of the baseline; None without one.
        step_seconds: median over its runs of a training step.
        step_ratio: likewise for ``step_seconds``.
        seconds_a_step: time of a run in units of its own steps, the least of its runs: one that
            was paused, or had to share its core, took longer for no reason of the method.
        mean_seconds: mean over its runs of the whole training.
        mean_ratio: likewise for ``mean_seconds``.
        top1: of the trained weights, over its runs.
        step: what its step costs; None for the baseline and where it was not measured.
        outside: whether its runs take much longer than their steps, which is no part of ``cost``.
        cost: of its training in that of as many epochs without mixing; None where that is not
            known.
        front: whether no other method is as accurate at as little cost.
        epochs_needed: epochs for which the baseline would have to be trained to cost as much; None
            for itself, where ``cost`` is, and at equal time.
        epochs: of its runs, in a comparison at equal time; None where all have the same.
    """

    key: str
    name: str
    baseline: bool
    seconds: float
    step_seconds: float
    mean_seconds: float
    seconds_a_step: float
    top1: Interval
    ratio: float | None = None
    step_ratio: float | None = None
    mean_ratio: float | None = None
    step: StepCost | None = None
    outside: bool = False
    cost: float | None = None
    front: bool = False
    epochs_needed: int | None = None
    epochs: int | None = None

    @property
    def step_times(self) -> float | None:
        """What a step costs in one without mixing; None where it was not measured."""
        if self.baseline:
            return None if self.cost is None else 1.0
        return None if self.step is None else self.step.ratio


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost and accuracy of all methods.

    Attributes:
        epochs: of the comparison's runs; at equal time of those without mixing.
        methods: in the order of the comparison.
        clock: by which steps were measured; None where they were not, as in older records.
    """

    epochs: int
    methods: tuple[Spent, ...]
    clock: str | None = None

    @property
    def own_epochs(self) -> dict[str, int]:
        """Epochs by METHOD where every one was given the same time; empty where the same epochs."""
        return {spent.key: spent.epochs for spent in self.methods if spent.epochs is not None}


def lengths(recipe: Mapping[str, Any], epochs: int) -> dict[str, Any]:
    """Return the fields of a recipe that follow where it is trained for other epochs.

    Example:
        >>> lengths({"epochs": 80, "warmup_epochs": 5.0, "mix_off_epochs": 10}, 40)
        {'epochs': 40, 'warmup_epochs': 2.5, 'mix_off_epochs': 5}
    """
    whole = recipe["epochs"]
    return {
        "epochs": epochs,
        "warmup_epochs": recipe["warmup_epochs"] * epochs / whole,
        "mix_off_epochs": recipe["mix_off_epochs"] * epochs // whole,
    }


def read_cost(part: Part) -> Cost:
    """Read a comparison's part ``cost``; what older records rank by the wall clock is dropped."""
    found = decode(Cost, _without_gone(part.numbers), where="the cost")
    if found.clock is not None:
        return found
    bare = (replace(spent, front=False, epochs_needed=None) for spent in found.methods)
    return replace(found, methods=tuple(bare))


def _without_gone(numbers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out fields of older records; what is damaged stays as it is, for ``decode`` to say."""
    methods = numbers.get("methods")
    if not isinstance(methods, list | tuple):
        return numbers
    kept = [
        {name: value for name, value in one.items() if name not in _GONE}
        if isinstance(one, dict)
        else one
        for one in methods
    ]
    return {**numbers, "methods": kept}


def cost(
    groups: Sequence[Group],
    *,
    scores: Sequence[Group],
    recipe: Mapping[str, Any],
    measured: StepCosts | None = None,
    own_epochs: Mapping[str, int] | None = None,
) -> Cost:
    """Return cost and accuracy of every method.

    Args:
        groups: of a comparison's part ``cost``: ``seconds`` and ``step_seconds`` of each run.
        scores: of its part ``scores``: what the trained weights are worth.
        recipe: what its runs share, ``epochs`` among it.
        measured: what steps cost; without it, nothing is ranked.
        own_epochs: by METHOD, of a comparison at equal time; ``recipe`` has those of the baseline.

    Returns:
        times are medians over runs; ratios are to the comparison's own baseline.
    """
    epochs = int(recipe["epochs"])
    found = [
        replace(spent, epochs=(own_epochs or {}).get(spent.key)) for spent in _spent(groups, scores)
    ]
    base = next((spent for spent in found if spent.baseline), None)
    found = [_measured(spent, base, measured, epochs=epochs) for spent in found]
    known = {place: spent.cost for place, spent in enumerate(found) if spent.cost is not None}
    places = list(known)
    best = pareto([(known[place], found[place].top1.mean) for place in places])
    front = {places[place] for place in best}
    return Cost(
        epochs=epochs,
        methods=tuple(
            replace(
                spent,
                front=place in front,
                ratio=None if base is None else spent.seconds / base.seconds,
                step_ratio=None if base is None else spent.step_seconds / base.step_seconds,
                mean_ratio=None if base is None else spent.mean_seconds / base.mean_seconds,
                epochs_needed=None
                if spent.baseline or spent.cost is None or spent.epochs is not None
                else math.ceil(round(epochs * spent.cost, 6)),
            )
            for place, spent in enumerate(found)
        ),
        clock=None if measured is None else measured.clock,
    )


def _measured(
    spent: Spent, base: Spent | None, measured: StepCosts | None, *, epochs: int
) -> Spent:
    """Add what training cost, where its steps were measured and most of the work is in them."""
    if measured is None:
        return spent
    if spent.baseline:
        return replace(spent, cost=1.0)
    step = measured.methods.get(spent.key)
    if step is None:
        return spent
    share = (spent.epochs or epochs) / epochs
    training = step.training - step.ratio * (1 - share)  # fewer steps, the same work before them
    known = training / step.ratio  # in units of its own steps
    outside = base is not None and spent.seconds_a_step > _OUTSIDE * known * base.seconds_a_step
    return replace(spent, step=step, outside=outside, cost=None if outside else training)


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of (cost, worth) that nothing beats that costs no more, by rising cost.

    Example:
        >>> pareto([(1.0, 0.8), (2.0, 0.7), (3.0, 0.9)])
        [0, 2]
    """
    return sorted(
        (
            place
            for place, (cost, worth) in enumerate(points)
            if not any((c <= cost and w >= worth) and (c < cost or w > worth) for c, w in points)
        ),
        key=lambda place: points[place],
    )


def _spent(groups: Sequence[Group], scores: Sequence[Group]) -> list[Spent]:
    top1 = {group.method: group.intervals["top1"] for group in scores if group.weights == "raw"}
    found: list[Spent] = []
    for group in groups:
        seconds = [float(run["seconds"]) for run in group.summaries]
        steps = [float(run["step_seconds"]) for run in group.summaries]
        found.append(
            Spent(
                key=group.key,
                name=group.name,
                baseline=group.baseline,
                seconds=statistics.median(seconds),
                step_seconds=statistics.median(steps),
                mean_seconds=statistics.fmean(seconds),
                seconds_a_step=min(
                    run / max(step, 1e-9) for run, step in zip(seconds, steps, strict=True)
                ),
                top1=top1[group.method],
            )
        )
    return found
