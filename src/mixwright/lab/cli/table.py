"""Tables for the terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.cost import read_cost
from mixwright.lab.analysis.findings import SHORT_WEIGHTS
from mixwright.lab.cli.progress import say
from mixwright.lab.reports.caveats import mixed_alone
from mixwright.lab.reports.formatting import NONE, number, percent, signed, spread, times
from mixwright.lab.reports.sections.answer import answer_sentences, next_steps, read_answer
from mixwright.lab.reports.sections.equal_time import at_equal_time
from mixwright.lab.reports.sections.scores import columns_of, methods_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mixwright.lab.analysis.findings import Findings

_ROOM = 80  # columns that any of our tables fits in without breaking a number


def print_comparison(findings: "Findings", console: "Console") -> None:
    """Print the headline table of a comparison, in two parts where the console is narrow."""
    scores = findings.parts["scores"]
    seeds = max(len(group.seeds) for group in scores.groups)
    caption = (
        f"mean ± half of the 95 % t interval over {seeds} seeds, after the last epoch; "
        "differences in points, paired by seed, with intervals that hold together"
        if seeds > 1
        else "one seed, after the last epoch; differences in points"
    )
    spent = read_cost(findings.parts["cost"])
    if spent.own_epochs:
        caption += f"; {at_equal_time(spent.own_epochs, clock=spent.clock)}"
    there = columns_of(scores)
    if "raw_mixed" in there:
        caption += "; the mixed head is the last layer that learned from mixed images"
    if "teacher" in there:
        caption += "; a teacher is a method's own average of weights"
    alone = mixed_alone(findings)
    if alone:
        caption += f"; of {', '.join(alone)} the last layer for mixed images alone learned"
    tops, teacher, mixed, quality, cost = comparison_columns(findings)
    whole = _comparison(tops | teacher | mixed | quality | cost, console, caption)
    if console.measure(whole, options=console.options.update(width=1000)).maximum <= console.width:
        console.print(whole)
    else:
        console.print(_comparison(tops | cost, console, ""))
        if mixed:
            console.print(_comparison(mixed, console, ""))
        console.print(_comparison(teacher | quality, console, caption))


def print_answer(findings: "Findings", console: "Console") -> None:
    """Print what a comparison answers in a few lines, and the command to go on with."""
    for word, sentence in answer_sentences(findings).items():
        say(console, f"{word}: {sentence}")
    for sentence, command in next_steps(read_answer(findings)):
        say(console, f"\n{sentence}")
        say(console, f"  {command}")


Columns = dict[str, dict[str, str]]
"""Cells by head of the column and METHOD."""


def comparison_columns(findings: "Findings") -> tuple[Columns, Columns, Columns, Columns, Columns]:
    """Return the columns of a comparison: top-1, own teachers, mixed heads, calibration, cost."""
    scores = findings.parts["scores"]
    methods = methods_of(scores)

    def column(weights: str, measure: str, digits: int = 1, scale: float = 100) -> dict[str, str]:
        return {
            method: spread(group.intervals[measure], digits=digits, scale=scale)
            if (group := groups.get(weights))
            else NONE
            for method, groups in methods.items()
        }

    def difference(weights: str) -> dict[str, str]:
        return {
            method: signed(found.interval)
            if (group := groups.get(weights)) and (found := group.differences.get("top1"))
            else NONE
            for method, groups in methods.items()
        }

    spent = read_cost(findings.parts["cost"]).methods
    tops = {
        "top-1 %": column("raw", "top1"),
        "to none": difference("raw"),
        "EMA top-1 %": column("ema", "top1"),
        "EMA to none": difference("ema"),
    }
    teacher = {
        "teacher top-1 %": column("teacher", "top1"),
        "teacher to EMA of none": difference("teacher"),
    }
    mixed = {
        "mixed head top-1 %": column("raw_mixed", "top1"),
        "EMA mixed head %": column("ema_mixed", "top1"),
        "teacher mixed head %": column("teacher_mixed", "top1"),
    }
    # Calibration of the averaged weights and of the teacher stands in the report.
    quality = {"ECE %": column("raw", "ece"), "NLL": column("raw", "nll", digits=3, scale=1)}
    cost = {"step": {method.key: times(method.step_times) for method in spent}}
    there = columns_of(scores)
    teacher = teacher if "teacher" in there else {}
    return tops, teacher, mixed if "raw_mixed" in there else {}, quality, cost


def _comparison(columns: Columns, console: "Console", caption: str) -> "Table":
    table = numbers_table("method", tuple(columns), console, caption=caption)
    for method in next(iter(columns.values())):
        table.add_row(method, *(cells[method] for cells in columns.values()))
    return table


def numbers_table(
    first: str, columns: Sequence[str], console: "Console", *, title: str = "", caption: str = ""
) -> "Table":
    """Return an empty table of names and numbers; long names are folded, never cut."""
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=title or None,
        title_justify="left",
        caption=caption or None,
        caption_justify="left",
    )
    table.add_column(first, overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", overflow="fold", no_wrap=console.width >= _ROOM)
    return table


def scores_table(
    scores: "Mapping[str, Mapping[str, Any]]", heads: "Mapping[str, str] | None" = None
) -> "Table":
    """Return the scores of one model, its sets of weights side by side.

    ``heads`` are those of a ``Result``.
    """
    from rich import box
    from rich.table import Table

    alone = (heads or {}).get("raw") == "mixed"
    caption = (
        "through the last layer that learned from mixed images; the model's own learned nothing"
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=caption if alone else None)
    table.add_column("")
    there = [weights for weights in SHORT_WEIGHTS if weights in scores]
    columns = [scores[weights] for weights in there]
    for weights in there:
        table.add_column(SHORT_WEIGHTS[weights], justify="right")
    for name, label in (("top1", "top-1 %"), ("top5", "top-5 %"), ("ece", "ECE %")):
        table.add_row(label, *(percent(column[name], 2) for column in columns))
    table.add_row("NLL", *(number(column["nll"], 4) for column in columns))
    table.add_row("images", *(f"{column['count']:,}" for column in columns))
    return table
