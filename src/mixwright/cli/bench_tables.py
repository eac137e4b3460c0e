"""The record of the bench, for the terminal."""

from typing import TYPE_CHECKING

from mixwright.cli.progress import say
from mixwright.cli.table import numbers_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mixwright.bench.record import BenchRecord, Row, ShapeRecord, StepRecord, StepRow


def show(record: "BenchRecord", console: "Console") -> None:
    """Print every table of a run of the bench.

    Args:
        record: of the run.
        console: where to.
    """
    machine = record.machine
    say(
        console,
        f"\ntorch {record.torch} on {machine['device']} ({machine['cpu']}), {record.threads} "
        f"threads; commit {record.commit or 'unknown'}",
    )
    for name, version in record.libraries.items():
        say(console, f"{name}: {version}")
    for one in record.shapes:
        console.print(_mixing_table(one, console))
    for one in record.steps:
        console.print(_step_table(one, console))
        for name, why in one.refused.items():
            say(console, f"{name} was not measured on {one.model}: {why}")
        if one.solver:
            console.print(_solver_table(one, console))


def _mixing_table(record: "ShapeRecord", console: "Console") -> "Table":
    table = numbers_table(
        "",
        ("min", "median", "spread", "x lerp", "medians", "budget", "verdict"),
        console,
        title=f"{'x'.join(map(str, record.shape))} {record.dtype}, {record.rounds} rounds after "
        f"{record.warm_up}",
        caption="milliseconds; x lerp by the fastest turns and by the medians; spread from the "
        "first to the third quartile",
    )
    for row in record.rows:
        part = "" if row.part == "all" else f"  {row.part}"
        table.add_row(
            f"{row.name}{part}",
            *(f"{1000 * s:.3f}" for s in (row.time.least, row.time.median, row.time.spread)),
            f"{row.times_lerp:.2f}",
            f"{row.median_times_lerp:.2f}",
            _limit(row),
            _verdict(row.within),
        )
    return table


def _step_table(record: "StepRecord", console: "Console") -> "Table":
    table = numbers_table(
        "",
        (
            *("step\nmean", "step\nmin", "x none\nmean", "x none\nmin", "passes\nx none"),
            *("mixing\n%", "budget", "verdict"),
        ),
        console,
        title=f"training step of {record.model}, batch {record.shape[0]}, {record.shape[-1]} "
        f"pixels, {record.precision}, {record.rounds} steps after {record.warm_up}",
        caption="milliseconds, and steps of none; passes: exact count of forwards and backwards; "
        "mixing: plan, with its passes, and images, of all the step; verdict by the means, since "
        "some methods draw how much a step does",
    )
    for row in record.rows:
        table.add_row(
            row.name,
            *(f"{1000 * seconds:.2f}" for seconds in (row.step.mean, row.step.least)),
            f"{row.times:.2f}",
            f"{row.least_times:.2f}",
            "" if row.exact is None else f"{row.exact:.2f}",
            "" if row.share is None else f"{100 * row.share:.2f}",
            _step_limit(row),
            _verdict(row.within),
        )
    return table


def _solver_table(record: "StepRecord", console: "Console") -> "Table":
    table = numbers_table(
        "blocks",
        ("mean", "min", "share\n%"),
        console,
        title=f"solver of puzzlemix, batch {record.shape[0]}",
        caption=f"milliseconds; share of puzzlemix's step of {record.model} in {record.precision}",
    )
    for row in record.solver:
        table.add_row(
            f"{row.grid} x {row.grid}",
            *(f"{1000 * seconds:.2f}" for seconds in (row.time.mean, row.time.least)),
            f"{100 * row.share:.1f}",
        )
    return table


def _limit(row: "Row") -> str:
    if row.budget is None:
        return ""
    if row.budget.times_lerp is not None:
        return f"{row.budget.times_lerp:g} x"
    return f"{1000 * (row.budget.seconds or 0):g} ms"


def _step_limit(row: "StepRow") -> str:
    limits = [] if row.share_budget is None else [f"{100 * row.share_budget:g} %"]
    limits += [] if row.times_budget is None else [f"{row.times_budget:g} x"]
    return ", ".join(limits)


def _verdict(within: bool | None) -> str:
    return {None: "", True: "within", False: "over"}[within]
