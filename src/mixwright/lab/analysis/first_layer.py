"""Which coefficients the filters of a first layer feel: the least, the median and the most."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import Group

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class FilterRange:
    """Coefficients over the filters of one method; the median is the lower of the middle two."""

    least: float
    median: float
    most: float


@dataclass(frozen=True, kw_only=True)
class FilterRanges:
    """All methods by key."""

    methods: dict[str, FilterRange] = field(default_factory=dict[str, FilterRange])


def analyse(groups: Sequence[Group]) -> tuple[FilterRanges, dict[str, Tensor]]:
    """Sum up the ``coefficient`` of the filters of each method; no arrays."""
    methods = dict[str, FilterRange]()
    for group in groups:
        felt: list[float] = group.first["coefficient"]
        methods[group.key] = FilterRange(
            least=min(felt), median=statistics.median_low(felt), most=max(felt)
        )
    return FilterRanges(methods=methods), {}
