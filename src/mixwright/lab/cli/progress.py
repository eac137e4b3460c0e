"""Live progress of a grid of runs: bars on a terminal, plain lines elsewhere."""

import time
from typing import TYPE_CHECKING, Any, Protocol, Self

from mixwright.lab.experiments.pool import Event, Job
from mixwright.lab.reports.formatting import percent
from mixwright.lab.reports.plain_text import printable
from mixwright.lab.training.progress import warning_kind

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID


class Display(Protocol):
    """Shows what happens to runs; a context, so that the terminal is left in order."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: Any) -> None: ...

    def tell(self, event: Event) -> None:
        """Show one event."""
        ...


def display(console: "Console", *, total: int, finished: int) -> Display:
    """Return bars for a terminal, lines for everything else."""
    return (Bars if console.is_terminal else Lines)(console, total=total, finished=finished)


class _Heard:
    """Which warnings of which runs were shown already."""

    def __init__(self) -> None:
        self._said: set[tuple[Job, str]] = set()

    def new(self, event: Event) -> list[str]:
        """The warnings of an event that were not shown for its run, each with the run's name."""
        fresh: list[str] = []
        for warning in event.detail.get("alarms", ()):
            key = event.job, warning_kind(warning)
            if key not in self._said:
                self._said.add(key)
                fresh.append(f"{event.job.name}: {warning}")
        return fresh


class Lines:
    """One plain line for each run that ends, each that is tried again, and each kind of warning."""

    def __init__(self, console: "Console", *, total: int, finished: int) -> None:
        self._console, self._total, self._ended = console, total, finished
        self._since: dict[Job, float] = {}
        self._heard = _Heard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def tell(self, event: Event) -> None:
        """Print a line where there is something to say."""
        if event.kind == "start":
            self._since[event.job] = time.monotonic()
        elif event.kind == "progress":
            for warning in self._heard.new(event):
                say(self._console, warning)
        else:
            self._ended += event.kind != "retry"
            seconds = time.monotonic() - self._since.get(event.job, time.monotonic())
            count = f"[{self._ended:>{len(str(self._total))}}/{self._total}]"
            say(self._console, f"{count} {event.job.name}: {_end(event, seconds)}")


class Bars:
    """One bar for all runs and one for each that is under way."""

    def __init__(self, console: "Console", *, total: int, finished: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(min_width=24)),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._console, self._total = console, total
        self._share: dict[Job, float] = {}
        self._ended = float(finished)
        self._all = self._progress.add_task(
            "all runs", total=total, completed=finished, note=f"{finished}/{total} runs"
        )
        self._bars: dict[Job, TaskID] = {}
        self._heard = _Heard()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._progress.stop()

    def tell(self, event: Event) -> None:
        """Move the bars; say what went wrong above them."""
        job, detail = event.job, event.detail
        if event.kind == "start":
            self._bars[job] = self._progress.add_task(
                printable(job.name), total=1.0, note="starting"
            )
        elif event.kind == "progress" and job in self._bars:
            self._share[job] = detail["share"]
            note = f"epoch {detail['epoch']}/{detail['epochs']}"
            if detail["top1"] is not None:
                note += f"  top-1 {percent(detail['top1'])} %"
            self._progress.update(self._bars[job], completed=detail["share"], note=note)
            for warning in self._heard.new(event):
                say(self._console, warning)
        else:
            if job in self._bars:
                self._progress.remove_task(self._bars.pop(job))
            self._share.pop(job, None)
            self._ended += event.kind != "retry"
            if event.kind != "done":
                say(self._console, f"{job.name}: {_end(event, 0)}")
        self._progress.update(
            self._all,
            completed=self._ended + sum(self._share.values()),
            note=f"{self._ended:.0f}/{self._total} runs",
        )


def open_console(*, quiet: bool = False) -> "Console":
    """Return standard output for ``rich``; a file or pipe has room for a table's whole row."""
    from mixwright.lab.cli.console import PlainConsole

    console = PlainConsole(quiet=quiet)
    if not console.is_terminal:
        console.width = max(console.width, 120)
    return console


def say(console: "Console", text: str) -> None:
    """Print text as it is: no markup, no colours guessed from its words."""
    text = printable(text, keep="\n")
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def _end(event: Event, seconds: float) -> str:
    if event.kind == "done":
        return f"done in {seconds:.0f} s"
    reason = str(event.detail.get("error", "no reason given")).strip().splitlines()[0]
    return f"{reason}; trying again" if event.kind == "retry" else f"FAILED: {reason}"
