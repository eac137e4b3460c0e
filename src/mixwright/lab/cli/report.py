"""``mixwright report``: the page of a record, made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.parser import option, parse

ABOUT = """Make report.html again from what is stored: a record that compare, evaluate or theory
wrote (comparison.json, evaluation.json, theory.json), or the folder that holds one. Nothing is
trained or measured, and no data set is read. Records of older versions are read as they are."""


@dataclass(frozen=True)
class ReportOptions:
    """``mixwright report``."""

    records: tuple[str, ...] = option((), "records or their folders", metavar="RECORD")


def main(argv: Sequence[str]) -> int:
    """Run the command; see ``cli.main``."""
    options = parse(ReportOptions, argv, prog="mixwright report", about=ABOUT)
    if not options.records:
        raise UsageError("no record given; expected one or more: mixwright report FOLDER.")
    from mixwright.lab.reports.page import write_report

    with users_words():
        for record in options.records:
            print(f"report  {write_report(Path(record))}")
    return 0
