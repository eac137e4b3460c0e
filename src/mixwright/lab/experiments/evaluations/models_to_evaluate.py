"""From words to models that can be judged: runs, comparisons, names, and models of the user's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from mixwright.checkpoint import CheckpointError, checkpoint_of
from mixwright.lab.analysis.cost import read_cost
from mixwright.lab.analysis.findings import WEIGHTS
from mixwright.lab.analysis.store import NAMES, read_findings
from mixwright.lab.experiments.evaluations.no_model import no_model
from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.experiments.saved import load_saved, saved_run
from mixwright.lab.models.build import build_model, published
from mixwright.lab.models.names import ModelError, may_have_weights, own_model
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.models.own import call_own, check_arguments, check_trusted, own_function
from mixwright.lab.training.folder import RunError, is_finished

if TYPE_CHECKING:
    from mixwright.lab.analysis.findings import Findings
    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.evaluation.subject import Evaluation
    from mixwright.lab.training.recipe import Recipe
    from mixwright.mixers import Mixer


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelToEvaluate:
    """One model with one set of weights.

    Args:
        group: what its seeds have in common: METHOD and weights, or the model's name.
        label: how people call the group.
        method_label: how people call its method or model, without the weights.
        name: of the model itself, for messages and folders.
        seed: of its run; None where it has none.
        weights: of a run, one of ``WEIGHTS``; empty for other models.
        load: makes the model for images of a data set, in [0, 1].
        recipe: of its run, if it has one.
        folder: of its run.
        file: its checkpoint.
        doubted: whether its normalisation is looked at before it is judged.
        checkpoint: name of its file where that is not a run's last.
        classes: names of its classes, by label; empty where it has none.
        identity: of its run, the same for copies; see ``SavedRun``.
        trained_on: digest of its run's data; empty where it is not known.
        equal_time: folder of the comparison that gave every method the same time, of whose runs it
            is one; None for all others.
    """

    group: str
    label: str
    method_label: str
    name: str
    seed: int | None
    weights: str
    load: Callable[[Dataset], nn.Module]
    recipe: Recipe | None = None
    folder: Path | None = None
    file: Path | None = None
    doubted: bool = False
    checkpoint: str = ""
    classes: tuple[str, ...] = ()
    identity: str = ""
    trained_on: str = ""
    equal_time: Path | None = None

    @property
    def baseline(self) -> bool:
        """Whether it was trained without mixing."""
        return self.recipe is not None and self.recipe.method == "none"

    @property
    def slug(self) -> str:
        """A name for its folder."""
        slug = re.sub(r"[^A-Za-z0-9._]+", "-", f"{self.name}-{self.weights or 'own'}").strip("-")
        where = str(self.file.resolve()) if self.file else self.name
        return (
            f"{slug[:60]}-{hashlib.sha256(where.encode(errors='surrogateescape')).hexdigest()[:6]}"
        )

    def mixer(self) -> Mixer | None:
        """What it was trained with, where that mixes; a learned mixer as it was learned."""
        if self.recipe is None:
            return None
        method = parse_method(self.recipe.method, file=self.file)  # imported when it was found
        if method.parts and method.parts[0].learns and self.file is not None:
            from mixwright.lab.experiments.trained import learns_mixer
            from mixwright.mixers.learned import load_mixer

            if learns_mixer(method.parts[0].cls):
                return load_mixer(self.file)
        return method.mixer()


def find_models(
    word: str,
    *,
    weights: str,
    normalise: str,
    trust: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> list[ModelToEvaluate]:
    """Find the models that a word means.

    Args:
        word: a run folder or checkpoint; the folder of a comparison, for all its runs; ``package.
            module:function`` that returns a model, called with ``num_classes``, ``image_size`` and
            ``channels`` where it takes them; or a name of ours or timm's with published
            weights.
        weights: which of a run: one of ``WEIGHTS``, or ``all`` that it has.
        normalise: of a model of the user's: ``inside`` where it does it itself, ``unchecked``
            likewise without a look, ``data`` to put the data's normalisation in front of it.
        trust: import the modules that runs name for their methods.
        say: told which runs of a comparison are left out, and why.

    Returns:
        at least one.

    Raises:
        ValueError: there is no such thing, it has no such weights, or its method is of a module
            that is not imported.
    """
    path = Path(word).expanduser()
    if path.suffix == ".json" and path.is_file():
        raise ValueError(
            f"{word} is no model; expected a run folder, a checkpoint or the folder of a "
            "comparison. The page of a record is made by mixwright report."
        )
    if path.exists():
        return _of_path(path, weights, trust, say)
    if own_model(word) and not word.endswith(".pt"):
        return [_of_function(word, normalise)]
    if "/" in word or word.endswith(".pt"):
        raise ValueError(
            f"there is no {word}; expected a run folder, a checkpoint, the folder of a comparison, "
            "package.module:function, or a name of timm's."
        )
    if not may_have_weights(word):
        raise ValueError(
            f"{word} is the name of a network without weights; give the folder of a run that "
            "trained it."
        )
    try:
        published(word)
    except ModelError as error:
        if not str(error).startswith("unknown model"):  # timm is there and does not import, say
            raise
        raise no_model(word) from None
    return [_published(word)]


def _of_path(
    path: Path, weights: str, trust: bool, say: Callable[[str], None]
) -> list[ModelToEvaluate]:
    if path.is_dir() and not (path / "last.pt").is_file() and (path / "runs").is_dir():
        found = _of_comparison(path, weights, trust, say)
    else:
        found = _of_run(path, weights, trust)
    if not found:
        raise ValueError(
            f"{path}: no run has weights of the kind {weights!r}; expected --weights all, raw or "
            "ema. Methods that learn a mixer have a teacher of their own and a second last layer "
            "for mixed images."
        )
    return found


def _of_comparison(
    path: Path, weights: str, trust: bool, say: Callable[[str], None]
) -> list[ModelToEvaluate]:
    """The models of its runs; ``say`` is told of each that is left out."""
    record = path / NAMES["comparison"]
    known = read_findings(record) if record.is_file() else None
    runs = _runs_of(path, known)
    for folder in sorted(entry for entry in (path / "runs").iterdir() if entry.is_dir()):
        if folder not in runs:
            other = f"it is not in {NAMES['comparison']}"
            why = other if is_finished(folder) else "it has not finished"
            say(f"{folder} is left out: {why}.")
    found: list[list[ModelToEvaluate]] = []
    for run in runs:
        try:
            found.append(_of_run(run, weights, trust))
        except (CheckpointError, RunError) as error:  # the others can be measured
            say(f"{run} is left out: {error}")
    if not found:
        raise ValueError(f"{path}: the comparison there has no finished run to evaluate.")
    same_time = known is not None and bool(read_cost(known.parts["cost"]).own_epochs)
    budget = path.resolve() if same_time else None
    return [replace(model, equal_time=budget) for models in found for model in models]


def _runs_of(comparison: Path, known: Findings | None) -> list[Path]:
    """Run folders of a comparison: those in its record, else all that are finished."""
    if known is not None:  # others may be left of earlier recipes
        groups = known.parts["scores"].groups
        return [
            comparison / run for group in groups if group.weights == "raw" for run in group.folders
        ]
    return [run for run in sorted((comparison / "runs").iterdir()) if is_finished(run)]


def _of_run(path: Path, weights: str, trust: bool) -> list[ModelToEvaluate]:
    about = saved_run(path)
    recipe, heads = about.recipe, about.heads
    wanted = list(WEIGHTS) if weights == "all" else [weights]
    file = checkpoint_of(path)
    method = parse_method(recipe.method, file=file, trust=trust)
    check_trusted(recipe.model, file, trust=trust)
    # Another checkpoint than the last is another model, not another seed of the same.
    checkpoint = "" if file.name == "last.pt" else file.name
    which = f" ({checkpoint})" if checkpoint else ""

    def named(column: str) -> str:
        own = WEIGHTS[column]
        return WEIGHTS.get(f"{column}_mixed", own) if heads.get(column) == "mixed" else own

    def load(column: str) -> Callable[[Dataset], nn.Module]:
        return lambda data: load_saved(
            path, image_size=data.image_size, channels=data.channels
        ).models[column]

    return [
        ModelToEvaluate(
            group=f"{method.text}{which} {column}",
            label=f"{method.label}{which}" + (f", {named(column)}" if weights == "all" else ""),
            method_label=f"{method.label}{which}",
            name=f"{method.slug}-s{recipe.seed}{which}",
            seed=recipe.seed,
            weights=column,
            load=load(column),
            recipe=recipe,
            folder=file.parent,
            file=file,
            checkpoint=checkpoint,
            classes=about.classes,
            identity=about.identity,
            trained_on=about.data,
        )
        for column in wanted
        if column in about.columns
    ]


def trust_references(parts: Sequence[Evaluation]) -> None:
    """Import the modules of the networks of users that runs named as ``reference`` have.

    Raises:
        ValueError: there is no such run, or its module cannot be imported.
    """
    for part in parts:
        if run := str(getattr(part, "reference", "")):
            path = Path(run).expanduser()
            check_trusted(saved_run(path).recipe.model, checkpoint_of(path), trust=True)


def _of_function(word: str, normalise: str) -> ModelToEvaluate:
    make = own_function(word)
    if not isinstance(make, nn.Module):
        check_arguments(word, make, classes=False)

    def load(data: Dataset) -> nn.Module:
        if isinstance(make, nn.Module):
            model = make
        else:
            model = call_own(
                word,
                make,
                num_classes=data.num_classes,
                image_size=data.image_size,
                channels=data.channels,
            )
        return Normalised(model, data.mean, data.std) if normalise == "data" else model

    return _alone(word, load, doubted=normalise != "unchecked")


def _published(name: str) -> ModelToEvaluate:
    def load(data: Dataset) -> nn.Module:
        weights = published(name)
        model = build_model(
            name,
            num_classes=weights.classes,  # of other data they are refused, not guessed
            image_size=data.image_size,
            channels=data.channels,
            pretrained=True,
        )
        return Normalised(model, *weights.scale(data.channels))

    return _alone(name, load, doubted=True)


def _alone(name: str, load: Callable[[Dataset], nn.Module], *, doubted: bool) -> ModelToEvaluate:
    """A model that no run of ours has trained."""
    return ModelToEvaluate(
        group=name, label=name, method_label=name, name=name, seed=None, weights="", load=load,
        doubted=doubted,
    )  # fmt: skip
