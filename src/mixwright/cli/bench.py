"""``mixwright bench``: how fast the methods are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mixwright.cli.errors import UsageError, users_words
from mixwright.cli.parser import option, parse

if TYPE_CHECKING:
    from rich.console import Console

    from mixwright.bench import BenchRecord
    from mixwright.mixers import Mixer

ABOUT = """Measure every mixer beside an out-of-place lerp and beside other libraries where
these are installed and, with --training, its share of a training step.

METHOD as in mixwright compare --help; without any, all mixers, drawing for each sample and
for each batch. Times on a busy machine say little: nothing else should run."""


@dataclass(frozen=True)
class BenchOptions:
    """``mixwright bench``."""

    methods: tuple[str, ...] = option((), "what to measure", metavar="METHOD")
    shape: str | None = option(
        None, "of the batch (default: 128x3x32x32 and 64x3x224x224)", metavar="BxCxHxW"
    )
    training: bool = option(False, "also measure steps of a ResNet-18; minutes on a CPU")
    rounds: int | None = option(None, "turns of each (default: half a minute's)", metavar="COUNT")
    threads: int = option(1, "of torch, on the CPU (default 1)", metavar="COUNT")
    device: str = option(
        "auto", "cpu, cuda or cuda:N (default: cuda where there is one)", metavar="NAME"
    )
    out: str = option("runs/bench", "folder for bench.json (default runs/bench)", metavar="DIR")


def main(words: Sequence[str]) -> int:
    """Run the command; see ``cli.main``."""
    options = parse(BenchOptions, words, prog="mixwright bench", about=ABOUT)
    from rich.console import Console

    from mixwright.bench import run_bench
    from mixwright.bench.budgets import LARGE, SMALL
    from mixwright.cli.prepare import devices
    from mixwright.cli.progress import say

    console = Console(highlight=False)
    shapes = (SMALL, LARGE) if options.shape is None else (_shape(options.shape),)
    device = devices(options.device)[0]
    with users_words():
        mixers = _mixers(options.methods)
        record = run_bench(
            mixers,
            shapes=shapes,
            training=options.training,
            device=device,
            threads=options.threads,
            rounds=options.rounds,
            on_message=lambda message: say(console, message),
        )
        path = Path(options.out) / "bench.json"
        record.write(path)
    _show(record, console)
    say(console, f"record  {path}")
    return 0


def _shape(text: str) -> tuple[int, ...]:
    parts = text.lower().replace(",", "x").split("x")
    if len(parts) != 4 or not all(part.isdigit() for part in parts):
        raise UsageError(f"--shape is {text}; expected four numbers, as in 128x3x32x32.")
    return tuple(map(int, parts))


def _mixers(texts: Sequence[str]) -> "dict[str, Mixer] | None":
    """The mixers that were asked for, by METHOD; None for all."""
    from mixwright.experiments.methods import parse_methods

    mixers = {method.text: method.mixer() for method in parse_methods(texts)}
    nothing = [text for text, mixer in mixers.items() if mixer is None]
    if nothing:
        raise UsageError(f"{nothing[0]} mixes nothing by itself, so there is nothing to measure.")
    return {text: mixer for text, mixer in mixers.items() if mixer is not None} or None


def _show(record: "BenchRecord", console: "Console") -> None:
    from mixwright.cli.table import bench_tables

    for table in bench_tables(record):
        console.print(table)
    for library, version in record.libraries.items():
        console.print(f"{library}: {version}", markup=False, soft_wrap=True)
