"""``mixwright evaluate``: scores of a trained model."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.cli.errors import UsageError, users_words
from mixwright.cli.options import DataOptions
from mixwright.cli.parser import option, parse
from mixwright.cli.progress import open_console, say

if TYPE_CHECKING:
    from mixwright.data.sets import Dataset
    from mixwright.experiments.saved import Saved

ABOUT = """Measure a trained model on test images: top-1, top-5, likelihood and calibration, of the
trained weights, of their average (EMA), and of the method's own teacher where it has one.

RUN is a run folder (its last.pt is read) or a checkpoint."""


@dataclass(frozen=True)
class EvaluateOptions(DataOptions):
    """``mixwright evaluate``."""

    paths: tuple[str, ...] = option((), "a run folder or checkpoint", metavar="RUN")
    data: str | None = option(  # pyright: ignore[reportIncompatibleVariableOverride]
        None, "data set to test on (default: the one it was trained on)", metavar="NAME"
    )
    batch_size: int = option(250, "images at a time (default 250)", metavar="COUNT")
    out: str | None = option(None, "folder for evaluation.json", metavar="DIR")
    device: str = option(
        "auto", "cpu, cuda or cuda:N (default: cuda where there is one)", metavar="NAME"
    )


def main(words: Sequence[str]) -> int:
    """Run the command; see ``cli.main``."""
    options = parse(EvaluateOptions, words, prog="mixwright evaluate", about=ABOUT)
    if len(options.paths) != 1:
        raise UsageError(f"{len(options.paths)} runs given; expected one: mixwright evaluate RUN.")
    if options.batch_size < 1:
        raise UsageError(f"--batch-size is {options.batch_size}; expected at least 1.")
    from mixwright.cli.prepare import devices, load, out_folder
    from mixwright.cli.table import scores_table
    from mixwright.experiments.saved import load_saved, recipe_of

    path, device = Path(options.paths[0]), devices(options.device)[0]
    out = out_folder(options.out) if options.out else None
    with users_words():
        recipe = recipe_of(path)
        there = replace(
            options,
            data=options.data or recipe.data,
            image_size=options.image_size or recipe.image_size,
        )
        train_size = options.train_size
        if there.data == recipe.data and train_size is None:
            train_size = recipe.train_size
        data = load(there, train_size=train_size)
        saved = load_saved(path, image_size=data.image_size, channels=data.channels)
        if len(saved.classes) != data.num_classes:
            raise UsageError(
                f"{path} knows {len(saved.classes)} classes and {data.name} has "
                f"{data.num_classes}; expected the same classes. Give --data the set it was "
                "trained on."
            )
        # Lazy sets meet unreadable images here, and broken weights show in what they give.
        scores = _scores(saved, data, options.batch_size, device)
    console = open_console()
    say(console, f"{recipe.method}, {recipe.model}, after epoch {saved.epoch}, on {data.name}")
    console.print(scores_table(scores["raw"], scores["ema"], scores.get("teacher")))
    if out:
        with users_words():
            _write(out, path, saved, data, scores)
        say(console, f"record  {out / 'evaluation.json'}")
    return 0


def _scores(saved: "Saved", data: "Dataset", batch_size: int, device: str) -> dict[str, Any]:
    from mixwright.data.batches import Batches
    from mixwright.evaluation.scores import evaluate

    batches = Batches(data.test, batch_size=batch_size, device=device, augment=None, shuffle=False)
    models = {"raw": saved.raw, "ema": saved.ema}
    if saved.teacher is not None:
        models["teacher"] = saved.teacher
    return {name: asdict(evaluate(model.to(device), batches)) for name, model in models.items()}


def _write(
    folder: Path, path: Path, saved: "Saved", data: "Dataset", scores: dict[str, Any]
) -> None:
    record = {
        "checkpoint": str(path),
        "epoch": saved.epoch,
        "recipe": asdict(saved.recipe),
        "data": data.name,
        "note": data.note,
        **scores,
    }
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, ensure_ascii=False)
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
