"""Whether methods differ from the baseline: for new runs first, then for new images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import WEIGHTS, Group, Part
from mixwright.lab.analysis.ranking import Ranking
from mixwright.lab.analysis.significance import MARGIN, AgainstBaseline, Family, Significance
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.analysis.statistics.interval import NO_SPREAD
from mixwright.lab.reports.figures import canvas, row_labels
from mixwright.lab.reports.formatting import (
    MINUS,
    NONE,
    capital,
    count_range,
    joined,
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
from mixwright.lab.reports.verdict import CLAIM

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KINDS = {"raw": "Trained weights", "ema": "EMA", "teacher": "Own teachers", "": "Models"} | {
    name: capital(WEIGHTS[name]) for name in ("raw_mixed", "ema_mixed", "teacher_mixed")
}

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
            caption="Difference of top-1 to the baseline with the same kind of weights: thick, its "
            "own 95 % interval over runs; thin, the one that holds together with all of its kind "
            "(Bonferroni).",
            make=lambda width: differences(methods, groups, shades, width=width),
        )
    ]
    if judged.ranking is not None:
        drawings.append(_ranks(judged.ranking, groups, shades))
    return Section(
        title="What differs, and how sure that is",
        protocol="Top-1 accuracy; differences to no mixing with the same kind of weights (an own "
        "teacher to the EMA), paired by seed. Each kind of weights is one family of questions, "
        "adjusted by Holm's method; a difference is claimed where that p-value is below 0.05.",
        reading=" ".join(_verdict(family, groups) for family in judged.families),
        blocks=(*tables, *drawings),
    )


def differences(
    methods: Sequence[AgainstBaseline], groups: Groups, shades: Shades, *, width: float
) -> Figure:
    """Draw a row a method: difference to its baseline with both intervals."""
    figure, axes = canvas(width, 0.75 + 0.36 * len(methods))
    axes.axvline(0, color=FAINT.light, lw=1)
    for place, method in enumerate(methods):
        colour = shades[method.key].light
        ends = [100 * method.simultaneous.low, 100 * method.simultaneous.high]
        axes.plot(ends, [-place] * 2, color=colour, lw=0.8, alpha=0.8)
        group_whisker(axes, groups[method.key], method.runs, -place, colour)
    row_labels(axes, [groups[method.key].label for method in methods])
    axes.set_xlabel("difference to no mixing, points")
    axes.margins(x=0.08)
    return figure


def _over_runs(methods: Sequence[AgainstBaseline], groups: Groups) -> Table:
    rows = tuple(
        (
            groups[method.key].label,
            signed(method.runs, digits=2),
            _ends(method.runs),
            p_value(method.p_holm),
            _ends(method.simultaneous),
            _no_worse(method),
            str(method.runs.count),
        )
        for method in methods
    )
    return Table(
        head=("For new runs", "difference, points", "95 % interval", "p Holm",
              "all at once", f"no worse by {percent(MARGIN)}", "R"),
        rows=rows,
        caption="Unit of analysis: runs, R pairs of one seed; t test over the pairs. All at once: "
        "intervals that hold together (Bonferroni). No worse: whether the one-sided 95 % "
        f"bound lies above {MINUS}{percent(MARGIN)} points; a large p-value alone shows no such "
        "thing.",
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


def _no_worse(method: AgainstBaseline) -> str:
    if math.isnan(method.not_worse.bound):
        return NONE
    return "yes" if method.not_worse.shown else "not shown"


def _ends(interval: Interval | None) -> str:
    if interval is None or math.isnan(interval.low):
        return NONE
    return f"{points(interval.low)} to {points(interval.high)}"


def _verdict(family: Family, groups: Groups) -> str:
    """What may be claimed for new runs of one kind, and how many would be needed to tell more."""
    kind = _KINDS[family.weights]
    tested = [method for method in family.methods if not math.isnan(method.p_holm)]
    still = [method for method in family.methods if method.runs.no_spread]
    if not tested and not still:
        return (
            f"{kind}: one seed gives no interval over runs, so nothing can be said of the methods; "
            "the second table speaks of these checkpoints alone."
        )
    sure = [method for method in tested if method.p_holm < CLAIM]
    unsure = [method for method in tested if not method.p_holm < CLAIM]
    seeds = count_range(method.runs.count for method in tested) if tested else ""
    clauses = [
        _clause([method for method in sure if method.runs.mean > 0], groups, "ahead of no mixing"),
        _clause([method for method in sure if method.runs.mean < 0], groups, "behind no mixing"),
        _clause(unsure, groups, f"not distinguishable from no mixing at {seeds} seeds"),
        _clause(still, groups, f"apart by the same in every seed ({NO_SPREAD})"),
    ]
    text = f"{kind}: {'; '.join(clause for clause in clauses if clause)}."
    if not unsure or family.runs_needed is None:
        return text
    return (
        f"{text} With the spread of differences seen here, {family.runs_needed:,} pairs of runs "
        f"would make intervals of ± {percent(MARGIN)} points."
    )


def _clause(methods: Sequence[AgainstBaseline], groups: Groups, what: str) -> str:
    names = [groups[method.key].name for method in methods]
    return f"{joined(names)} {'is' if len(names) == 1 else 'are'} {what}" if names else ""


def _ranks(ranking: Ranking, groups: Groups, shades: Shades) -> Drawing:
    labels = {key: group.label for key, group in groups.items()}
    return Drawing(
        name="ranks",
        caption=f"Mean rank by top-1 over {len(ranking.seeds)} seeds. Bars join what lies closer "
        "than Nemenyi's critical difference (5 %) and so cannot be told apart; Friedman's test of "
        f"all being alike: {p_equals(ranking.p)}.",
        make=lambda width: ranks_figure(ranking, labels, shades, width=width),
    )
