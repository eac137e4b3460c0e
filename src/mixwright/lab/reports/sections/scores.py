"""The scores of a comparison: accuracy with what differences are worth, calibration, every run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.cost import read_cost
from mixwright.lab.analysis.findings import SHORT_WEIGHTS, WEIGHTS, Group, Part
from mixwright.lab.analysis.ranking import Ranked, Ranking
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.reports.figures import canvas, percent_axis, row_labels
from mixwright.lab.reports.formatting import NONE, p_equals, p_value, signed, spread, times
from mixwright.lab.reports.palette import FAINT
from mixwright.lab.reports.ranks_figure import ranks_figure
from mixwright.lab.reports.record_values import MissingError
from mixwright.lab.reports.section import Block, Cell, Drawing, Page, Section, Table
from mixwright.lab.reports.sections.lines import Row, group_whiskers
from mixwright.lab.reports.verdict import stands
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = {
    "raw": ("Trained weights", "to no mixing"),
    "ema": ("Averaged weights (EMA)", "to no mixing"),
    "teacher": ("Own teacher", "to EMA of none"),
    "raw_mixed": ("Trained weights, mixed head", "to no mixing"),
    "ema_mixed": ("EMA, mixed head", "to EMA of none"),
    "teacher_mixed": ("Own teacher, mixed head", "to EMA of none"),
}

HEADS = (
    "A method that trains two last layers is shown with each: the model's own, which learns from "
    "whole images, and the mixed head, which learns from mixed ones. "
)
"""What columns of a mixed head are."""

Methods = dict[str, dict[str, Group]]
"""Groups by METHOD and weights."""


def methods_of(part: Part) -> Methods:
    """Return the groups of a comparison's scores by METHOD and weights, in their order."""
    if not part.groups:
        raise MissingError("the scores have no group")
    found: Methods = {}
    for group in part.groups:
        found.setdefault(group.method, {})[group.weights] = group
    return found


def columns_of(part: Part) -> list[str]:
    """Return the sets of weights that the tables show: those of some methods where they are."""
    there = {group.weights for group in part.groups}
    return [weights for weights in WEIGHTS if weights in there or weights in ("raw", "ema")]


def write(part: Part, page: Page) -> dict[str, Section]:
    """Write accuracy and calibration of a comparison; see ``Page``."""
    methods, columns = methods_of(part), columns_of(part)
    teachers = "teacher" in columns
    blocks: list[Block] = [
        _accuracy(methods, columns, page),
        Drawing(
            "top1",
            "Top-1 accuracy by method: hollow the trained weights, filled their average (EMA)"
            + (", diamonds a method's own teacher" if teachers else "")
            + "; lines are 95 % intervals, ticks single seeds.",
            lambda width: accuracy_figure(methods, page, width=width),
        ),
    ]
    if any(group.differences for group in part.groups):
        blocks.append(
            Drawing(
                "difference",
                "Difference to no mixing with its 95 % interval"
                + (", of an own teacher (diamonds) to the EMA of no mixing" if teachers else "")
                + ". Intervals hold for all methods at once; of one that crosses the vertical line "
                "chance may be all there is.",
                lambda width: difference_figure(methods, page, width=width),
            )
        )
    ranking = decode(Ranked, part.numbers, where="the ranking").ranking
    if ranking is not None:
        blocks.append(_ranks(ranking, part, page))
    return {
        "accuracy": Section(title="Accuracy", blocks=tuple(blocks)),
        "calibration": Section(
            title="Calibration",
            reading="How far the model's confidence can be believed: lower is better, at the same "
            "accuracy. A model that is sure of little is well calibrated too.",
            blocks=(_calibration(methods, columns),),
        ),
    }


def _accuracy(methods: Methods, columns: Sequence[str], page: Page) -> Table:
    spent = {
        spent.key: spent.step_times for spent in read_cost(page.findings.parts["cost"]).methods
    }
    rows = tuple(
        (
            groups["raw"].name,
            *(cell for weights in columns for cell in _three(groups.get(weights))),
            times(spent[method]),
        )
        for method, groups in methods.items()
    )
    return Table(
        spans=(("", 1), *((_COLUMNS[weights][0], 3) for weights in columns), ("", 1)),
        head=(
            "Method",
            *(head for weights in columns for head in ("top-1, %", _COLUMNS[weights][1], "p")),
            "step cost",
        ),
        rows=rows,
        keys=tuple(methods),
        caption="Mean over seeds ± half of its 95 % t interval, after the last epoch. Differences "
        "are in percentage points and paired by seed. Their intervals and p are Dunnett's: they "
        "hold for all methods with the same weights at once, with one spread for all of them; a "
        "difference is bold where p is below 0.05. "
        + (
            "An own teacher is an average of weights that a method keeps for itself; it is set "
            "against the averaged weights (EMA) of no mixing, since against trained weights it "
            "would gain from averaging alone. "
            if "teacher" in columns
            else ""
        )
        + (HEADS if "raw_mixed" in columns else "")
        + "Step cost is that of a training step relative to one without mixing, measured in turn.",
    )


