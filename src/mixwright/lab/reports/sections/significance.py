"""Whether methods differ from the baseline: for new runs first, then for new images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.analysis.ranking import Ranking
from mixwright.lab.analysis.significance import AgainstBaseline, Significance
from mixwright.lab.analysis.statistics import Contrast, Interval
from mixwright.lab.reports.figures import canvas, row_labels
from mixwright.lab.reports.formatting import (
    MINUS,
    NONE,
    p_equals,
    p_value,
    percent,
    points,
    signed,
)
from mixwright.lab.reports.palette import FAINT
from mixwright.lab.reports.ranks_figure import ranks_figure
from mixwright.lab.reports.section import Drawing, Section, Shades, Table
from mixwright.lab.reports.sections.lines import group_whisker
from mixwright.lab.reports.verdict import of_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN = 0.003
"""A loss of accuracy that does not matter, for the claim that a method is no worse."""

Groups = Mapping[str, Group]
"""Groups of the part by their key."""


def significance(part: Part, judged: Significance, shades: Shades) -> Section:
    """Write differences to the baseline, with what they are worth, and mean ranks."""
    groups = {group.key: group for group in part.groups}
    methods = [method for family in judged.families for method in family.methods]
    tables = [_over_runs(methods, groups)]
    if any(method.images is not None for method in methods):
        tables.append(_over_images(methods, groups, part.groups[0].first["images"]))
    drawings = [
        Drawing(
            name="differences",
            caption="Difference of top-1 to the baseline with the same kind of weights, with its "
            "95 % interval over runs; all intervals of a kind hold at once.",
            make=lambda width: differences(methods, groups, shades, width=width),
        )
    ]
    if judged.ranking is not None:
        drawings.append(_ranks(judged.ranking, groups, shades))
    return Section(
        title="What differs, and how sure that is",
        protocol="Top-1 accuracy; differences to no mixing with the same kind of weights (an own "
        "teacher to the EMA), paired by seed. Each kind of weights is one family of questions: "
        "Dunnett's intervals and p-values over runs, with one spread for all methods; over images "
        "p-values are adjusted by Holm's method.",
        reading=" ".join(of_weights(part.groups, family.weights) for family in judged.families)
        + (" Intervals over images speak of these checkpoints alone." if len(tables) > 1 else ""),
        blocks=(*tables, *drawings),
    )


def differences(
    methods: Sequence[AgainstBaseline], groups: Groups, shades: Shades, *, width: float
) -> Figure:
    """Draw a row a method: difference to its baseline with its interval."""
    figure, axes = canvas(width, 0.75 + 0.36 * len(methods))
    axes.axvline(0, color=FAINT.light, lw=1)
    for place, method in enumerate(methods):
        group = groups[method.key]
        interval = group.differences["top1"].interval
        group_whisker(axes, group, interval, -place, shades[method.key].light)
    row_labels(axes, [groups[method.key].label for method in methods])
    axes.set_xlabel("difference to no mixing, points")
    axes.margins(x=0.08)
    return figure


def _over_runs(methods: Sequence[AgainstBaseline], groups: Groups) -> Table:
    found = [groups[method.key].differences["top1"] for method in methods]
    return Table(
        head=("For new runs", "difference, points", "95 % interval", "p", "smallest shown",
              f"no worse by {percent(MARGIN)}", "R"),
        rows=tuple(
            (
                groups[method.key].label,
                signed(difference.interval, digits=2),
                _ends(difference.interval),
                p_value(difference.p),
                percent(difference.detectable),
                _no_worse(difference),
                str(difference.interval.count),
            )
            for method, difference in zip(methods, found, strict=True)
        ),
        caption="Unit of analysis: runs, R pairs of one seed. Intervals and p-values are "
        "Dunnett's: they hold for all methods at once. Smallest shown: a true difference, in "
        "points, that these runs would have found with a chance of 80 %. No worse: whether the "
        f"interval lies above {MINUS}{percent(MARGIN)} points; a large p-value alone shows no "
        "such thing.",
        keys=tuple(method.key for method in methods),
    )  # fmt: skip


def _over_images(methods: Sequence[AgainstBaseline], groups: Groups, count: int) -> Table:
    methods = [method for method in methods if method.images is not None]
    rows = tuple(
        (
            groups[method.key].label,
            _ends(method.images),
            p_value(method.p_images_holm),
            _ends(method.crossed),
            f"{count:,}",
        )
        for method in methods
    )
    return Table(
        head=("For new images", "95 % interval, these runs", "p Holm", "new runs and images", "n"),
        rows=rows,
        caption="Unit of analysis: test images, n of them, each with its mean over the runs; BCa "
        "bootstrap and 19,999 random flips of signs. It says whether these very checkpoints "
        "differ, not the methods. New runs and images: both drawn anew; too narrow below eight "
        "seeds.",
        keys=tuple(method.key for method in methods),
    )


def _no_worse(difference: Contrast) -> str:
    if math.isnan(difference.interval.low):
        return NONE
    return "yes" if difference.interval.low > -MARGIN else "not shown"


def _ends(interval: Interval | None) -> str:
    if interval is None or math.isnan(interval.low):
        return NONE
    return f"{points(interval.low)} to {points(interval.high)}"


def _ranks(ranking: Ranking, groups: Groups, shades: Shades) -> Drawing:
    labels = {key: group.label for key, group in groups.items()}
    return Drawing(
        name="ranks",
        caption=f"Mean rank by top-1 over {len(ranking.seeds)} seeds. Bars join what lies closer "
        "than Nemenyi's critical difference (5 %) and so cannot be told apart; Friedman's test of "
        f"all being alike: {p_equals(ranking.p)}.",
        make=lambda width: ranks_figure(ranking, labels, shades, width=width),
    )
