"""The record of the bench, for the terminal."""

from typing import TYPE_CHECKING

from mixwright.arguments import counted
from mixwright.lab.cli.progress import say
from mixwright.lab.cli.table import numbers_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console
    from rich.table import Table

    from mixwright.lab.bench.record import BenchRecord, MixingRow, ShapeRecord, StepRecord, StepRow


def show(record: "BenchRecord", console: "Console") -> None:
    """Print every table of a run of the bench."""
    machine = record.machine
    say(
        console,
        f"\ntorch {record.torch} on {machine['device']} ({machine['cpu']}), {record.threads} "
        f"threads; commit {record.commit or 'unknown'}",
    )
    for name, version in record.libraries.items():
        say(console, f"{name}: {version}")
    for shape in record.shapes:
        console.print(_mixing_table(shape, console))
        for sentence in _remarks(shape, record.libraries):
            say(console, sentence)
    for steps in record.steps:
        console.print(_step_table(steps, console))
        console.print(_overhead_table(steps, console))
        for name, why in steps.refused.items():
            say(console, f"{name} was not measured on {steps.model}: {why}")
        if steps.solver:
            console.print(_solver_table(steps, console))


def _mixing_table(record: "ShapeRecord", console: "Console") -> "Table":
    compiled = any(row.cold is not None for row in record.rows)
    table = numbers_table(
        "",
        (
            *("min", "median", "spread", "x lerp", "units", "goal", "verdict"),
            *(("x as\nit is", "cold\ns") if compiled else ()),
        ),
        console,
        title=f"{_shape(record)} {record.dtype}, {record.rounds} rounds after {record.warm_up}",
        caption="milliseconds; spread from the first to the third quartile; x lerp by the fastest "
        "turns; units and verdict by the medians"
        + (f", 1 unit: {record.unit}" if record.unit else "")
        + "; a turn is the mean of five calls where one takes less than 2 ms, else one call"
        + ("; cold: the first call, which compiles" if compiled else ""),
    )
    for row in record.rows:
        part = "" if row.part == "all" else f"  {row.part}"
        cells = [
            f"{row.name}{part}",
            *(f"{1000 * s:.3f}" for s in (row.time.least, row.time.median, row.time.spread)),
            f"{row.times_lerp:.2f}",
            _ratio(row.units),
            _limit(row),
            _verdict(row.within),
        ]
        table.add_row(*cells, *([_ratio(row.times_eager), _ratio(row.cold)] if compiled else []))
    return table


def _remarks(record: "ShapeRecord", libraries: "Mapping[str, str]") -> "Iterator[str]":
    """Say what the table of a shape cannot: missing units, missed goals, what does not compile."""
    names = {row.name for row in record.rows}
    if record.unit and record.unit not in names:
        library = record.unit.partition(" ")[0]
        why = libraries.get(library, "not measured")
        yield f"no units on {_shape(record)}: 1 is {record.unit}, and {library} is {why}"
    units = {(row.name, row.part): _ratio(row.units) for row in record.rows}
    for row in record.rows:
        if row.within is False and row.budget is not None:
            parts = (units.get((row.name, part), "") for part in ("plan", "apply", "targets"))
            alone = " + ".join(part or "?" for part in parts)
            yield (
                f"{row.name} misses its goal of {_limit(row)} on {_shape(record)} with "
                f"{_ratio(row.units)}: plan, images and targets alone take {alone}"
            )
    for why in dict.fromkeys(record.not_compiled.values()):
        of = [name for name, reason in record.not_compiled.items() if reason == why]
        yield f"not compiled on {_shape(record)}: {', '.join(of)}: {why}"


def _shape(record: "ShapeRecord") -> str:
    return "x".join(map(str, record.shape))


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _step_table(record: "StepRecord", console: "Console") -> "Table":
    table = numbers_table(
        "",
        (
            *("step\nmean", "step\nmin", "x none\nmean", "x none\nmin", "passes\nx none"),
            *("mixing\n%", "budget", "verdict"),
        ),
        console,
        title=f"training step of {record.model}, batch {record.shape[0]}, {record.shape[-1]} "
        f"pixels, {record.precision}, {counted(record.rounds, 'step')} after {record.warm_up}",
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


def _overhead_table(record: "StepRecord", console: "Console") -> "Table":
    found = [row.overhead for row in record.rows if row.overhead is not None]
    load = ", ".join(f"{processes:.1f}" for processes in record.load)
    table = numbers_table(
        "",
        ("overhead\n%", "95 % interval", "pairs", "left\nout", "peak\nMiB", "to none\nMiB"),
        console,
        title=f"overhead to none of {record.model} in {record.precision}",
        caption="median over pairs of blocks of "
        f"{counted(found[0].steps if found else 1, 'step')}, timed in turn; "
        "interval by bootstrap over pairs; left out: pairs in which none differed by more "
        "than 15 % from its neighbours; peak: memory in use during a step"
        + (f"; load of the machine before and after {load}" if load else ""),
    )
    base = record.rows[0].memory
    for row in record.rows:
        more = "" if row.memory is None or base is None else f"{(row.memory - base) / 2**20:+.0f}"
        peak = "" if row.memory is None else f"{row.memory / 2**20:.0f}"
        table.add_row(row.name, *_overhead(row), peak, more)
    return table


def _overhead(row: "StepRow") -> tuple[str, str, str, str]:
    found = row.overhead
    if found is None:
        return "", "", "", ""
    share = "" if found.share is None else f"{100 * found.share:+.1f}"
    ends = ""
    if found.low is not None and found.high is not None:
        ends = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
    return share, ends, str(found.pairs), str(found.rejected)


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


def _limit(row: "MixingRow") -> str:
    if row.budget is None:
        return ""
    if row.budget.units is not None:
        return f"{row.budget.units:g}"
    if row.budget.times_lerp is not None:
        return f"{row.budget.times_lerp:g} x"
    return f"{1000 * (row.budget.seconds or 0):g} ms"


def _step_limit(row: "StepRow") -> str:
    limits = [] if row.share_budget is None else [f"{100 * row.share_budget:g} %"]
    limits += [] if row.times_budget is None else [f"{row.times_budget:g} x"]
    return ", ".join(limits)


def _verdict(within: bool | None) -> str:
    return {None: "", True: "within", False: "over"}[within]
