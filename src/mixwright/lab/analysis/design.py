"""Maps and masks of designed mixers, kept for figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import Group

if TYPE_CHECKING:
    from torch import Tensor

MAPS = ("wanted", "achieved", "samples")
"""Arrays of ``theory.design.Designed`` that are kept."""


def analyse(groups: Sequence[Group]) -> tuple[None, dict[str, Tensor]]:
    """Keep ``MAPS`` of each design under ``key/name``; its numbers all stand in its summary."""
    return None, {
        f"{group.key}/{name}": group.arrays[0][name].float()
        for group in groups
        if group.arrays
        for name in MAPS
    }
