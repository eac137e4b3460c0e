"""Which method a comparison recommends, by accuracy, likelihood, calibration and cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mixwright.lab.analysis.cost import Spent
from mixwright.lab.analysis.diagnosis import Fit
from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.statistics import Contrast
from mixwright.lab.analysis.statistics.dunnett import seeds_to_show

CLAIM = 0.05
"""Adjusted p-values below it are called a difference."""

# A difference of accuracy that is worth another run: below a point few would change a recipe.
_MATTERS = 0.01
_CALIBRATED = 0.005  # ECE by which mixing has to beat temperature scaling, half a point
_LIKELIER = 0.01  # likelihood loss by which probabilities are worth a word: pages show hundredths
_LEVEL = 0.0005  # a difference of accuracy that a page calls level

Choice = Literal["accuracy", "likely", "calibration", "scaling", "none", "early", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """Which method to use.

    Attributes:
        choice: ``accuracy``: ``method`` is surely more accurate; ``likely``: it was at every
            seed, which may be chance; ``calibration``: it is as accurate, and its probabilities
            are surely better; ``scaling``: so they are, but temperature scaling does as much for
            no mixing; ``none``: no mixing; ``early``: cannot be told before no mixing has learned
            its training images; ``unknown``: cannot be told.
        method: METHOD; of ``unknown`` the one that was ahead, if one was.
    """

    choice: Choice
    method: str = ""


def recommended(
    mixing: Sequence[Group], base: Group, fit: Fit, spent: Mapping[str, Spent]
) -> Recommendation:
    """Recommend by accuracy first, then by likelihood among what is as accurate, then by cost."""
    top1 = {group.key: group.differences["top1"] for group in mixing}
    sure = [
        group
        for group in mixing
        if _sure(top1[group.key], 1) and top1[group.key].interval.mean >= _LEVEL
    ]
    if sure:
        return Recommendation(choice="accuracy", method=_best(sure, spent).method)
    # One lucky seed must not stand before what others did at several.
    several = [group for group in mixing if top1[group.key].interval.count > 1]
    leader = max(several or mixing, key=lambda group: top1[group.key].interval.mean)
    ahead = top1[leader.key]
    if ahead.interval.count == 1:
        gain = ahead.interval.mean > 0
        return Recommendation(choice="unknown", method=leader.method if gain else "")
    if ahead.interval.mean >= _MATTERS and ahead.above == ahead.interval.count:
        return Recommendation(choice="likely", method=leader.method)
    calm = [
        group
        for group in mixing
        if _sure(likelihood := group.differences.get("nll"), -1)
        and likelihood is not None
        and likelihood.interval.mean <= -_LIKELIER
        and not _sure(top1[group.key], -1)
        and top1[group.key].interval.mean > -_MATTERS
    ]
    if calm:
        best = min(calm, key=lambda group: group.differences["nll"].interval.mean)
        kind: Choice = "scaling" if _scaling_does(best, base) else "calibration"
        return Recommendation(choice=kind, method=best.method)
    if ahead.interval.mean >= _MATTERS:
        return Recommendation(choice="unknown", method=leader.method)
    if fit.unlearned and ahead.interval.mean >= 0:
        return Recommendation(choice="early")
    return Recommendation(choice="none")


def _sure(found: Contrast | None, sign: int) -> bool:
    return found is not None and found.p < CLAIM and found.interval.mean * sign > 0


def _best(sure: Sequence[Group], spent: Mapping[str, Spent]) -> Group:
    """Of methods within one standard error of the most accurate, by likelihood, then by cost."""
    top = max(sure, key=lambda group: group.differences["top1"].interval.mean)
    found = top.differences["top1"].interval
    near = found.mean - found.deviation / math.sqrt(found.count)
    level = [group for group in sure if group.differences["top1"].interval.mean >= near]
    least = min(group.intervals["nll"].mean for group in level)
    alike = [group for group in level if group.intervals["nll"].mean <= 1.05 * least]

    def rank(group: Group) -> tuple[float, float]:
        return _cost_of(spent.get(group.method)), -group.differences["top1"].interval.mean

    return min(alike, key=rank)


def _cost_of(spent: Spent | None) -> float:
    """In trainings without mixing; as much as anything where it was not measured."""
    return math.inf if spent is None or spent.cost is None else spent.cost


def _scaling_does(method: Group, base: Group) -> bool:
    """Whether no mixing is as well calibrated once its temperature is scaled."""
    scaled = base.intervals.get("ece_scaled")
    own = [method.intervals.get(name) for name in ("ece", "ece_scaled")]
    known = [one.mean for one in own if one is not None and math.isfinite(one.mean)]
    return scaled is not None and bool(known) and scaled.mean <= min(known) + _CALIBRATED


def seeds_needed(mixing: Sequence[Group]) -> dict[str, int | None]:
    """Return what ``Answer.seeds_needed`` holds, for the groups of mixing methods."""
    found = {group.key: group.differences["top1"] for group in mixing}
    methods = sum(not math.isnan(one.p) for one in found.values())
    return {
        key: seeds_to_show(
            one.interval.mean,
            deviation=one.interval.deviation / math.sqrt(2),
            methods=methods,
            pooled=one.pooled,
        )
        for key, one in found.items()
        if one.p >= CLAIM and one.interval.mean != 0
    }
