"""The one paragraph of judgement: what can be told from chance, and what cannot."""

from __future__ import annotations

from collections.abc import Sequence

from mixwright.lab.analysis.findings import Difference, Group, Part
from mixwright.lab.reports.formatting import count_range, joined, p_equals, signed

CLAIM = 0.05
"""Adjusted p-values below it are called a difference."""


def verdict(scores: Part) -> str:
    """Return one honest paragraph about top-1 of the trained weights after the last epoch.

    Claims rest on p-values that are adjusted for the number of methods, by Holm's method.
    """
    groups = [group for group in scores.groups if group.weights == "raw"]
    if not any(group.baseline for group in groups):
        return "No run without mixing is among them, so there are no differences to judge."
    others = [group for group in groups if not group.baseline]
    if not others:
        return "Only the baseline was run, so there is nothing to compare it with."
    tested = [
        (group, found)
        for group in others
        if (found := group.differences.get("top1")) and found.interval.count > 1
    ]
    if not tested and any(len(group.seeds) > 1 for group in others):
        return "No method shares two seeds with no mixing: no difference can be told from chance."
    if not tested:
        return "One seed gives no interval: no difference here can be told from chance."
    claims = [
        f"{group.name} is {side} ({signed(found.interval)} points, "
        f"{p_equals(found.p_holm, 'p_Holm')})"
        for side in ("ahead", "behind")
        for group, found in tested
        if stands(found) == side
    ]
    corrected = f" and corrected for {len(tested)} methods (Holm)" if len(tested) > 1 else ""
    undecided = [(group, found) for group, found in tested if not stands(found)]
    claims += [_undecided(undecided)] if undecided else []
    return f"Against no mixing, paired by seed{corrected}: {'; '.join(claims)}."


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
