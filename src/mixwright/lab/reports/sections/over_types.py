"""Whether an advantage under corruption is the same for all types, and under which it is sure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixwright.lab.analysis.statistics import (
    AcrossTypes,
    across_types,
    holm,
    sign_flip_p,
)
from mixwright.lab.analysis.statistics.types import MOST_TYPES
from mixwright.lab.evaluation.corruption.constants import FAMILIES
from mixwright.lab.reports.figures import canvas, row_labels
from mixwright.lab.reports.formatting import NONE, p_value, points, signed
from mixwright.lab.reports.palette import FAINT
from mixwright.lab.reports.sections.judging import stacked
from mixwright.lab.reports.sections.pairing import common, families
from mixwright.lab.reports.sections.section import Drawing, Group, Section, Shades, Table
from mixwright.lab.reports.verdict import CLAIM
from mixwright.sampling import Stream, stream

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FAMILY = {name: family for family, names in FAMILIES.items() for name in names}


@dataclass(frozen=True, eq=False)
class ByType:
    """A method against its baseline, type by type.

    Args:
        group: of the method.
        runs: pairs of runs that were averaged.
        differences: of accuracy by type, over severities, images and runs; fractions.
        p_holm: by type, of sign flips over images, adjusted for all types; NaN without arrays.
        across: over types.
    """

    group: Group
    runs: int
    differences: Mapping[str, float]
    p_holm: Mapping[str, float]
    across: AcrossTypes


def over_types(groups: Sequence[Group], shades: Shades) -> Section:
    """Consistency over corruption types, with a figure of every type.

    Args:
        groups: with findings of the part ``Corruption``, a baseline among them, of the same types.
        shades: colour of each group.

    Returns:
        the section; without tables where no method has a baseline or there are too few types.
    """
    found = [
        one
        for place, (own, base) in enumerate(pair for family in families(groups) for pair in family)
        if (one := by_type(own, base, place=place)) is not None
    ]
    types = groups[0].summaries[0]["types"]
    return Section(
        title="Over corruption types",
        protocol=f"Accuracy under each of {len(types)} types, averaged over severities, images and "
        "seeds; difference to no mixing with the same kind of weights. Unit of analysis: types.",
        reading="Types are a fixed set and those of a family resemble each other: this is about "
        "these types and these runs, not about new ones. Whether methods differ for new runs is "
        "asked of their mean over types, run by run.",
        tables=(_table(found),) if found else (),
        drawings=(
            Drawing(
                name="types",
                caption="Difference to no mixing by type, in points; filled where it is sure for "
                "these runs: sign flips over images, each with its mean over severities and "
                "runs, below 0.05 after Holm's correction for all types.",
                make=lambda width: type_dots(found, shades, width=width),
            ),
        )
        if found
        else (),
    )


def by_type(own: Group, base: Group, *, place: int = 0) -> ByType | None:
    """Differences of one method to its baseline.

    Args:
        own: the method's findings.
        base: the baseline's.
        place: of the method in the report, for its draws.

    Returns:
        what was found; None where they have no seeds or fewer than two types in common.
    """
    seeds = common(own, base)
    mine, theirs = ([s["by_type"] for s in one.summaries] for one in (own, base))
    types = [t for t in own.summaries[0]["types"] if t in base.summaries[0]["types"]]
    if not seeds or not 2 <= len(types) <= MOST_TYPES:
        return None
    differences = {
        name: math.fsum(mine[a][name] - theirs[b][name] for a, b in seeds) / len(seeds)
        for name in types
    }
    return ByType(
        group=own,
        runs=len(seeds),
        differences=differences,
        p_holm=_per_type(own, base, seeds, types, place=place),
        across=across_types(
            differences, generator=stream(0, Stream.ACROSS_TYPES, place), families=_FAMILY
        ),
    )


def type_dots(found: Sequence[ByType], shades: Shades, *, width: float) -> Figure:
    """A row a type, a dot a method; families apart.

    Args:
        found: methods, all of the same types.
        shades: colour of each group.
        width: in inches.

    Returns:
        the figure.
    """
    types = list(found[0].differences)
    figure, axes = canvas(width, 1.0 + 0.23 * len(types))
    axes.axvline(0, color=FAINT.light, lw=1)
    step = min(0.16, 0.6 / max(1, len(found)))
    for place, one in enumerate(found):
        colour = shades[one.group.key].light
        shift = step * ((len(found) - 1) / 2 - place)
        for row, name in enumerate(types):
            if name in one.differences:
                face = colour if one.p_holm[name] < CLAIM else "white"
                axes.plot(100 * one.differences[name], shift - row, "o", ms=4.5, mfc=face,
                          mec=colour, mew=1.1)  # fmt: skip
        axes.plot([], [], "o", ms=4.5, color=colour, label=one.group.label)
    row_labels(axes, [name.replace("_", " ") for name in types])
    for row, name in enumerate(types[1:], start=1):
        if _FAMILY.get(name) != _FAMILY.get(types[row - 1]):
            axes.axhline(0.5 - row, color=FAINT.light, lw=0.6, alpha=0.6)
    axes.set_xlabel("difference to no mixing, points")
    axes.margins(x=0.08)
    figure.legend(loc="outside upper left", ncols=3 if width > 5 else 2, frameon=False,
                  fontsize=8.5, handletextpad=0.2, columnspacing=1.2)  # fmt: skip
    return figure


def _per_type(
    own: Group,
    base: Group,
    seeds: Sequence[tuple[int, int]],
    types: Sequence[str],
    *,
    place: int,
) -> dict[str, float]:
    """Adjusted p-value of each type, clustered by image."""
    mine, theirs = stacked(own, [a for a, _ in seeds]), stacked(base, [b for _, b in seeds])
    if mine is None or theirs is None or mine.shape[2:] != theirs.shape[2:]:
        return dict.fromkeys(types, math.nan)
    ps = [
        sign_flip_p(
            (
                mine[:, own.summaries[0]["types"].index(name)]
                - theirs[:, base.summaries[0]["types"].index(name)]
            )
            .mean(dim=(0, 1))
            .numpy(),
            generator=stream(0, Stream.PER_TYPE, place, number),
        )
        for number, name in enumerate(types)
    ]
    return dict(zip(types, holm(ps), strict=True))


def _table(found: Sequence[ByType]) -> Table:
    tests = zip(
        holm([one.across.p_t for one in found]),
        holm([one.across.p_wilcoxon for one in found]),
        holm([one.across.p_exact for one in found]),
        strict=True,
    )
    rows = tuple(
        (
            one.group.label,
            signed(one.across.interval, digits=2),
            f"{points(one.across.bca.low)} to {points(one.across.bca.high)}",
            f"{one.across.ahead} of {len(one.differences)}",
            *(p_value(p) for p in ps),
            _families(one.across),
            str(one.runs),
        )
        for one, ps in zip(found, tests, strict=True)
    )
    return Table(
        head=("Over types", "difference, points", "bootstrap over types", "ahead",
              "p Holm, t", "ranks", "signs", "families", "R"),
        rows=rows,
        caption="± is half of the 95 % t interval over types; p of the t test, of Wilcoxon's "
        "signed ranks, and of all patterns of signs, each adjusted for the number of methods. "
        "Families: how many of them have the sign of the mean.",
        keys=tuple(one.group.key for one in found),
    )  # fmt: skip


def _families(across: AcrossTypes) -> str:
    if not across.families:
        return NONE
    agree = sum(mean * across.interval.mean > 0 for mean in across.families.values())
    return f"{agree} of {len(across.families)}"
