"""``mixwright evaluate``: everything that is measured of trained models."""

import hashlib
import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mixwright.arguments import counted
from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.options import DataOptions, device_option
from mixwright.lab.cli.parser import option, parse
from mixwright.lab.cli.prepare import devices, load, out_folder, tell
from mixwright.lab.cli.progress import open_console, say

if TYPE_CHECKING:
    from rich.console import Console

    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.evaluation.subject import Evaluation
    from mixwright.lab.experiments.evaluations.measuring import Measured, Setting
    from mixwright.lab.experiments.evaluations.models_to_evaluate import ModelToEvaluate

ABOUT = """Measure trained models: accuracy, calibration, corruptions, attacks, occlusion, what
they look at, and how their mixing behaves; of the trained weights, of their average (EMA), and of
the method's own teacher where it has one. Writes evaluation.json and report.html.

MODEL is
  a run folder             or its last.pt or best.pt
  a comparison's folder    all its runs, methods side by side with intervals over seeds
  package.module:function  a model of your own, for images in [0, 1]
  NAME                     efficientnet_lite0 or any timm name, with published weights

--only takes some of
  accuracy calibration gap corruption attack occlusion cam gradients diversity fidelity probe
with options behind a colon:
  --only "accuracy corruption:types=fog;snow attack:steps=20"
mixwright list says what they are. A probe is made only where it is named.

Stopped or killed, the same command goes on where it was."""


@dataclass(frozen=True)
class EvaluateOptions(DataOptions):
    """``mixwright evaluate``."""

    models: tuple[str, ...] = option((), "what to measure; see above", metavar="MODEL")
    only: str | None = option(
        None, 'evaluations to make, as in "accuracy corruption" (default: all)', metavar="PARTS"
    )
    weights: Literal["all", "raw", "ema", "teacher", "raw_mixed", "ema_mixed", "teacher_mixed"] = (
        option(
            "all",
            "weights of a run: trained, averaged, own teacher; _mixed with the last layer that "
            "learned from mixed images (default: all it has)",
        )
    )
    data: str | None = option(  # pyright: ignore[reportIncompatibleVariableOverride]
        None, "data set to test on (default: the one it was trained on)", metavar="NAME"
    )
    test_size: int | None = option(
        None, "test images, chosen evenly by class (default: all)", metavar="COUNT"
    )
    normalise: Literal["inside", "data", "unchecked"] = option(
        "inside", "who normalises for a model of yours: itself, we by the data; or do not check"
    )
    batch_size: int = option(250, "images at a time (default 250)", metavar="COUNT")
    seed: int = option(0, "of everything that is drawn (default 0)", metavar="NUMBER")
    out: str | None = option(None, "folder (default: runs/evaluate/ and a name)", metavar="DIR")
    device: str = device_option()


def main(argv: Sequence[str]) -> int:
    """Run the command; see ``mixwright.lab.cli.main``."""
    options = parse(EvaluateOptions, argv, prog="mixwright evaluate", about=ABOUT)
    if not options.models:
        raise UsageError("no model given; expected one or more: mixwright evaluate MODEL.")
    if options.batch_size < 1:
        raise UsageError(f"--batch-size is {options.batch_size}; expected at least 1.")
    from mixwright.lab.experiments.evaluations.measuring import setting
    from mixwright.lab.experiments.evaluations.model_checks import (
        check_models,
        match_data,
        note_changes,
    )
    from mixwright.lab.experiments.evaluations.models_to_evaluate import (
        find_models,
        trust_references,
    )
    from mixwright.lab.experiments.evaluations.parts import parse_parts

    device = devices(options.device)[0]
    out = out_folder(
        f"runs/evaluate/{_name(options.models)}" if options.out is None else options.out
    )
    console = open_console()
    with users_words():
        parts = parse_parts(options.only)
        if options.trust:
            trust_references(parts)
        found = [
            model
            for word in options.models
            for model in find_models(
                word,
                weights=options.weights,
                normalise=options.normalise,
                trust=options.trust,
                say=tell,
            )
        ]
        _check_use(options, found)
        candidates = check_models(found, say=tell)
        parts = _shared_images(parts, candidates, named=options.only is not None)
        data = _data(options, candidates)
        if options.image_size is None and options.train_size is None:  # else others were asked for
            note_changes(data, candidates, say=tell)
        data = match_data(data, candidates, say=tell)
        common = setting(
            data,
            test_size=options.test_size,
            device=device,
            batch_size=options.batch_size,
            seed=options.seed,
        )
        kinds = ", ".join(part.name for part in parts)
        say(
            console,
            f"{counted(len(candidates), 'set')} of weights on "
            f"{counted(len(common.ids), 'test image')} of {data.name}: {kinds}; in {out}",
        )
        say(console, data.summary)
        began = time.monotonic()
        measured = _measure(candidates, parts, common, out, console)
        command = shlex.join(["mixwright", "evaluate", *argv])
        _finish(measured, parts, common, out, command, console, time.monotonic() - began)
    return 0


