"""Whether methods differ from the baseline: for new runs first, then for new images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixwright.lab.analysis.statistics import Interval, mean_ranks, runs_needed
from mixwright.lab.reports.figures import canvas, row_labels, whisker
from mixwright.lab.reports.formatting import (
    MINUS,
    NONE,
    joined,
    p_equals,
    p_value,
    percent,
    points,
    signed,
)
from mixwright.lab.reports.palette import FAINT
from mixwright.lab.reports.ranks_figure import ranks_figure
from mixwright.lab.reports.sections.judging import MARGIN, Pair, judge, top1
from mixwright.lab.reports.sections.pairing import families, plain_label, weights_of
from mixwright.lab.reports.sections.section import Drawing, Group, Section, Shades, Table
from mixwright.lab.reports.verdict import CLAIM

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KINDS = {"raw": "Trained weights", "ema": "EMA", "teacher": "Own teachers", "": "Models"}


def significance(groups: Sequence[Group], shades: Shades) -> Section:
    """Differences to the baseline, with what they are worth, and mean ranks.

    Args:
        groups: with findings of the part ``Accuracy``, a baseline among them.
        shades: colour of each group.

    Returns:
        the section.
    """
    judged = [judge(family) for family in families(groups)]
    pairs = [pair for family in judged for pair in family]
    count = groups[0].summaries[0]["images"]
    ranked = _ranked(groups)
    drawings = [
        Drawing(
            name="differences",
            caption="Difference of top-1 to the baseline with the same kind of weights: thick, its "
            "own 95 % interval over runs; thin, the one that holds together with all of its kind "
            "(Bonferroni).",
            make=lambda width: differences(pairs, shades, width=width),
        )
    ]
    if ranked is not None:
        drawings.append(_ranks(ranked, shades))
    return Section(
        title="What differs, and how sure that is",
        protocol="Top-1 accuracy; differences to no mixing with the same kind of weights (an own "
        "teacher to the EMA), paired by seed. Each kind of weights is one family of questions, "
        "adjusted by Holm's method; a difference is claimed where that p-value is below 0.05.",
        reading=" ".join(_verdict(family) for family in judged if family),
        tables=tuple(
            table for table in (_over_runs(pairs), _over_images(pairs, count)) if table.rows
        ),
        drawings=tuple(drawings),
    )


def differences(pairs: Sequence[Pair], shades: Shades, *, width: float) -> Figure:
    """A row a method: difference to its baseline with both intervals.

    Args:
        pairs: methods and what was found.
        shades: colour of each group.
        width: in inches.

    Returns:
        the figure.
    """
    figure, axes = canvas(width, 0.75 + 0.36 * len(pairs))
    axes.axvline(0, color=FAINT.light, lw=1)
    for place, pair in enumerate(pairs):
        colour = shades[pair.group.key].light
        ends = [100 * pair.wide.low, 100 * pair.wide.high]
        axes.plot(ends, [-place] * 2, color=colour, lw=0.8, alpha=0.8)
        face = "white" if weights_of(pair.group) == "raw" else colour
        mark = "D" if weights_of(pair.group) == "teacher" else "o"
        whisker(axes, pair.runs, -place, colour, face=face, mark=mark)
    row_labels(axes, [pair.group.label for pair in pairs])
    axes.set_xlabel("difference to no mixing, points")
    axes.margins(x=0.08)
    return figure


def _over_runs(pairs: Sequence[Pair]) -> Table:
    rows = tuple(
        (
            pair.group.label,
            signed(pair.runs, digits=2),
            _ends(pair.runs),
            p_value(pair.p_holm),
            _ends(pair.wide),
            NONE if math.isnan(pair.bound) else "yes" if pair.bound > -MARGIN else "not shown",
            str(pair.runs.count),
        )
        for pair in pairs
    )
    return Table(
        head=("For new runs", "difference, points", "95 % interval", "p Holm",
              "all at once", f"no worse by {percent(MARGIN)}", "R"),
        rows=rows,
        caption="Unit of analysis: runs, R pairs of one seed; t test over the pairs. All at once: "
        "intervals that hold together (Bonferroni). No worse: whether the one-sided 95 % "
        f"bound lies above {MINUS}{percent(MARGIN)} points; a large p-value alone shows no such "
        "thing.",
        keys=tuple(pair.group.key for pair in pairs),
    )  # fmt: skip


def _over_images(pairs: Sequence[Pair], count: int) -> Table:
    there = [pair for pair in pairs if pair.images is not None]
    rows = tuple(
        (
            pair.group.label,
            _ends(pair.images),
            p_value(pair.p_images),
            _ends(pair.crossed),
            f"{count:,}",
        )
        for pair in there
    )
    return Table(
        head=("For new images", "95 % interval, these runs", "p Holm", "new runs and images", "n"),
        rows=rows,
        caption="Unit of analysis: test images, n of them, each with its mean over the runs; BCa "
        "bootstrap and 19,999 random flips of signs. It says whether these very checkpoints "
        "differ, not the methods. New runs and images: both drawn anew; too narrow below eight "
        "seeds.",
        keys=tuple(pair.group.key for pair in there),
    )


def _ends(interval: Interval | None) -> str:
    if interval is None or math.isnan(interval.low):
        return NONE
    return f"{points(interval.low)} to {points(interval.high)}"


def _verdict(family: Sequence[Pair]) -> str:
    """What may be claimed for new runs of one kind, and how many would be needed to tell more."""
    kind = _KINDS[weights_of(family[0].group)]
    tested = [pair for pair in family if not math.isnan(pair.p_holm)]
    if not tested:
        return (
            f"{kind}: one seed gives no interval over runs, so nothing can be said of the methods; "
            "the second table speaks of these checkpoints alone."
        )
    sure = [pair for pair in tested if pair.p_holm < CLAIM]
    open_ = [pair for pair in tested if not pair.p_holm < CLAIM]
    said = [
        _told([pair for pair in sure if pair.runs.mean > 0], "ahead of no mixing"),
        _told([pair for pair in sure if pair.runs.mean < 0], "behind no mixing"),
        _told(open_, f"not distinguishable from no mixing at {_seeds_of(tested)} seeds"),
    ]
    text = f"{kind}: {'; '.join(one for one in said if one)}."
    deviations = sorted(pair.runs.deviation for pair in tested)
    spread = deviations[len(deviations) // 2]
    if not open_ or not spread > 0:
        return text
    need = runs_needed(MARGIN, deviation=spread, paired=True)
    return (
        f"{text} With the spread of differences seen here, {need:,} pairs of runs would make "
        f"intervals of ± {percent(MARGIN)} points."
    )


def _told(pairs: Sequence[Pair], what: str) -> str:
    names = [plain_label(pair.group) for pair in pairs]
    return f"{joined(names)} {'is' if len(names) == 1 else 'are'} {what}" if names else ""


def _seeds_of(pairs: Sequence[Pair]) -> str:
    counts = sorted({pair.runs.count for pair in pairs})
    return " to ".join(str(count) for count in {counts[0]: 0, counts[-1]: 0})


def _ranked(groups: Sequence[Group]) -> list[Group] | None:
    """The first kind of weights of which three groups have three seeds in common."""
    kinds: dict[str, list[Group]] = {}
    for group in groups:
        kinds.setdefault(weights_of(group), []).append(group)
    return next((many for many in kinds.values() if len(many) > 2 and len(_seeds(many)) > 2), None)


def _seeds(groups: Sequence[Group]) -> list[int]:
    whole = set(groups[0].seeds).intersection(*(group.seeds for group in groups))
    return sorted(seed for seed in whole if seed is not None)


def _ranks(groups: Sequence[Group], shades: Shades) -> Drawing:
    seeds = _seeds(groups)
    by_seed = [dict(zip(group.seeds, group.values(top1), strict=True)) for group in groups]
    ranks = mean_ranks([[one[seed] for one in by_seed] for seed in seeds])
    labels = [group.label for group in groups]
    colours = [shades[group.key].light for group in groups]
    return Drawing(
        name="ranks",
        caption=f"Mean rank by top-1 over {len(seeds)} seeds. Bars join what lies closer than "
        "Nemenyi's critical difference (5 %) and so cannot be told apart; Friedman's test of all "
        f"being alike: {p_equals(ranks.p)}.",
        make=lambda width: ranks_figure(ranks, labels, colours, width=width),
    )
