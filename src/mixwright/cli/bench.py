"""``mixwright bench``: how fast the methods are."""

from collections.abc import Sequence
from dataclasses import dataclass

from mixwright.cli.errors import UsageError
from mixwright.cli.parser import option, parse

ABOUT = """Measure every mixer beside an out-of-place lerp and beside other libraries where these are
installed, and its share of a real training step."""


@dataclass(frozen=True)
class BenchOptions:
    """``mixwright bench``."""

    methods: list[str] = option([], "what to measure", metavar="METHOD")
    out: str = option("runs/bench", "folder for the record (default runs/bench)", metavar="DIR")


def main(words: Sequence[str]) -> int:
    """Run the command; see ``cli.main``."""
    options = parse(BenchOptions, words, prog="mixwright bench", about=ABOUT)
    raise UsageError(f"bench is not there yet, so nothing was written to {options.out}.")
