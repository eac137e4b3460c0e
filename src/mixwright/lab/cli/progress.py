"""Live progress of a grid of runs: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self

from mixwright.lab.experiments.executors.base import Event, Job
from mixwright.lab.reports.formatting import about_time, percent
from mixwright.lab.reports.plain_text import printable
from mixwright.lab.training.progress import warning_kind

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

_PAUSE = 10.0  # seconds


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


class _Clock:
    """How far all runs are, and how long the rest will take."""

    def __init__(self, *, total: int, finished: int) -> None:
        self._total, self._ended, self._here = total, finished, 0
        self._began = time.monotonic()
        self._before: dict[Job, float] = {}  # shares that were done by an earlier command
        self._share: dict[Job, float] = {}

    def tell(self, event: Event) -> None:
        """Take note of one event."""
        job, share = event.job, event.detail.get("share")
        if event.kind == "progress" and share is not None:
            began = (event.detail["epoch"] - 1) / event.detail["epochs"]
            self._before.setdefault(job, began)
            self._share[job] = share
        elif event.kind in ("done", "failed"):
            self._ended += 1
            self._here += 1
            self._share.pop(job, None)

    @property
    def count(self) -> str:
        """Runs that have ended, of all."""
        return f"{self._ended:>{len(str(self._total))}}/{self._total}"

    @property
    def seconds_left(self) -> float | None:
        """Estimate for all runs; None before anything was done, and at the end."""
        done = self._here + sum(self._share.values()) - sum(self._before.values())
        left = self._total - self._ended - sum(self._share.values())
        if done <= 0 or left <= 0:
            return None
        return (time.monotonic() - self._began) * left / done

    @property
    def pause(self) -> float:
        """Seconds between two lines about how far it is: a hundredth of the whole, at least 10."""
        passed = time.monotonic() - self._began
        return max(_PAUSE, 0.01 * (passed + (self.seconds_left or 0.0)))


class Lines:
    """A plain line for each run that ends or is tried again, for each kind of warning, and now and
    then for how far it is.
    """

    def __init__(self, console: "Console", *, total: int, finished: int) -> None:
        self._console = console
        self._clock = _Clock(total=total, finished=finished)
        self._since: dict[Job, float] = {}
        self._top1: dict[Job, float] = {}
        self._heard = _Heard()
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def tell(self, event: Event) -> None:
        """Print a line where there is something to say."""
        job = event.job
        self._clock.tell(event)
        if event.kind == "start":
            self._since[job] = time.monotonic()
        elif event.kind == "progress":
            for warning in self._heard.new(event):
                self._say(warning)
            if (top1 := event.detail.get("top1")) is not None:
                self._top1[job] = top1
            if time.monotonic() - self._said >= self._clock.pause:
                note = event.detail.get("note") or progress_note(event.detail)
                self._say(f"{job.name}: {note}{self._left()}")
        else:
            # A run in other hands has no beginning here, until it is taken over.
            began = self._since.pop(job, None)
            end = _end(event, None if began is None else time.monotonic() - began)
            if event.kind == "done" and job in self._top1:
                end += f", top-1 {percent(self._top1[job])} %"
            self._say(f"[{self._clock.count}] {job.name}: {end}{self._left()}")

    def _left(self) -> str:
        left = self._clock.seconds_left
        return "" if left is None else f"; about {about_time(left)} left"

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        say(self._console, text)


def progress_note(detail: Mapping[str, Any]) -> str:
    """Say how far a run is: its epoch, and its accuracy where that is known.

    Example:
        >>> progress_note({"epoch": 3, "epochs": 200, "top1": 0.4525})
        'epoch 3/200, top-1 45.2 %'
    """
    top1 = detail["top1"]
    scored = "" if top1 is None else f", top-1 {percent(top1)} %"
    return f"epoch {detail['epoch']}/{detail['epochs']}{scored}"


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
            if "note" in detail:
                self._progress.update(self._bars[job], note=detail["note"])
                return
            self._share[job] = detail["share"]
            note = progress_note(detail)
            self._progress.update(self._bars[job], completed=detail["share"], note=note)
            for warning in self._heard.new(event):
                say(self._console, warning)
        else:
            if job in self._bars:
                self._progress.remove_task(self._bars.pop(job))
            self._share.pop(job, None)
            self._ended += event.kind in ("done", "failed")
            if event.kind != "done":
                say(self._console, f"{job.name}: {_end(event)}")
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


def _end(event: Event, seconds: float | None = None) -> str:
    """How a run ended; ``seconds`` that it took here, None where another command did it."""
    if event.kind == "done":
        return "done elsewhere" if seconds is None else f"done in {seconds:.0f} s"
    reason = str(event.detail.get("error", "no reason given")).strip().splitlines()[0]
    if event.kind == "held":
        return "another mixwright is at work on it; waiting for it"
    return f"{reason}; trying again" if event.kind == "retry" else f"FAILED: {reason}"
