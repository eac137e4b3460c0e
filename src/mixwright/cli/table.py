"""Tables for the terminal."""

from typing import TYPE_CHECKING, Any

from mixwright.reports.tables import duration, headline, number, percent, times

if TYPE_CHECKING:
    from rich.table import Table

    from mixwright.bench import BenchRecord
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


def bench_tables(record: "BenchRecord") -> "list[Table]":
    """The tables of a bench: one a shape, one a precision of training steps.

    Args:
        record: what was measured.

    Returns:
        tables for ``rich``.
    """
    from rich import box
    from rich.table import Table

    def table(title: str, *columns: str) -> Table:
        made = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
        for place, name in enumerate(columns):
            made.add_column(name, justify="left" if place < 2 else "right", no_wrap=True)
        return made

    tables: list[Table] = []
    for shape in record.shapes:
        name = "x".join(map(str, shape.shape))
        made = table(f"{name} {shape.dtype}", "method", "part", "least", "median", "lerps", "")
        for row in shape.rows:
            made.add_row(
                row.name if row.group != "peer" else f"({row.name})",
                row.part,
                duration(row.time.least),
                duration(row.time.median),
                times(row.times_lerp),
                _kept(row.within),
            )
        tables.append(made)
    for steps in record.steps:
        made = table(
            f"{steps.model} {steps.precision}", "method", "", "step", "mixing", "share", ""
        )
        for row in steps.rows:
            made.add_row(
                row.name,
                "",
                duration(row.step.median),
                duration(row.mixing.median),
                f"{percent(row.share)} %",
                _kept(row.within),
            )
        tables.append(made)
    return tables


def _kept(within: bool | None) -> str:
    """Whether a budget was kept, in words; nothing without one."""
    return "" if within is None else "within budget" if within else "OVER BUDGET"
