"""``mixwright theory``: second moments of masks, and what they explain."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mixwright.arguments import did_you_mean
from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.options import DataOptions, device_option, probe_option
from mixwright.lab.cli.parser import option, parse
from mixwright.lab.cli.progress import open_console, say
from mixwright.lab.cli.unused import check_probe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mixwright.lab.analysis.findings import Part
    from mixwright.lab.experiments.theory_measurements import Measurements
    from mixwright.lab.theory.scenarios.tasks import DatasetKind

ABOUT = """Measure the second moments of the masks of methods: how strongly each ties the gradients
of two pixels, by the offset between them. METHOD as in mixwright compare --help; without any, all
mixers. Methods that look through a model look through that of --run, or through a small net that is
trained on the data first, until it knows clearly more of held-out images than chance does.

Writes theory.json, maps as .npy, and report.html."""


@dataclass(frozen=True)
class TheoryOptions(DataOptions):
    """``mixwright theory``."""

    methods: tuple[str, ...] = option((), "what to measure", metavar="METHOD")
    masks: int = option(
        4096,
        "masks of each method (default 4096; an eighth for methods that look through a model)",
        metavar="COUNT",
    )
    mode: Literal["exact", "paper", "both"] = option(
        "exact", "plans as in training (exact, default), the published tilted law (paper), or both"
    )
    decomposition: bool = option(
        False, "expand the loss of a model too: R1, R2, R3, remainder, and the first layer"
    )
    run: str | None = option(
        None, "run folder or checkpoint whose model is looked through", metavar="DIR"
    )
    model: str | None = probe_option()
    scenarios: str | None = option(
        None,
        "small and large objects too: train on them (minutes), sprites that are made or cifar for "
        "cuts of --data; or set two comparisons side by side, of large crops and of small ones",
        metavar="sprites|cifar|DIR,DIR",
    )
    design: str | None = option(
        None,
        "make a mixer for wanted moments too: near, ellipse, ring, stripes (options as near:scale="
        "0.1), a METHOD to imitate, or a map as .npy",
        metavar="WORD",
    )
    seeds: int | None = option(
        None, "draws of everything (default 1; 3 for --scenarios)", metavar="COUNT"
    )
    out: str = option("runs/theory", "folder (default runs/theory)", metavar="DIR")
    device: str = device_option()


def main(argv: Sequence[str]) -> int:
    """Run the command; see ``mixwright.lab.cli.main``."""
    options = parse(TheoryOptions, argv, prog="mixwright theory", about=ABOUT)
    for name, value, least in (("masks", options.masks, 2), ("seeds", options.seeds, 1)):
        if value is not None and value < least:
            raise UsageError(f"--{name} is {value}; expected at least {least}.")
    from mixwright.lab.data.names import parse_data

    scenarios = _scenarios(options.scenarios)
    with users_words():
        parse_data(options.data)
    from mixwright.lab.analysis.store import write_findings
    from mixwright.lab.cli.prepare import devices, load, out_folder, tell
    from mixwright.lab.experiments.probe_model import looks_through_model
    from mixwright.lab.experiments.theory_measurements import (
        measure_theory,
        methods_with_masks,
        prepare_theory,
        with_masks,
    )
    from mixwright.lab.experiments.theory_recording import theory_findings, write_maps
    from mixwright.lab.reports.page import write_report
    from mixwright.lab.theory.scenarios.comparisons import compared_crops

    device, out = devices(options.device)[0], out_folder(options.out)
    console = open_console()
    started = time.monotonic()
    with users_words():
        named = options.methods
        if isinstance(scenarios, tuple):
            scenarios = compared_crops(*scenarios)
            named = named or tuple(with_masks(scenarios, trust=options.trust))
        methods = methods_with_masks(named, trust=options.trust)
        looking = any(map(looks_through_model, methods))
        other = options.decomposition or options.design is not None or options.run is not None
        check_probe(options.model, used=looking or other)
        setup = prepare_theory(
            load(options, train_size=options.train_size),
            methods,
            device=device,
            run=options.run,
            model=options.model,
            trust=options.trust,
            seeds=options.seeds or 1,
            with_model=options.decomposition,
            on_message=tell,
        )
        say(console, setup.data.summary)
        out.mkdir(parents=True, exist_ok=True)  # before minutes of measuring
        sections = measure_theory(
            setup,
            modes=("exact", "paper") if options.mode == "both" else (options.mode,),
            masks=options.masks,
            decomposition=options.decomposition,
            design=options.design,
            scenarios=scenarios,
            scenario_methods=methods if options.methods else (),
            scenario_seeds=options.seeds or 3,
            folder=out,
            on_message=lambda message: say(console, message),
            on_moments=lambda found: _show(found, console),
        )
        command = shlex.join(["mixwright", "theory", *argv])
        findings, arrays = theory_findings(
            setup, sections, command=command, seconds=time.monotonic() - started
        )
        if "scenarios" in findings.parts:
            console.print(_scenarios_table(findings.parts["scenarios"], console))
        record = write_findings(out, findings, arrays)
        write_maps(out, setup, sections)
    say(console, f"record  {record}\nreport  {write_report(record)}")
    return 0


def _scenarios(
    text: str | None,
) -> "DatasetKind | tuple[Path, Path] | None":
    """Read what ``--scenarios`` says: a kind of images, or the folders of two comparisons."""
    if text is None or text == "sprites" or text == "cifar":
        return text
    first, _, second = text.partition(",")
    if not first or not second:
        raise UsageError(
            f"--scenarios is {text!r}; expected sprites, cifar, or the folders of two comparisons, "
            "as in runs/large-crops,runs/small-crops." + did_you_mean(text, ("sprites", "cifar"))
        )
    return Path(first), Path(second)


def _show(measured: "Sequence[Measurements]", console: "Console") -> None:
    from mixwright.lab.theory.assumption import assumption_note

    console.print(_table(measured, console))
    say(
        console,
        assumption_note(
            {method.key: method.found[0].summary["expected_mask"] for method in measured}
        ),
    )


def _scenarios_table(part: "Part", console: "Console") -> "Table":
    """Top-1 of each method where objects are small and large, and how its gains differ."""
    from mixwright.lab.analysis.scenarios import Scenarios
    from mixwright.lab.cli.table import numbers_table
    from mixwright.lab.reports.formatting import signed, spread
    from mixwright.lab.settings import decode

    found = decode(Scenarios, part.numbers, where="scenarios")
    tasks: list[str] = [*part.groups[0].first["tasks"]]
    names = {group.key: group.label for group in part.groups}
    base = names[found.differences[0].base] if found.differences else ""
    gains = {gain.key: gain.tasks for gain in found.differences}
    heads = [f"{task}, {size}" for task in tasks for size in ("small", "large")]
    table = numbers_table(
        "method",
        (*heads, *(f"{task}, I" for task in tasks)),
        console,
        title="top-1 % on small and on large objects",
        caption=f"I: what a method gains on {base} where objects are small, less what it gains "
        "where they are large; points, paired by seed, with 95 % t intervals",
    )
    for group in part.groups:
        paths = (f"tasks.{task}.{size}.top1" for task in tasks for size in ("small", "large"))
        own = gains.get(group.key, {})
        table.add_row(
            group.label,
            *(spread(group.intervals.get(path)) for path in paths),
            *(signed(own[task].interaction if task in own else None) for task in tasks),
        )
    return table


def _table(measured: "Sequence[Measurements]", console: "Console") -> "Table":
    from mixwright.lab.cli.table import numbers_table
    from mixwright.lab.reports.formatting import number

    mode = measured[0].found[0].summary["mode"]
    table = numbers_table(
        "method",
        ("a(0,0)", "near", "far", "all pairs", "SE", "exact"),
        console,
        title=f"second moments of masks, {mode} mode",
        caption="a: coefficient of two pixels by their offset; near: up to an eighth of the side, "
        "far: from three eighths; exact: of all pairs, where there is a closed form",
    )
    for method in measured:
        first = method.found[0].summary
        closed = first["closed"]
        cells = (first["a0"], first["near"], first["far"], first["mean"], first["mean_error"])
        table.add_row(
            method.key,
            *(number(value, 4) for value in cells),
            "" if closed is None else number(closed["mean"], 4),
        )
    return table
