"""Parts of the mixed loss over draws: standard errors, and how much the expansion explains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.moments import combined_error

if TYPE_CHECKING:
    from torch import Tensor

TERMS = ("labels", "r1", "r2", "r3", "remainder")
"""What mixing adds to the plain loss is the sum of these."""


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """What is known of one method beyond its intervals.

    Attributes:
        errors: of ``mixed`` and each of ``TERMS``, the standard error of the mean over draws; NaN
            for a single batch.
        added: mixed less plain loss, nats.
        explained: part of ``added`` that is not the remainder; NaN where nothing is added.
    """

    errors: dict[str, float]
    added: float
    explained: float


@dataclass(frozen=True, kw_only=True)
class Expansions:
    """All methods by key."""

    methods: dict[str, Expansion] = field(default_factory=dict[str, Expansion])


def analyse(groups: Sequence[Group]) -> tuple[Expansions, dict[str, Tensor]]:
    """Gather what all draws of a method say together; one run a draw, no arrays."""
    return Expansions(methods={group.key: _expansion(group) for group in groups}), {}


def _expansion(group: Group) -> Expansion:
    def mean(name: str) -> float:
        return math.fsum(draw[name] for draw in group.summaries) / len(group.summaries)

    added = mean("mixed") - mean("plain")
    return Expansion(
        errors={
            name: combined_error(group.summaries, f"{name}_error") for name in ("mixed", *TERMS)
        },
        added=added,
        explained=(added - mean("remainder")) / added if added else math.nan,
    )
