"""What accuracy cost in time, and which baseline took as long."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mixwright.lab.analysis.findings import Findings, Group
from mixwright.lab.analysis.statistics import Interval

_SAME = 0.1  # share by which times may differ and still count as equal


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What one method spent, and what it got.

    Attributes:
        key: of its group, for the colour.
        name: how people call it.
        baseline: whether it is one, of this comparison or of a longer one.
        seconds: median over its runs of the whole training, evaluation and checkpoints included.
        ratio: ``seconds`` in those of the baseline; None without one.
        step_seconds: median over its runs of a training step.
        step_ratio: likewise for ``step_seconds``.
        seconds_a_step: mean time of a run in units of its own steps.
        mean_seconds: mean over its runs of the whole training.
        mean_ratio: likewise for ``mean_seconds``.
        top1: of the trained weights, over its runs.
        longer: the epochs of another comparison, from which a baseline was taken; None for this
            comparison's own methods.
        front: whether no other method is as accurate in as little time.
        equal_time: place of the baseline that took about as long; None where there is none.
        epochs_needed: epochs for which the baseline would have to be trained to take as long; None
            for baselines and without one.
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
    longer: int | None = None
    front: bool = False
    equal_time: int | None = None
    epochs_needed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Time and accuracy of all methods.

    Attributes:
        epochs: of the comparison's runs.
        methods: in the order of the comparison; then baselines that were trained longer.
    """

    epochs: int
    methods: tuple[Spent, ...]


def cost(
    groups: Sequence[Group],
    *,
    scores: Sequence[Group],
    recipe: Mapping[str, Any],
    others: Sequence[Findings] = (),
) -> Cost:
    """Return time and accuracy of every method, and of baselines that were trained longer.

    Args:
        groups: of a comparison's part ``cost``: ``seconds`` and ``step_seconds`` of each run.
        scores: of its part ``scores``: what the trained weights are worth.
        recipe: what its runs share, ``epochs`` among it.
        others: comparisons of the same data and model with other numbers of epochs, whose
            baselines are taken.

    Returns:
        times are medians over runs; ratios are to the comparison's own baseline.

    Raises:
        ValueError: another comparison has other data or another model.
    """
    epochs = int(recipe["epochs"])
    found = _spent(groups, scores)
    for other in others:
        theirs = other.about.recipe or {}
        for name in ("data", "model"):
            if theirs[name] != recipe[name]:
                raise ValueError(
                    f"cost: a comparison has the {name} {theirs[name]!r}, this one "
                    f"{recipe[name]!r}; expected the same, with other epochs alone."
                )
        longer = int(theirs["epochs"])
        without = [group for group in other.parts["cost"].groups if group.baseline]
        found += _spent(without, other.parts["scores"].groups, longer=longer)
    base = next((spent for spent in found if spent.baseline), None)
    bases = [place for place, spent in enumerate(found) if spent.baseline]
    front = set(pareto([(spent.seconds, spent.top1.mean) for spent in found]))
    return Cost(
        epochs=epochs,
        methods=tuple(
            replace(
                spent,
                front=place in front,
                ratio=None if base is None else spent.seconds / base.seconds,
                step_ratio=None if base is None else spent.step_seconds / base.step_seconds,
                mean_ratio=None if base is None else spent.mean_seconds / base.mean_seconds,
                equal_time=None if spent.baseline else _equal_time(spent, found, bases),
                epochs_needed=None
                if base is None or spent.baseline
                else math.ceil((base.longer or epochs) * spent.seconds / base.seconds),
            )
            for place, spent in enumerate(found)
        ),
    )


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


def _equal_time(spent: Spent, found: Sequence[Spent], bases: Sequence[int]) -> int | None:
    """The baseline whose time is nearest, if it differs by no more than a tenth."""
    near = [place for place in bases if abs(found[place].seconds / spent.seconds - 1) <= _SAME]
    return min(near, key=lambda place: abs(found[place].seconds - spent.seconds), default=None)


def _spent(
    groups: Sequence[Group], scores: Sequence[Group], *, longer: int | None = None
) -> list[Spent]:
    top1 = {group.method: group.intervals["top1"] for group in scores if group.weights == "raw"}
    found: list[Spent] = []
    for group in groups:
        seconds = [float(run["seconds"]) for run in group.summaries]
        step = statistics.median(float(run["step_seconds"]) for run in group.summaries)
        found.append(
            Spent(
                key=group.key,
                name=group.name if longer is None else f"{group.name}, {longer} epochs",
                baseline=group.baseline,
                seconds=statistics.median(seconds),
                step_seconds=step,
                mean_seconds=statistics.fmean(seconds),
                seconds_a_step=statistics.fmean(seconds) / max(step, 1e-9),
                top1=top1[group.method],
                longer=longer,
            )
        )
    return found
