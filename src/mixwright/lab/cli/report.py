"""``mixwright report``: the page of a record, made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.parser import option, parse
from mixwright.lab.reports.plain_text import printable

ABOUT = """Make report.html again from what is stored: a record that compare, evaluate or theory
wrote (comparison.json, evaluation.json, theory.json), or the folder that holds one. Nothing is
trained or measured, and no data set is read. Records of older versions are read as they are."""


@dataclass(frozen=True)
class ReportOptions:
    """``mixwright report``."""

    records: tuple[str, ...] = option((), "records or their folders", metavar="RECORD")
    out: str | None = option(
        None, "folder for the page and figures of one record (default: beside it)", metavar="DIR"
    )


def main(argv: Sequence[str]) -> int:
    """Run the command; see ``cli.main``."""
    options = parse(ReportOptions, argv, prog="mixwright report", about=ABOUT)
    if not options.records:
        raise UsageError("no record given; expected one or more: mixwright report FOLDER.")
    if options.out is not None and len(options.records) > 1:
        raise UsageError(
            f"--out takes the page of one record; {len(options.records)} are given. Give each its "
            "own folder."
        )
    from mixwright.lab.cli.prepare import out_folder
    from mixwright.lab.reports.page import write_report

    out = None if options.out is None else out_folder(options.out)
    with users_words():
        for record in options.records:
            print(printable(f"report  {write_report(Path(record), out)}"))
    return 0
