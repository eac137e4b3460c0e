"""Second moments of masks over draws: standard errors, the check by closed forms, maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mixwright.lab.analysis.findings import Group
from mixwright.lab.evaluation.offset_maps import profile

MAPS = ("a", "diagonal")
"""Arrays that are kept for figures, averaged over draws."""


@dataclass(frozen=True, kw_only=True)
class MethodMoments:
    """What is known of one method beyond its intervals.

    Attributes:
        a0_error: standard error of the mean over draws of ``a0``; NaN for a single batch.
        mean_error: likewise of ``mean``.
        deviation: how far off the closed form the worst draw is, in standard errors; NaN where
            there is no closed form, or a single batch.
        closed_profile: the closed form by distance in pixels; empty where there is none.
    """

    a0_error: float
    mean_error: float
    deviation: float
    closed_profile: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AllMoments:
    """The methods of one mode, by key."""

    methods: dict[str, MethodMoments] = field(default_factory=dict[str, MethodMoments])


def analyse(groups: Sequence[Group]) -> tuple[AllMoments, dict[str, Tensor]]:
    """Gather what all draws of a method say together; ``MAPS`` of each group under ``key/name``."""
    found, maps = AllMoments(), dict[str, Tensor]()
    for group in groups:
        found.methods[group.key] = MethodMoments(
            a0_error=combined_error(group.summaries, "a0_error"),
            mean_error=combined_error(group.summaries, "mean_error"),
            deviation=_deviation(group.summaries),
            closed_profile=_closed_profile(group),
        )
        if group.arrays:
            for name in MAPS:
                average = torch.stack([run[name] for run in group.arrays]).mean(dim=0)
                maps[f"{group.key}/{name}"] = average.float()
    return found, maps


def combined_error(summaries: Sequence[Mapping[str, Any]], name: str) -> float:
    """Return the standard error of a mean over independent draws, from those of each draw.

    Example:
        >>> combined_error([{"error": 3.0}, {"error": 4.0}], "error")
        2.5
    """
    errors = [summary[name] for summary in summaries]
    if any(error is None for error in errors):
        return math.nan
    return math.hypot(*errors) / len(errors)


def _deviation(summaries: Sequence[Mapping[str, Any]]) -> float:
    checks: list[dict[str, Any] | None] = [summary["closed"] for summary in summaries]
    found = [check["deviation"] for check in checks if check is not None]
    return math.nan if len(found) < len(checks) or None in found else max(found)


def _closed_profile(group: Group) -> tuple[float, ...]:
    if group.first["closed"] is None or not group.arrays:
        return ()
    return tuple(profile(group.arrays[0]["closed"]).tolist())
