"""What a comparison shows at its end, and at once where all of it is stored already."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mixwright.lab.cli.options import CompareOptions
from mixwright.lab.cli.prepare import out_folder
from mixwright.lab.cli.progress import open_console, say
from mixwright.lab.experiments.finished_record import note_inputs, request_digest, unchanged
from mixwright.lab.reports.formatting import when

if TYPE_CHECKING:
    from rich.console import Console

    from mixwright.lab.analysis.findings import Findings
    from mixwright.lab.experiments.grid import Planned


@dataclass(frozen=True)
class Stored:
    """The record and page of a command that may have been given before."""

    options: CompareOptions
    command: str

    @property
    def out(self) -> Path:
        """Folder of the comparison."""
        return out_folder(self.options.out)

    @property
    def _request(self) -> str:
        return request_digest(self.command, self.options)

    def show(self, *, began: float, data: str | None = None) -> bool:
        """Show what is stored if it would be made alike now; whether that was so.

        ``data`` is the digest of the data by content, where it is known.
        """
        out, options = self.out, self.options
        there = unchanged(
            out,
            request=self._request,
            data_name=options.data,
            data_dir=options.data_dir,
            data=data,
        )
        if there is None:
            return False
        from mixwright.lab.analysis.store import NAMES, read_findings

        record = out / NAMES["comparison"]
        findings, console = read_findings(record), open_console()
        say(console, there.heading)
        say(console, already_there(len(there.runs), len(there.runs)))
        say(console, f"nothing has changed since {when(findings.about.finished)}; its record:")
        show_findings(findings, console)
        show_files(record, out / there.page, console, began=began)
        return True

    def note(self, runs: Sequence[Planned], *, data: str, page: Path, heading: str) -> None:
        """Keep what the record and page, just written, were made of.

        Not where code or weights of the user's are among it: they lie anywhere.
        """
        from mixwright.lab.experiments.method_names import TRAINED
        from mixwright.lab.models.names import own_model

        recipe = runs[0].recipe
        names = [part.name for run in runs for part in run.method.parts]
        if (
            recipe.init
            or own_model(recipe.model)
            or any(":" in name or name == TRAINED for name in names)
        ):
            return
        note_inputs(
            self.out,
            request=self._request,
            data_name=self.options.data,
            data_dir=self.options.data_dir,
            data=data,
            runs=[run.folder for run in runs],
            page=page,
            heading=heading,
        )


def already_there(done: int, total: int) -> str:
    """Say how many runs need not be done.

    Example:
        >>> already_there(1, 1), already_there(2, 3)
        ('the run is there already', '2 of 3 runs are there already')
    """
    return "the run is there already" if total == 1 else f"{done} of {total} runs are there already"


def show_findings(findings: Findings, console: Console) -> None:
    """Print what a comparison found: table, answer, warnings."""
    from mixwright.lab.analysis.training_warnings import WarningRows
    from mixwright.lab.cli.table import print_answer, print_comparison
    from mixwright.lab.reports.sections.warnings import where
    from mixwright.lab.settings import decode

    console.print()
    print_comparison(findings, console)
    print_answer(findings, console)
    warned = decode(WarningRows, findings.parts["warnings"].numbers, where="the warnings")
    for row in warned.rows:
        say(console, f"warning: {row.method} ({where(row)}): {row.message}")


def show_files(record: Path, page: Path, console: Console, *, began: float) -> None:
    """Print where the record and the page are, and how long it took since ``began``."""
    say(console, f"\nrecord  {record}")
    say(console, f"report  {page}")
    say(console, f"{time.monotonic() - began:.0f} s")
