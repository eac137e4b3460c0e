"""Tables for the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mixwright.lab.reports.tables import has_teachers, headline, number, percent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mixwright.lab.analysis.comparison import Comparison
    from mixwright.lab.reports.tables import Row

_ROOM = 80  # columns that any of our tables fits in without breaking a number


def print_comparison(record: "Comparison", console: "Console") -> None:
    """Print the headline table of a comparison, in two parts where the console is narrow.

    Args:
        record: what to show.
        console: where to.
    """
    seeds = max(len(method.runs) for method in record.methods)
    caption = (
        f"mean ± half of the 95 % t interval over {seeds} seeds, after the last epoch; "
        "differences in points, paired by seed"
        if seeds > 1
        else "one seed, after the last epoch; differences in points"
    )
    scores = {
        "top-1 %": "raw",
        "to none": "against_raw",
        "EMA top-1 %": "ema",
        "EMA to none": "against_ema",
    }
    teacher: dict[str, str] = {}
    if has_teachers(record):
        teacher = {"teacher top-1 %": "teacher", "teacher to EMA of none": "against_teacher"}
        caption += "; a teacher is a method's own average of weights"
    quality, cost = {"ECE %": "ece", "NLL": "nll"}, {"step": "step"}
    rows = headline(record)
    whole = _comparison(rows, scores | teacher | quality | cost, console, caption)
    if console.measure(whole, options=console.options.update(width=1000)).maximum <= console.width:
        console.print(whole)
    else:
        console.print(_comparison(rows, scores | cost, console, ""))
        console.print(_comparison(rows, teacher | quality, console, caption))


def _comparison(
    rows: "Sequence[Row]", columns: dict[str, str], console: "Console", caption: str
) -> "Table":
    table = numbers_table("method", tuple(columns), console, caption=caption)
    for row in rows:
        cells = (getattr(row, name) for name in columns.values())
        # Calibration has columns of the averaged weights and the teacher too; the report has them.
        table.add_row(row.text, *(cell if isinstance(cell, str) else cell[0] for cell in cells))
    return table


def numbers_table(
    first: str, columns: Sequence[str], console: "Console", *, title: str = "", caption: str = ""
) -> "Table":
    """An empty table of names and numbers; names that are too long for it are folded, never cut.

    Args:
        first: head of the names.
        columns: heads of the numbers.
        console: where it will be printed.
        title: above it.
        caption: below it.

    Returns:
        a table for ``rich``.
    """
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
    raw: "dict[str, Any]", ema: "dict[str, Any] | None", teacher: "dict[str, Any] | None" = None
) -> "Table":
    """Scores of one model: trained weights, averaged weights and own teacher side by side.

    Args:
        raw: of the trained weights, as ``evaluation.Scores`` names them.
        ema: of the averaged weights, or None.
        teacher: of the method's own teacher, or None.

    Returns:
        a table for ``rich``.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    named = {"trained": raw, "EMA": ema, "teacher": teacher}
    columns = [scores for scores in named.values() if scores]
    for name in (name for name, scores in named.items() if scores):
        table.add_column(name, justify="right")
    for name, label in (("top1", "top-1 %"), ("top5", "top-5 %"), ("ece", "ECE %")):
        table.add_row(label, *(percent(scores[name], 2) for scores in columns))
    table.add_row("NLL", *(number(scores["nll"], 4) for scores in columns))
    table.add_row("images", *(f"{scores['count']:,}" for scores in columns))
    return table
