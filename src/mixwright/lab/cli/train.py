"""``mixwright train``: one model, one method."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from mixwright.arguments import counted
from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.options import TrainOptions
from mixwright.lab.cli.parser import parse
from mixwright.lab.cli.prepare import out_folder, prepare_runs
from mixwright.lab.cli.presets import with_preset
from mixwright.lab.cli.progress import display, open_console, say

if TYPE_CHECKING:
    from rich.console import Console

    from mixwright.lab.experiments.grid import Place, Planned
    from mixwright.lab.training.progress import Progress

ABOUT = """Train one model with one method; METHOD as in mixwright compare --help.

The run folder holds recipe.json, metrics.jsonl (a line an epoch), checkpoints and, at the
end, result.json. Stopped or killed, the same command goes on where it was. torchrun starts
it on several processes."""


def main(argv: Sequence[str]) -> int:
    """Run the command; see ``mixwright.lab.cli.main``."""
    began = time.monotonic()
    options = parse(TrainOptions, argv, prog="mixwright train", about=ABOUT)
    if len(options.methods) != 1:
        raise UsageError(
            f"{len(options.methods)} methods given; expected one, e.g. mixwright train cutmix. "
            "mixwright compare takes several."
        )
    given = options.recipe_fields()
    options, learned, changed = with_preset(options)
    from mixwright.lab.data.names import parse_data

    with users_words():
        parse_data(options.data)
    from mixwright.lab.cli.forecast import WORTH_SAYING, forecast, run_line, say_plan
    from mixwright.lab.experiments.grid import Planned, recipe_of, run_name
    from mixwright.lab.experiments.methods import parse_method
    from mixwright.lab.training.distributed import join

    with users_words():
        method = parse_method(options.methods[0], trust=options.trust)
        out = None if options.out is None else out_folder(options.out)

        def plan(settings: dict[str, Any]) -> "list[Planned]":
            recipe = recipe_of(method, settings, seed=options.seed, learned=learned)
            name = run_name(method, recipe)
            return [Planned(method, recipe, out or out_folder(f"runs/train/{name}"))]

        (planned,), data, where = prepare_runs(
            plan, options, device=options.device, seed=options.seed, given=given
        )
    recipe, folder = planned.recipe, planned.folder
    device = where.devices[0]
    with users_words():
        world = join(device)
    console = open_console(quiet=not world.first)
    say(
        console,
        f"{method.label}: {recipe.model} on {recipe.data}, {counted(recipe.epochs, 'epoch')}",
    )
    if changed:
        say(console, changed)
    say(console, data.summary)
    found = None
    if world.size == 1:
        found = forecast([planned], data, where, pool=None, tell=partial(say, console))
    line = partial(run_line, run=planned)
    if options.dry_run:
        say_plan([planned], found, console, passed=time.monotonic() - began, line=line)
        return 0
    if found is not None and found.seconds > WORTH_SAYING:
        say(console, line(found))
    result = _train(planned, where, str(world.device(device)), console)
    from mixwright.lab.analysis.training_warnings import Spell
    from mixwright.lab.cli.table import scores_table
    from mixwright.lab.reports.sections.warnings import epochs

    console.print(scores_table(result["scores"], result["heads"]))
    for warning in result["warnings"]:
        spell = Spell(seed=recipe.seed, first=warning["first"], last=warning["last"])
        say(console, f"warning, {epochs(spell)}: {warning['message']}")
    say(console, f"run  {folder}")
    return 0


def _train(planned: "Planned", where: "Place", device: str, console: "Console") -> dict[str, Any]:
    from mixwright.lab.experiments.executors.base import Event, Job, progress_detail
    from mixwright.lab.experiments.notes import notes_of_objectives
    from mixwright.lab.experiments.run import MISTAKES, run

    folder = planned.folder
    job = Job(planned.name, folder, folder / "log", {})

    def tell(now: "Progress") -> None:
        bars.tell(Event("progress", job, progress_detail(now)))

    def note(text: str) -> None:
        bars.tell(Event("progress", job, {"note": text}))

    with display(console, total=1, finished=0) as bars:
        bars.tell(Event("start", job))
        try:
            with notes_of_objectives(note):
                result = run(
                    planned.recipe,
                    folder,
                    data_dir=where.data_dir,
                    skip_unreadable=where.skip_unreadable,
                    trust=where.trust,
                    data_name=where.data,
                    identity=where.identity,
                    device=device,
                    on_progress=tell,
                )
        except MISTAKES as error:
            raise UsageError(str(error)) from error
        bars.tell(Event("done", job))
    return asdict(result)
