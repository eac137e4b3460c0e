"""``mixwright reproduce``: a published table or figure by one command."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mixwright.arguments import counted
from mixwright.files import write_whole
from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.options import WHERE, TrustOptions, dry_run_option
from mixwright.lab.cli.parser import option, parse
from mixwright.lab.cli.reproduce_steps import Planned, StepNotes
from mixwright.lab.settings import option_flag, write_value

if TYPE_CHECKING:
    from rich.console import Console

    from mixwright.lab.experiments.published.commands import Command
    from mixwright.lab.experiments.published.item import PublishedItem, ScaleName
    from mixwright.lab.reports.section import Table

ABOUT = """Make a published table or figure again: the commands of its protocol, then a table of the
published numbers beside ours, on the terminal, as Markdown, as a record and as a page.

ITEM is a name of mixwright reproduce --list, such as miamix:layers or adautomix:table1, or a file
of your own in the same form, which ends in .toml (docs/reproduce.md).

--scale paper is the protocol as published. tiny and small are the same rows with other data,
another net and another schedule, which a machine without a GPU can do: their numbers are not those
of the table, and what can be compared is who leads whom.

Stopped or killed, the same command goes on where it was."""


_PASSED = ("workers", "device", "data_dir", "executor", "resources", "part")
"""Options that go to the steps which take them."""


@dataclass(frozen=True)
class ReproduceOptions(TrustOptions):
    """``mixwright reproduce``."""

    items: tuple[str, ...] = option((), "what to reproduce; see above", metavar="ITEM")
    list: bool = option(False, "list every table and figure, with what it costs on this machine")
    scale: Literal["tiny", "small", "paper"] | None = option(
        None, "how large (default: the smallest that the item has)"
    )
    steps: str | None = option(
        None,
        "some of its steps alone, with commas between (default: all); --dry-run names them",
        metavar="NAMES",
    )
    out: str | None = option(
        None, "folder (default: runs/reproduce/ and ITEM-SCALE)", metavar="DIR"
    )
    data_dir: str | None = option(
        None,
        "where files of data sets lie or are downloaded to (default: mixwright in the user's cache "
        "folder)",
        metavar="DIR",
    )
    workers: int | None = option(
        None, "runs at a time (default: one a core, or one a GPU)", metavar="COUNT"
    )
    device: str | None = option(
        None, "cpu, cuda or cuda:N (default: cuda where there is one)", metavar="NAME"
    )
    executor: Literal["local", "ray", "slurm"] | None = option(
        None,
        "where the runs of comparisons are done, as in mixwright compare; other steps are done "
        "here (default: here)",
        group=WHERE,
    )
    resources: str | None = option(
        None,
        "what Ray or SLURM gives each run, as in mixwright compare",
        metavar="NAME=VALUE,...",
        group=WHERE,
        default_text=" cpus=1",
    )
    part: str | None = option(
        None,
        "do every N-th run of each comparison, from the K-th on, and no other step; the command "
        "without it does the rest and writes the table",
        metavar="K/N",
        group=WHERE,
    )
    dry_run: bool = dry_run_option()


def main(argv: Sequence[str]) -> int:
    """Run the command; see ``mixwright.lab.cli.main``."""
    options = parse(ReproduceOptions, argv, prog="mixwright reproduce", about=ABOUT)
    if options.list:
        from mixwright.lab.cli.reproduce_list import show_list

        _check_list(options)
        return show_list(options.device or "auto")
    if len(options.items) != 1:
        raise UsageError(
            f"{counted(len(options.items), 'ITEM')} given; expected one: mixwright reproduce ITEM. "
            "mixwright reproduce --list shows all."
        )
    (name,) = options.items
    from mixwright.lab.cli.reproduce_checks import (
        check_commands,
        check_own_code,
        wanted_scale,
        wanted_steps,
    )
    from mixwright.lab.experiments.published.load import find_item, is_own_file

    with users_words():
        whole = find_item(name)
    own_file = is_own_file(name)
    if options.trust and not own_file:
        raise UsageError(
            f"--trust does nothing with {name}, which names no code of yours; leave it out."
        )
    scale = wanted_scale(name, whole, options.scale)
    item = whole.at(scale)
    from mixwright.lab.cli.prepare import out_folder
    from mixwright.lab.cli.progress import open_console
    from mixwright.lab.experiments.published.commands import commands

    file = file_name(name, scale)
    out = out_folder(f"runs/reproduce/{file}" if options.out is None else options.out)
    if own_file and not options.trust:
        check_own_code(whole, Path(name))
    with users_words():
        planned = commands(item, out)
    wanted = wanted_steps(options.steps, [command.step for command in planned])
    _check_use(options, planned, wanted)
    bare = ReproduceOptions()
    every = [
        Planned(command, words_of(command, options), words_of(command, bare)) for command in planned
    ]
    check_commands([(one.command, one.words) for one in every], data_too=not options.dry_run)
    notes = StepNotes(out, file, every)
    notes.check_folder()
    console = open_console()
    _announce(name, item, scale, out, console)
    if options.dry_run:
        return _dry_run([one for one in every if one.command.step in wanted], console)
    if options.part is not None:
        own = [one for one in every if one.command.step in wanted and _takes(one.command, "part")]
        return _do_part(own, notes, console)
    return _run(name, item, scale, every, wanted, notes, file, out, console, shlex.join(
        ["mixwright", "reproduce", *argv]
    ))  # fmt: skip


def _check_list(options: ReproduceOptions) -> None:
    """Refuse options beside ``--list``."""
    given = [
        "ITEM" if field.name == "items" else option_flag(field.name)
        for field in fields(options)
        if field.name not in ("list", "device") and getattr(options, field.name) != field.default
    ]
    if given:
        raise UsageError(f"{', '.join(given)} does nothing beside --list; leave it out.")


def file_name(name: str, scale: str) -> str:
    """Return what record, table and page of an item are called: they say their scale.

    Example:
        >>> file_name("miamix:layers", "tiny"), file_name("mine/my.toml", "paper")
        ('miamix-layers-tiny', 'my-paper')
    """
    from mixwright.lab.experiments.published.load import is_own_file

    own = Path(name).stem if is_own_file(name) else name.replace(":", "-")
    return f"{own}-{scale}"


def words_of(command: Command, options: ReproduceOptions) -> list[str]:
    """Return a command as it is typed behind ``mixwright``: its name first.

    Raises:
        UsageError: it has no such option, or another is said on the command line.
    """
    from mixwright.lab.cli.reproduce_checks import options_class

    known = {field.name: field for field in fields(options_class(command.command))}
    words = [command.command, *command.words]
    for name, value in command.options.items():
        if name in known and isinstance(known[name].default, bool):
            words += [option_flag(name)] if value is True else []
        else:
            words += [option_flag(name), write_value(value)]
    for name in _PASSED:
        value = getattr(options, name)
        if value is not None and _takes(command, name):
            words += [option_flag(name), write_value(value)]
    words += ["--trust"] if options.trust else []
    return [*words, "--out", str(command.folder)]


def _takes(command: Command, name: str) -> bool:
    """Whether an option of where and how it runs does something for a command."""
    from mixwright.lab.cli.reproduce_checks import options_class
    from mixwright.lab.cli.unused import WITHOUT_FOLDER

    if name not in {field.name for field in fields(options_class(command.command))}:
        return False
    return name != "data_dir" or command.data.partition(":")[0] not in WITHOUT_FOLDER


def _check_use(
    options: ReproduceOptions, planned: Sequence[Command], wanted: Collection[str]
) -> None:
    """Refuse options that none of the steps takes, and values that none of them would take."""
    from mixwright.lab.cli.prepare import devices

    for name in _PASSED:
        # A part does nothing else; what others take may be said of all steps.
        asked = [step for step in planned if name != "part" or step.step in wanted]
        if getattr(options, name) is not None and not any(_takes(step, name) for step in asked):
            kinds = ", ".join(dict.fromkeys(step.command for step in asked))
            raise UsageError(
                f"{option_flag(name)} does nothing here, since no step ({kinds}) takes it; leave "
                "it out."
            )
    if options.workers is not None and options.workers < 1:
        raise UsageError(f"--workers is {options.workers}; expected at least 1.")
    if options.part is not None and options.dry_run:
        raise UsageError(
            "--part does nothing beside --dry-run, which says what all runs would take; leave one "
            "of them out."
        )
    elsewhere = ("compare",) if options.executor in ("ray", "slurm") else ()
    if options.device is not None and any(
        _takes(step, "device") for step in planned if step.command not in elsewhere
    ):
        devices(options.device)


def _announce(
    name: str, item: PublishedItem, scale: ScaleName, out: Path, console: Console
) -> None:
    from mixwright.lab.cli.progress import say
    from mixwright.lab.experiments.published.outcome import caution_of

    say(console, f"{name}: {item.title}\n{item.paper}")
    if caution := caution_of(item, scale):
        say(console, caution)
    for sentence in (item.note, item.not_recovered):
        if sentence:
            say(console, sentence)
    say(console, f"{counted(len(item.steps), 'step')} in {out}")


def _dry_run(every: Sequence[Planned], console: Console) -> int:
    """Print every command, and what trainings would take, measured by a few real steps."""
    from mixwright.lab.cli.progress import say

    for place, one in enumerate(every, start=1):
        say(console, f"\n[{place}/{len(every)}] {one.command.step}")
        say(console, f"  {one.text}")
        if one.command.command not in ("compare", "train"):
            continue
        try:
            _main(one.command.command)([*one.words[1:], "--dry-run"])
        except UsageError as error:  # weights of a step before, memory: it may be mended by then
            say(console, f"no estimate: {error}")
    return 0


def _main(command: str) -> Callable[[Sequence[str]], int]:
    return import_module(f"mixwright.lab.cli.{command}").main


def _do(one: Planned) -> int:
    """Carry a step out; its exit code."""
    try:
        return _main(one.command.command)(one.words[1:])
    except UsageError as error:
        raise UsageError(f"step {one.command.step}: {error}") from None


def _do_part(every: Sequence[Planned], notes: StepNotes, console: Console) -> int:
    """Do a part of the runs of comparisons; others may do theirs in the same folders meanwhile."""
    from mixwright.lab.cli.progress import say

    with users_words():
        notes.begin()
    codes: list[int] = []
    for place, one in enumerate(every, start=1):
        say(console, f"\n[{place}/{len(every)}] {one.command.step}: {one.text}")
        codes.append(_do(one))
    say(console, "\nthe same command without --part does what is left, and writes the table")
    return max(codes)


def _run(
    name: str,
    item: PublishedItem,
    scale: ScaleName,
    every: Sequence[Planned],
    wanted: Collection[str],
    notes: StepNotes,
    file: str,
    out: Path,
    console: Console,
    asked: str,
) -> int:
    """Carry out the steps that are wanted, then write and show what came out of all."""
    from mixwright.lab.cli.progress import say
    from mixwright.lab.experiments.grid import alone_in
    from mixwright.lab.experiments.published.outcome import StepOutcome, outcome_of
    from mixwright.lab.experiments.published.recording import write_outcome
    from mixwright.lab.reports.page import write_report
    from mixwright.lab.reports.published_tables import as_markdown, lead_sentences, number_tables

    failed: list[str] = []
    with contextlib.ExitStack() as stack:
        with users_words():
            stack.enter_context(alone_in(out))
            notes.check_folder()  # another one may have been at work until now
            notes.begin()
        for place, one in enumerate(every, start=1):
            command = one.command
            if command.step not in wanted:
                continue
            say(console, f"\n[{place}/{len(every)}] {command.step}: {one.text}")
            if notes.done(command):
                say(console, "done already")
            elif _do(one):
                failed.append(command.step)
            else:
                notes.note(command)
        shown = [one for one in every if not notes.of_other_words(one.command)]
        found = outcome_of(
            name,
            item,
            scale,
            folders={one.command.step: one.command.folder for one in shown},
            steps=tuple(
                StepOutcome(
                    name=one.command.step,
                    command=one.text,
                    folder=one.command.folder.relative_to(out).as_posix(),
                    pictures=one.command.pictures if one in shown else (),
                )
                for one in every
            ),
        )
        record = write_outcome(out / f"{file}.json", found, command=asked)
        table = out / f"{file}.md"
        write_whole(table, lambda stream: stream.write(as_markdown(found).encode()))
        page = write_report(record)
    _show(number_tables(found), console)
    for sentence in (*lead_sentences(found), found.caution):
        if sentence:
            say(console, sentence)
    for one in every:
        step = one.command.step
        if one not in shown:
            say(
                console,
                f"step {step} was done with other options; it is left out until it is done again.",
            )
            continue
        for picture in one.command.pictures if step in wanted and step not in failed else ():
            if not (one.command.folder / picture).is_file():
                say(console, f"step {step} made no {picture}; the page is without it.")
    for step in failed:
        say(console, f"step {step} did not finish: some of its runs failed, see above.")
    say(console, f"\nrecord  {record}\ntable   {table}\npage    {page}")
    return 1 if failed else 0


def _show(tables: Sequence[tuple[str, Table]], console: Console) -> None:
    from mixwright.lab.cli.table import numbers_table

    for title, block in tables:
        table = numbers_table(block.head[0], block.head[1:], console, title=title)
        for row in block.rows:
            table.add_row(*(cell if isinstance(cell, str) else cell.text for cell in row))
        console.print(table)
