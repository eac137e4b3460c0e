"""Tables for the terminal."""

from typing import TYPE_CHECKING, Any

from mixwright.reports.tables import headline, number, percent

if TYPE_CHECKING:
    from rich.table import Table

    from mixwright.experiments.record import Comparison


def comparison_table(record: "Comparison") -> "Table":
    """The headline table of a comparison.

    Args:
        record: what to show.

    Returns:
        a table for ``rich``.
    """
    from rich import box
    from rich.table import Table

    seeds = max(len(method.runs) for method in record.methods)
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        caption=f"mean ± half of the 95 % t interval over {seeds} seeds, after the last epoch; "
        "differences in points, paired by seed",
        caption_justify="left",
    )
    table.add_column("method", no_wrap=True)
    for name in ("top-1 %", "to none", "EMA top-1 %", "to none", "ECE %", "NLL", "step"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in headline(record):
        table.add_row(
            row.text,
            row.raw,
            row.against_raw,
            row.ema,
            row.against_ema,
            row.ece[0],
            row.nll[0],
            row.step,
        )
    return table


def scores_table(raw: "dict[str, Any]", ema: "dict[str, Any] | None") -> "Table":
    """Scores of one model, trained and averaged weights side by side.

    Args:
        raw: of the trained weights, as ``evaluation.Scores`` names them.
        ema: of the averaged weights, or None.

    Returns:
        a table for ``rich``.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    columns = [scores for scores in (raw, ema) if scores]
    for name in ("trained", "EMA")[: len(columns)]:
        table.add_column(name, justify="right")
    for name, label in (("top1", "top-1 %"), ("top5", "top-5 %"), ("ece", "ECE %")):
        table.add_row(label, *(percent(scores[name], 2) for scores in columns))
    table.add_row("NLL", *(number(scores["nll"], 4) for scores in columns))
    table.add_row("images", *(f"{scores['count']:,}" for scores in columns))
    return table
