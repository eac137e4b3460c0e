"""Like is compared with like: which groups of a report belong together, and by which seeds."""

from __future__ import annotations

from collections.abc import Sequence

from mixwright.lab.evaluation.protocol import COLUMNS
from mixwright.lab.reports.sections.section import Group

_AGAINST = {"raw": "raw", "ema": "ema", "teacher": "ema"}  # a teacher is an average of weights too


def weights_of(group: Group) -> str:
    """Which weights of its runs a group is about: raw, ema, teacher, or nothing for other models.

    Args:
        group: its key ends with them where it comes from runs.
    """
    last = group.key.rpartition(" ")[2]
    return last if last in COLUMNS else ""


def plain_label(group: Group) -> str:
    """The label without the word for its weights, for sentences about one kind of weights."""
    for word in ("trained weights", "EMA", "own teacher"):
        if group.label.endswith(f", {word}"):
            return group.label.removesuffix(f", {word}")
    return group.label


def baseline_of(group: Group, groups: Sequence[Group]) -> Group | None:
    """The baseline that a group is set against: with the same weights, a teacher against the EMA.

    Args:
        group: of a method.
        groups: all of the report.

    Returns:
        the baseline; None for a baseline itself, and where there is none of its weights.
    """
    bases = [one for one in groups if one.baseline]
    if group.baseline:
        return None
    wanted = _AGAINST.get(weights_of(group), "")
    return next((one for one in bases if _AGAINST.get(weights_of(one), "") == wanted), None)


def families(groups: Sequence[Group]) -> list[list[tuple[Group, Group]]]:
    """Methods with their baselines; those with the same weights are one family of questions.

    Args:
        groups: all of the report.

    Returns:
        families of (method, baseline), in the order of the groups.
    """
    found: dict[str, list[tuple[Group, Group]]] = {}
    for group in groups:
        base = baseline_of(group, groups)
        if base is not None:
            found.setdefault(weights_of(group), []).append((group, base))
    return list(found.values())


def common(own: Group, other: Group) -> list[tuple[int, int]]:
    """Places of the seeds that two groups have in common, in each of them."""
    theirs = {seed: place for place, seed in enumerate(other.seeds)}
    return [(place, theirs[seed]) for place, seed in enumerate(own.seeds) if seed in theirs]


def several_seeds(groups: Sequence[Group]) -> bool:
    """Whether some group has more than one run, so that there are intervals over runs."""
    return any(len(group.seeds) > 1 for group in groups)