def _three(group: Group | None) -> tuple[str | Cell, ...]:
    """Top-1, its difference and the p-value of one set of weights."""
    if group is None:
        return NONE, NONE, NONE
    difference = group.differences.get("top1")
    return (
        spread(group.intervals["top1"]),
        Cell(signed(difference and difference.interval), clear=bool(stands(difference))),
        p_value(difference and difference.p),
    )


def _calibration(methods: Methods, columns: Sequence[str]) -> Table:
    """Calibration with accuracy beside it, without which it says little."""
    scaled = [
        weights
        for weights in columns
        if any("ece_scaled" in _intervals(groups.get(weights)) for groups in methods.values())
    ]
    measures: list[tuple[str, str, Sequence[str], dict[str, Any]]] = [
        ("Top-1, %", "top1", columns, {}),
        ("Expected calibration error, %", "ece", columns, {}),
        ("ECE with its temperature scaled, %", "ece_scaled", scaled, {}),
        ("Negative log-likelihood, nats", "nll", columns, {"digits": 3, "scale": 1}),
    ]
    return Table(
        spans=(("", 1), *((title, len(kinds)) for title, _, kinds, _ in measures if kinds)),
        head=("Method", *(SHORT_WEIGHTS[kind] for _, _, kinds, _ in measures for kind in kinds)),
        rows=tuple(
            (
                groups["raw"].name,
                *(
                    spread(_intervals(groups.get(kind)).get(measure), **look)
                    for _, measure, kinds, look in measures
                    for kind in kinds
                ),
            )
            for groups in methods.values()
        ),
        keys=tuple(methods),
        caption="Temperature scaling divides all logits by one number, chosen on validation images "
        "where there are some, else on either half of the test images for the other: what it "
        "repairs needs no mixing."
        if scaled
        else "",
    )


def _intervals(group: Group | None) -> dict[str, Interval]:
    return {} if group is None else group.intervals


def _ranks(ranking: Ranking, part: Part, page: Page) -> Drawing:
    names = {group.key: group.name for group in part.groups}
    return Drawing(
        "ranks",
        f"Mean rank over {len(ranking.seeds)} seeds by top-1 of the trained weights. Bars join "
        "methods whose ranks lie closer than Nemenyi's critical difference (5 %) and so cannot be "
        f"told apart; Friedman's test of all being alike: {p_equals(ranking.p)}.",
        lambda width: ranks_figure(ranking, names, page.shades, width=width),
    )


def accuracy_figure(methods: Methods, page: Page, *, width: float) -> Figure:
    """Draw top-1 of every method with its interval: raw hollow, EMA filled, seeds as ticks.

    A method's own teacher, where it has one, is a filled diamond below.
    """
    figure, axes = canvas(width, _height(methods))
    rows = [
        Row(
            group,
            group.intervals["top1"],
            -place + shift,
            page.shades[group.key].light,
            [summary["top1"] for summary in group.summaries],
        )
        for place, groups in enumerate(methods.values())
        for group, shift in _marks(groups)
    ]
    group_whiskers(axes, rows)
    row_labels(axes, [groups["raw"].name for groups in methods.values()])
    axes.set_xlabel("top-1 accuracy on test images, %")
    axes.margins(x=0.06)
    percent_axis(axes, "x")
    return figure


def difference_figure(methods: Methods, page: Page, *, width: float) -> Figure:
    """Draw the difference in top-1 to the baseline, paired by seed, with its interval."""
    others = {text: groups for text, groups in methods.items() if groups["raw"].differences}
    figure, axes = canvas(width, _height(others))
    axes.axvline(0, color=FAINT.light, lw=1)
    rows = [
        Row(group, difference.interval, -place + shift, page.shades[group.key].light)
        for place, groups in enumerate(others.values())
        for group, shift in _marks(groups)
        if (difference := group.differences.get("top1")) is not None
    ]
    group_whiskers(axes, rows)
    row_labels(axes, [groups["raw"].name for groups in others.values()])
    axes.set_xlabel("difference to no mixing, percentage points")
    axes.margins(x=0.08)
    return figure


def _height(methods: Methods) -> float:
    """Inches for a row a method; rows of three marks want more room."""
    three = any("teacher" in groups for groups in methods.values())
    return 0.75 + (0.58 if three else 0.46) * len(methods)


def _marks(groups: dict[str, Group]) -> list[tuple[Group, float]]:
    """A method's sets of weights, each with its place in the row."""
    shifts = (0.22, 0.0, -0.22) if "teacher" in groups else (0.13, -0.13)
    pairs = zip(WEIGHTS, shifts, strict=False)
    return [(groups[weights], shift) for weights, shift in pairs if weights in groups]