def _check_use(options: EvaluateOptions, found: "Sequence[ModelToEvaluate]") -> None:
    """Refuse what is said of kinds of models that are not among them."""
    from mixwright.lab.models.names import own_model

    own = [model for model in found if model.recipe is None and own_model(model.name)]
    if options.normalise != "inside" and not own:
        raise UsageError(
            f"--normalise {options.normalise} does nothing here: only models given as "
            "package.module:function are asked who normalises; leave it out."
        )
    if options.weights != "all" and not any(model.weights for model in found):
        raise UsageError(
            f"--weights {options.weights} does nothing here: only runs have several sets of "
            "weights; leave it out."
        )


def _name(words: Sequence[str]) -> str:
    """A folder's name for what is measured; the same words give the same one."""
    path = Path(words[0])
    if path.suffix == ".pt":  # of which every run has one
        path = path.with_name(f"{path.parent.name}-{path.stem}")
    first = re.sub(r"[^A-Za-z0-9._]+", "-", path.name or words[0]).strip("-.")
    where = [str(Path(word).resolve()) if Path(word).exists() else word for word in words]
    first += "-" + hashlib.sha256(" ".join(where).encode(errors="surrogateescape")).hexdigest()[:6]
    return first + (f"-and-{len(words) - 1}-more" if len(words) > 1 else "")


def _data(options: EvaluateOptions, candidates: "Sequence[ModelToEvaluate]") -> "Dataset":
    from mixwright.lab.experiments.evaluations.model_checks import drawing_seeds

    # All runs among them share a recipe but for what is a run's own: they were checked.
    recipe = next((model.recipe for model in candidates if model.recipe), None)
    if options.data is None and recipe is None:
        raise UsageError(
            "--data is not given; a model that is not one of our runs does not say what to test it "
            "on. Name a data set; mixwright list shows all."
        )
    name, image_size, train_size = options.data, options.image_size, options.train_size
    if recipe is not None:
        name, image_size = name or recipe.data, image_size or recipe.image_size
        if name == recipe.data and train_size is None:
            train_size = recipe.train_size
    own: dict[str, Any] = {"centre_crop": recipe.centre_crop if recipe is not None else None}
    if recipe is not None and name == recipe.data and train_size == recipe.train_size:
        drawn = drawing_seeds(candidates)
        own |= {
            "val_share": recipe.val_share,
            "subset_seed": drawn[0] if len(drawn) == 1 else None,
        }
    return load(replace(options, data=name, image_size=image_size), train_size=train_size, **own)


def _shared_images(
    parts: "Sequence[Evaluation]", candidates: "Sequence[ModelToEvaluate]", *, named: bool
) -> "list[Evaluation]":
    """Leave the gap out where runs trained on other images each; refuse it where it is named."""
    from mixwright.lab.experiments.evaluations.model_checks import drawing_seeds

    fitting = [part for part in parts if part.name != "gap"]
    if len(drawing_seeds(candidates)) < 2 or len(fitting) == len(parts):
        return list(parts)
    why = (
        "these runs drew the images that they trained on by their seeds (subset_seeds), so the gap "
        "has no training images that they share"
    )
    if named:
        raise UsageError(f"{why}; expected runs of one seed. Evaluate each run apart.")
    tell(f"{why}: it is left out. Evaluate each run apart to have it.")
    return fitting


def _measure(
    candidates: "Sequence[ModelToEvaluate]",
    parts: Sequence[Any],
    common: "Setting",
    out: Path,
    console: "Console",
) -> "list[Measured]":
    from mixwright.lab.cli.evaluate_progress import show_progress
    from mixwright.lab.experiments.evaluations.measuring import measure_all
    from mixwright.lab.experiments.grid import alone_in
    from mixwright.lab.training.pages import kept_pages

    shown = show_progress(console, total=len(candidates) * len(parts))
    with alone_in(out), kept_pages(common.device), shown as on_progress:
        return list(measure_all(candidates, parts, common, out, on_progress=on_progress))


def _finish(
    measured: "list[Measured]",
    parts: Sequence[Any],
    common: "Setting",
    out: Path,
    command: str,
    console: "Console",
    seconds: float,
) -> None:
    from mixwright.lab.analysis.store import write_findings
    from mixwright.lab.cli.table import numbers_table
    from mixwright.lab.experiments.evaluations.recording import evaluation_findings
    from mixwright.lab.reports.evaluation_page import headline_table
    from mixwright.lab.reports.page import write_report

    findings, arrays = evaluation_findings(
        measured, parts, common, command=command, seconds=seconds
    )
    head, rows = headline_table(findings)
    if len(head) > 1:
        table = numbers_table(head[0], head[1:], console)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    record = write_findings(out, findings, arrays)
    say(console, f"record  {record}")
    say(console, f"report  {write_report(record)}")
