"""Calibration errors of single runs on other images, and the bins of all runs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.statistics import Interval, ece_interval
from mixwright.sampling import Stream, stream

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Bin:
    """A bin of a reliability diagram that has images; fractions, means of the images."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Calibrations:
    """What the reliability diagrams and the tables of all groups need beside the summaries.

    Attributes:
        over_images: of groups of a single run, by key and by number of bins: ECE with its
            bootstrap interval over images; none without arrays.
        pooled: by key, the headline bins of all runs together, without those that have no images.
    """

    over_images: dict[str, dict[str, Interval]] = field(
        default_factory=dict[str, dict[str, Interval]]
    )
    pooled: dict[str, tuple[Bin, ...]] = field(default_factory=dict[str, tuple[Bin, ...]])


def analyse(groups: Sequence[Group]) -> tuple[Calibrations, dict[str, Tensor]]:
    """Judge calibration by ``confidence`` and ``correct`` ``(n,)`` where kept; no arrays."""
    found = Calibrations(
        over_images={
            group.key: _over_images(group.first, group.arrays[0])
            for group in groups
            if len(group.seeds) == 1 and group.arrays and "confidence" in group.arrays[0]
        },
        pooled={group.key: pooled(group) for group in groups},
    )
    return found, {}


def pooled(group: Group) -> tuple[Bin, ...]:
    """Return the headline bins of all runs of a group together, in rising order."""
    head = str(group.first["headline_bins"])
    tables: list[list[dict[str, Any]]] = [run["bins"][head]["table"] for run in group.summaries]
    found: list[Bin] = []
    for rows in zip(*tables, strict=True):
        filled = [row for row in rows if row["count"]]
        count = sum(row["count"] for row in filled)
        if count:
            confidence, accuracy = (
                sum(row["count"] * row[name] for row in filled) / count
                for name in ("confidence", "accuracy")
            )
            found.append(
                Bin(low=rows[0]["low"], high=rows[0]["high"], count=count,
                    confidence=confidence, accuracy=accuracy)
            )  # fmt: skip
    return tuple(found)


def _over_images(summary: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> dict[str, Interval]:
    # The seed stands with the temperature; a set too small to fit one has it in the summary.
    seed: int = (summary["temperature"] or summary).get("seed", 0)
    found: dict[str, Interval] = {}
    for bins, errors in summary["bins"].items():
        interval = ece_interval(
            arrays["confidence"].numpy(),
            arrays["correct"].numpy(),
            generator=stream(seed, Stream.CALIBRATION_IMAGES, int(bins)),
            bins=int(bins),
            resamples=summary["resamples"],
        )
        found[bins] = replace(interval, mean=errors["ece"])  # the one that was measured
    return found
