"""``mixwright theory``: second moments of masks, and what they explain."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.options import DataOptions
from mixwright.lab.cli.parser import option, parse
from mixwright.lab.cli.progress import open_console, say

if TYPE_CHECKING:
    from rich.console import Console

    from mixwright.lab.cli.theory_jobs import Job
    from mixwright.lab.experiments.methods import Method
    from mixwright.lab.reports.sections.section import Group

ABOUT = """Measure the second moments of the masks of methods: how strongly each ties the gradients
of two pixels, by the offset between them. METHOD as in mixwright compare --help; without any, all
mixers. Methods that look through a model look through that of --run, or through a small net that is
trained on the data for a few seconds first.

Writes theory.json, maps as .npy, and report.html."""

_FEWER = 8  # masks of methods that cost passes through a model are so many times fewer


@dataclass(frozen=True)
class TheoryOptions(DataOptions):
    """``mixwright theory``."""

    methods: tuple[str, ...] = option((), "what to look at", metavar="METHOD")
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
    scenarios: Literal["sprites", "cifar", "crops"] | None = option(
        None, "train on small and on large objects too (minutes): made sprites, or cuts of --data"
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
    device: str = option(
        "auto", "cpu, cuda or cuda:N (default: cuda where there is one)", metavar="NAME"
    )


def main(words: Sequence[str]) -> int:
    """Run the command; see ``cli.main``."""
    options = parse(TheoryOptions, words, prog="mixwright theory", about=ABOUT)
    for name, value in (("masks", options.masks), ("seeds", options.seeds)):
        if value is not None and value < (2 if name == "masks" else 1):
            least = 2 if name == "masks" else 1
            raise UsageError(f"--{name} is {value}; expected at least {least}.")
    from mixwright.lab.data.names import parse_data

    with users_words():
        parse_data(options.data)
    from mixwright.lab.cli.prepare import devices, load, out_folder
    from mixwright.lab.cli.theory_jobs import designed, in_scenarios, prepare
    from mixwright.lab.cli.theory_page import write

    device, out = devices(options.device)[0], out_folder(options.out)
    console = open_console()
    started = time.monotonic()
    with users_words():
        methods = _methods(options)
        job = prepare(
            load(options, train_size=options.train_size),
            methods,
            device=device,
            run=options.run,
            seeds=options.seeds or 1,
            through_model=options.decomposition,
        )
        out.mkdir(parents=True, exist_ok=True)  # before minutes of measuring
        design: dict[str, list[Group]] = {}
        if options.design:  # first, since its word may be one that nobody knows
            say(console, f"designing masks for {options.design} ...")
            design["design"] = [designed(job, options.design, masks=options.masks, folder=out)]
        sections: dict[str, list[Group]] = _measured(job, options, console)
        if options.decomposition:
            sections |= _expanded(job, sections, options, console)
        sections |= design
        if options.scenarios:
            sections["scenarios"] = in_scenarios(
                job, options.scenarios, named=bool(options.methods), seeds=options.seeds or 3,
                folder=out / "scenarios", on_message=lambda said: say(console, said),
            )  # fmt: skip
        record, page = write(out, job, sections, words=words, seconds=time.monotonic() - started)
    say(console, f"record  {record}\nreport  {page}")
    return 0


def _methods(options: TheoryOptions) -> "list[Method]":
    from mixwright.lab.experiments.methods import parse_methods
    from mixwright.mixers import MIXERS

    methods = parse_methods(options.methods or MIXERS, trust=options.trust)
    known = [method for method in methods if method.parts]
    if options.methods and not known:
        raise UsageError("none mixes nothing: it has no masks. Name a method, such as cutmix.")
    for method in known:
        if method.mixer() is None:
            raise UsageError(
                f"{method.text} mixes within training and has no masks of its own. Name a mixer; "
                "one that a run has learned is trained:run=PATH."
            )
    return known


def _measured(job: "Job", options: TheoryOptions, console: "Console") -> "dict[str, list[Group]]":
    from mixwright.lab.cli.theory_jobs import moments_of

    sections: dict[str, list[Group]] = {}
    for mode in ("exact", "paper") if options.mode == "both" else (options.mode,):
        groups: list[Group] = []
        for method in job.methods:
            masks = options.masks // (_FEWER if method.text in job.looking else 1)
            group = moments_of(job, method, mode=mode, masks=max(2, masks))
            if group is not None:
                groups.append(group)
                say(console, f"{method.text}: {group.summaries[0]['masks']:,} masks")
        if groups:
            sections["moments" if mode == "exact" else "moments-paper"] = groups
            console.print(_table(groups, console))
    if not sections:
        raise UsageError(" ".join(job.skipped))
    return sections


def _expanded(
    job: "Job", sections: "dict[str, list[Group]]", options: TheoryOptions, console: "Console"
) -> "dict[str, list[Group]]":
    from mixwright.lab.cli.theory_jobs import expanded, pressed

    say(console, "expanding the loss ...")
    terms = [expanded(job, method) for method in job.methods]
    groups: dict[str, list[Group]] = {"decomposition": terms}
    by_key = {group.key: group for group in terms}
    layers = [
        found
        for group in sections.get("moments", [])
        if (found := pressed(job, group, by_key[group.key], masks=options.masks)) is not None
    ]
    return groups | ({"first-layer": layers} if layers else {})


def _table(groups: "Sequence[Group]", console: "Console") -> Any:
    from mixwright.lab.cli.table import numbers_table
    from mixwright.lab.reports.formatting import number

    mode = str(groups[0].summaries[0]["mode"])
    table = numbers_table(
        "method",
        ("a(0,0)", "near", "far", "all pairs", "SE", "exact"),
        console,
        title=f"second moments of masks, {mode} mode",
        caption="a: coefficient of two pixels by their offset; near: up to an eighth of the side, "
        "far: from three eighths; exact: of all pairs, where there is a closed form",
    )
    for group in groups:
        first = group.summaries[0]
        closed = first["closed"]
        cells = (first["a0"], first["near"], first["far"], first["mean"], first["mean_error"])
        table.add_row(
            group.key,
            *(number(value, 4) for value in cells),
            "" if closed is None else number(closed["mean"], 4),
        )
    return table
