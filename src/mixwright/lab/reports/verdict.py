"""The one paragraph of judgement: what can be told from chance, and what cannot."""

from __future__ import annotations

from collections.abc import Sequence

from mixwright.lab.analysis.families import AGAINST
from mixwright.lab.analysis.findings import WEIGHTS, Difference, Group, Part
from mixwright.lab.analysis.statistics.interval import NO_SPREAD
from mixwright.lab.reports.formatting import capital, count_range, joined, p_equals, signed

CLAIM = 0.05
"""Adjusted p-values below it are called a difference."""


def verdict(scores: Part) -> str:
    """Return one honest paragraph about top-1 after the last epoch, each kind of weights apart.

    Claims rest on p-values that are adjusted for the number of methods, by Holm's method.
    """
    raw = [group for group in scores.groups if group.weights == "raw"]
    if not any(group.baseline for group in raw):
        return "No run without mixing is among them, so there are no differences to judge."
    others = [group for group in raw if not group.baseline]
    if not others:
        return "Only the baseline was run, so there is nothing to compare it with."
    found = [text for weights in WEIGHTS if (text := _of_weights(scores, weights))]
    if not found and any(len(group.seeds) > 1 for group in others):
        return "No method shares two seeds with no mixing: no difference can be told from chance."
    if not found:
        return "One seed gives no interval: no difference here can be told from chance."
    best = max(scores.groups, key=lambda group: group.intervals["top1"].mean)
    return f"{' '.join(found)} The highest mean top-1 is that of {best.label}."


def _of_weights(scores: Part, weights: str) -> str:
    """What is claimed of one kind of weights; nothing where no method has two pairs of runs."""
    tested = [
        (group, found)
        for group in scores.groups
        if group.weights == weights
        and not group.baseline
        and (found := group.differences.get("top1"))
        and found.interval.count > 1
    ]
    if not tested:
        return ""
    claims = [
        f"{group.name} is {side} ({signed(found.interval)} points, "
        f"{p_equals(found.p_holm, 'p_Holm')})"
        for side in ("ahead", "behind")
        for group, found in tested
        if stands(found) == side
    ]
    still = [(group, found) for group, found in tested if found.interval.no_spread]
    judged = len(tested) - len(still)
    corrected = f" and corrected for {judged} methods (Holm)" if judged > 1 else ""
    undecided = [pair for pair in tested if not stands(pair[1]) and pair not in still]
    claims += [_undecided(undecided)] if undecided else []
    claims += [
        f"{group.name} differs by {signed(found.interval)} points in every seed: {NO_SPREAD}, so "
        "no chance can be given"
        for group, found in still
    ]
    kind = capital(WEIGHTS[weights])
    base = "" if weights == "raw" else f"the {WEIGHTS[AGAINST[weights]]} of "
    return f"{kind} against {base}no mixing, paired by seed{corrected}: {'; '.join(claims)}."


def stands(difference: Difference | None) -> str:
    """Return ``ahead`` or ``behind`` the baseline, nothing where p_Holm is not below 0.05."""
    if difference is None or not difference.p_holm < CLAIM:  # NaN is not below
        return ""
    return "ahead" if difference.interval.mean > 0 else "behind"


def _undecided(methods: Sequence[tuple[Group, Difference]]) -> str:
    seeds = count_range(found.interval.count for _, found in methods)
    named = joined([group.name for group, _ in methods])
    are = "is" if len(methods) == 1 else "are"
    few = f"{seeds} seed{'' if seeds == '1' else 's'}"
    return f"{named} {are} not distinguishable from no mixing at {few}"
