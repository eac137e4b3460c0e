"""``mixwright train``: one model, one method."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.options import TrainOptions
from mixwright.lab.cli.parser import parse
from mixwright.lab.cli.progress import display, open_console, say

if TYPE_CHECKING:
    from rich.console import Console

    from mixwright.lab.training.progress import Progress
    from mixwright.lab.training.recipe import Recipe

ABOUT = """Train one model with one method; METHOD as in mixwright compare --help.

The run folder holds recipe.json, metrics.jsonl (a line an epoch), checkpoints and, at the
end, result.json. Stopped or killed, the same command goes on where it was. torchrun starts
it on several processes."""


def main(argv: Sequence[str]) -> int:
    """Run the command; see ``mixwright.lab.cli.main``."""
    options = parse(TrainOptions, argv, prog="mixwright train", about=ABOUT)
    if len(options.methods) != 1:
        raise UsageError(
            f"{len(options.methods)} methods given; expected one, e.g. mixwright train cutmix. "
            "mixwright compare takes several."
        )
    from mixwright.lab.data.names import parse_data

    with users_words():
        parse_data(options.data)
    from mixwright.lab.cli.prepare import check_methods, load, out_folder, place, recipe_settings
    from mixwright.lab.experiments.finetune import resolve_init
    from mixwright.lab.experiments.methods import parse_method
    from mixwright.lab.training.distributed import join
    from mixwright.lab.training.recipe import Recipe, recipe_hash

    with users_words():
        method = parse_method(options.methods[0], trust=options.trust)
        settings = resolve_init(recipe_settings(options), method=method.slug, seed=options.seed)
        recipe = Recipe.from_fields({**settings, "method": method.text, "seed": options.seed})
        data = load(
            options,
            train_size=recipe.train_size,
            subset_seed=recipe.subset_seed,
            val_share=recipe.val_share,
        )
        check_methods([recipe], data)
        where = place(options, options.device)
    name = f"{method.slug}-s{recipe.seed}-{recipe_hash(recipe)}"
    folder = out_folder(options.out or f"runs/train/{name}")
    device = where.devices[0]
    world = join(device)
    console = open_console(quiet=not world.first)
    say(console, f"{method.label}: {recipe.model} on {recipe.data}, {recipe.epochs} epochs")
    say(console, data.summary)
    result = _train(recipe, folder, str(world.device(device)), options, console)
    from mixwright.lab.analysis.training_warnings import Spell
    from mixwright.lab.cli.table import scores_table
    from mixwright.lab.reports.sections.warnings import epochs

    console.print(scores_table(result["scores"], result["heads"]))
    for warning in result["warnings"]:
        spell = Spell(seed=recipe.seed, first=warning["first"], last=warning["last"])
        say(console, f"warning, {epochs(spell)}: {warning['message']}")
    say(console, f"run  {folder}")
    return 0


def _train(
    recipe: "Recipe", folder: Path, device: str, options: TrainOptions, console: "Console"
) -> dict[str, Any]:
    from mixwright.checkpoint import CheckpointError
    from mixwright.lab.data.errors import DataError
    from mixwright.lab.experiments.pool import Event, Job, progress_detail
    from mixwright.lab.experiments.run import run
    from mixwright.lab.training.folder import RunError
    from mixwright.lab.training.recipe import RecipeError

    job = Job(f"{recipe.method}, seed {recipe.seed}", folder, folder / "log", {})

    def tell(now: "Progress") -> None:
        bars.tell(Event("progress", job, progress_detail(now)))

    with display(console, total=1, finished=0) as bars:
        bars.tell(Event("start", job))
        try:
            result = run(
                recipe,
                folder,
                data_dir=options.data_dir,
                skip_unreadable=options.skip_unreadable,
                trust=options.trust,
                device=device,
                on_progress=tell,
            )
        except (DataError, RunError, CheckpointError, RecipeError) as error:
            raise UsageError(str(error)) from error
        bars.tell(Event("done", job))
    return asdict(result)
