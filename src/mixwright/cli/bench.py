"""``mixwright bench``: how fast the methods are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixwright.cli.errors import UsageError, users_words
from mixwright.cli.parser import option, parse

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mixwright.bench.record import BenchRecord, Row, ShapeRecord, StepRecord
    from mixwright.mixers.mixer import Mixer

ABOUT = """Measure every mixer beside an out-of-place lerp of two batches and beside torchvision,
timm and kornia where these are installed, all in turn in one run; the record is bench.json.
METHOD as in mixwright compare --help; without any, all mixers, per sample and per batch.

Times on a busy machine say little: nothing else should run."""

NAME = "bench.json"
_SIZES = "B x C x H x W, such as 128x3x32x32"


@dataclass(frozen=True)
class BenchOptions:
    """``mixwright bench``."""

    methods: tuple[str, ...] = option((), "what to measure", metavar="METHOD")
    shapes: str = option(
        "128x3x32x32,64x3x224x224", "batches, with commas between; none for no shape",
        metavar="SHAPES",
    )  # fmt: skip
    training: bool = option(
        False, "measure training steps of a ResNet-18 too: of miamix, or the METHODs"
    )
    repeats: int | None = option(
        None, "counted rounds (default: half a minute a shape, 5 training steps)", metavar="COUNT"
    )
    threads: int = option(1, "of torch on the CPU (default 1)", metavar="COUNT")
    device: str = option(
        "auto", "cpu, cuda or cuda:N (default: cuda where there is one)", metavar="NAME"
    )
    out: str = option(
        "runs/bench", f"folder (default runs/bench); its {NAME} is replaced", metavar="DIR"
    )


def main(words: Sequence[str]) -> int:
    """Run the command; see ``cli.main``."""
    options = parse(BenchOptions, words, prog="mixwright bench", about=ABOUT)
    shapes = _shapes(options.shapes)
    if options.repeats is not None and options.repeats < 1:
        raise UsageError(f"--repeats is {options.repeats}; expected at least 1.")
    if options.threads < 1:
        raise UsageError(f"--threads is {options.threads}; expected at least 1.")
    if not shapes and not options.training:
        raise UsageError("--shapes is none and --training is not given: nothing to measure.")
    from mixwright.bench import run_bench
    from mixwright.cli.prepare import devices, out_folder
    from mixwright.cli.progress import open_console, say

    path, device = out_folder(options.out) / NAME, devices(options.device)[0]
    with users_words():
        mixers = _mixers(options.methods)
        path.parent.mkdir(parents=True, exist_ok=True)  # before minutes of measuring
    console = open_console()
    record = run_bench(
        mixers,
        shapes=shapes,
        training=options.training,
        device=device,
        threads=options.threads,
        rounds=options.repeats,
        on_message=lambda message: say(console, message),
    )
    with users_words():
        record.write(path)
    _show(record, console)
    say(console, f"record  {path}")
    return 0


def _mixers(methods: Sequence[str]) -> "dict[str, Mixer] | None":
    from mixwright.experiments.methods import parse_methods

    if not methods:
        return None
    found: dict[str, Mixer] = {}
    for method in parse_methods(methods):
        mixer = method.mixer()
        if mixer is None:
            raise UsageError(f"{method.text} mixes nothing by itself: nothing to measure.")
        found[method.text] = mixer
    return found


def _shapes(text: str) -> list[tuple[int, int, int, int]]:
    if text.strip().lower() == "none":
        return []
    shapes: list[tuple[int, int, int, int]] = []
    for word in text.split(","):
        sides = word.strip().lower().split("x")
        if len(sides) != 4 or not all(side.isdecimal() and int(side) for side in sides):
            raise UsageError(f"--shapes holds {word.strip()!r}; expected {_SIZES}.")
        count, channels, height, width = map(int, sides)
        if count < 2:
            raise UsageError(f"--shapes holds {word.strip()!r}; expected at least 2 images.")
        shapes.append((count, channels, height, width))
    return shapes


def _show(record: "BenchRecord", console: "Console") -> None:
    from mixwright.cli.progress import say

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


def _mixing_table(record: "ShapeRecord", console: "Console") -> "Table":
    from mixwright.cli.table import numbers_table

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
    from mixwright.cli.table import numbers_table

    table = numbers_table(
        "",
        (
            *("step\nmin", "step\nmedian", "mixing\nmin", "mixing\nmedian"),
            *("share\n%", "to none\n%", "budget\n%", "verdict"),
        ),
        console,
        title=f"training step of {record.model}, batch {record.shape[0]}, {record.shape[-1]} "
        f"pixels, {record.precision}, {record.rounds} steps after {record.warm_up}",
        caption="milliseconds; share: mixing in its own step; to none: its step less that of "
        "none, in which chance counts too",
    )
    for row in record.rows:
        times = (row.step.least, row.step.median, row.mixing.least, row.mixing.median)
        table.add_row(
            row.name,
            *(f"{1000 * seconds:.2f}" for seconds in times),
            f"{100 * row.share:.2f}",
            f"{100 * row.difference:+.1f}",
            "" if row.budget is None else f"{100 * row.budget:g}",
            _verdict(row.within),
        )
    return table


def _limit(row: "Row") -> str:
    if row.budget is None:
        return ""
    if row.budget.times_lerp is not None:
        return f"{row.budget.times_lerp:g} x"
    return f"{1000 * (row.budget.seconds or 0):g} ms"


def _verdict(within: bool | None) -> str:
    return {None: "", True: "within", False: "over"}[within]
