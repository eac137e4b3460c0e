"""Like is compared with like: which groups belong together, and by which seeds."""

from __future__ import annotations

from collections.abc import Sequence

from mixwright.lab.analysis.findings import Group

AGAINST = {
    "raw": "raw",
    "ema": "ema",
    "teacher": "ema",
    "raw_mixed": "raw",
    "ema_mixed": "ema",
    "teacher_mixed": "ema",
}
"""Weights of a method, and those of the baseline that they are compared with.

A method's own teacher is an average of weights: set against trained weights it would gain from the
averaging alone.
"""


def baseline_of(group: Group, groups: Sequence[Group]) -> Group | None:
    """Return the baseline with the weights of ``AGAINST``; None for a baseline, or without one.

    It is of the same checkpoint: the last epoch is set against the last, the best against the best.
    """
    if group.baseline:
        return None
    wanted = AGAINST.get(group.weights, group.weights), group.checkpoint
    alike = (base for base in groups if base.baseline)
    return next((base for base in alike if (base.weights, base.checkpoint) == wanted), None)


def families(groups: Sequence[Group]) -> list[list[tuple[Group, Group]]]:
    """Return (method, baseline), those with the same weights as one family of questions."""
    found: dict[tuple[str, str], list[tuple[Group, Group]]] = {}
    for group in groups:
        base = baseline_of(group, groups)
        if base is not None:
            found.setdefault((group.weights, group.checkpoint), []).append((group, base))
    return list(found.values())


def common_seeds(own: Group, other: Group) -> list[tuple[int, int]]:
    """Return the places of the seeds that two groups have in common, in each of them.

    A seed that a record names twice counts once, at its first place: it is one pair of runs.
    """
    mine, theirs = (
        {seed: place for place, seed in reversed([*enumerate(group.seeds)])}
        for group in (own, other)
    )
    return [(mine[seed], theirs[seed]) for seed in dict.fromkeys(own.seeds) if seed in theirs]
