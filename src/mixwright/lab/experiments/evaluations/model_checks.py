"""Which models may be judged together, and on which data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

from mixwright.lab.analysis.cost import SHORTENED
from mixwright.lab.data.classes import class_list, fitted
from mixwright.lab.data.identity import data_identity, differences, in_a_sentence
from mixwright.lab.experiments.grid import learns_mixer
from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.experiments.presets import LEARNED
from mixwright.lab.training.folder import read_identity

if TYPE_CHECKING:
    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.experiments.evaluations.models_to_evaluate import ModelToEvaluate

_OWN_TO_A_RUN = ("method", "seed", "init", "init_weights", "init_digest")

T = TypeVar("T")


def check_models(
    candidates: Sequence[ModelToEvaluate], *, say: Callable[[str], None] = lambda sentence: None
) -> list[ModelToEvaluate]:
    """Refuse models that are no seeds of one another; return each run once.

    A run that is given twice, or with a copy of its folder, is no second seed: ``say`` is told.

    Raises:
        ValueError: runs differ in more than method, seed and first weights, in their classes or in
            their data, or two of one method and seed are not the same.
    """
    runs = [model for model in candidates if model.recipe is not None]
    recipes = [asdict(model.recipe) for model in runs if model.recipe is not None]
    same_data = len({model.trained_on for model in runs}) == 1 and all(m.trained_on for m in runs)
    own = (*_OWN_TO_A_RUN, "data") if same_data else _OWN_TO_A_RUN
    budgets = {model.equal_time for model in runs}
    if len(budgets) == 1 and None not in budgets:  # epochs followed from what methods cost
        own = (*own, *SHORTENED)
    for name in recipes[0] if recipes else ():
        values = list(dict.fromkeys(repr(recipe[name]) for recipe in recipes))
        if len(values) > 1 and name not in own and not _of_learned_mixers(name, runs):
            raise ValueError(
                f"these runs differ in {name} ({', '.join(values[:3])}), so they are no seeds and "
                "methods of one comparison; expected one recipe. Evaluate them apart, each with an "
                "--out of its own."
            )
    _check_same("classes", runs, of=lambda run: run.classes, text=class_list)
    if len(drawing_seeds(runs)) < 2:  # else each seed drew images of its own to train on
        _check_same("data", runs, of=lambda run: run.trained_on, text="digest {:.8}".format)
    return _each_once(candidates, say)


def _of_learned_mixers(name: str, runs: Sequence[ModelToEvaluate]) -> bool:
    """Whether runs differ in a field by what they train with alone, as a published recipe has it.

    Methods that learn a mixer may have another value than those that do not.
    """
    found: dict[bool, set[object]] = {}
    for run in runs:
        if name in LEARNED and run.recipe is not None:
            learns = learns_mixer(parse_method(run.recipe.method, file=run.file))
            found.setdefault(learns, set()).add(getattr(run.recipe, name))
    return len(found) == 2 and all(len(values) == 1 for values in found.values())


def drawing_seeds(candidates: Sequence[ModelToEvaluate]) -> list[int]:
    """Return the seeds by which runs drew the images that they trained on, where they did."""
    seeds = (model.recipe and model.recipe.subset_seed for model in candidates)
    return sorted({seed for seed in seeds if seed is not None})


def _check_same(
    what: str,
    runs: Sequence[ModelToEvaluate],
    *,
    of: Callable[[ModelToEvaluate], T],
    text: Callable[[T], str],
) -> None:
    """Refuse runs of which something differs; where it is empty it is not known, as in old runs."""
    known: dict[T, ModelToEvaluate] = {}
    for run in runs:
        if of(run):
            known.setdefault(of(run), run)
    if len(known) > 1:
        (one, first), (two, other), *_ = known.items()
        raise ValueError(
            f"{first.name} ({first.folder}) and {other.name} ({other.folder}) were trained on "
            f"other {what}: {text(one)} and {text(two)}; expected the same. Evaluate them apart, "
            "each with an --out of its own."
        )


def _each_once(
    candidates: Sequence[ModelToEvaluate], say: Callable[[str], None]
) -> list[ModelToEvaluate]:
    """Leave out what was given twice, by identity and not by path; refuse rivals for one seed."""
    found: dict[tuple[str, str], ModelToEvaluate] = {}
    seeds: dict[tuple[str, int], ModelToEvaluate] = {}
    told: set[str] = set()
    for model in candidates:
        key = (model.group, model.identity or model.slug)
        first = found.setdefault(key, model)
        if first is model:
            if model.seed is None:
                continue
            rival = seeds.setdefault((model.group, model.seed), model)
            if rival is not model:
                raise ValueError(
                    f"{rival.folder} and {model.folder} are two runs of {model.method_label} with "
                    f"seed {model.seed} and other weights; expected each seed once, since runs are "
                    "paired by seed. Evaluate them apart, each with an --out of its own."
                )
        elif first.file != model.file:
            sentence = (
                f"{model.folder} is the same run as {first.folder} ({model.method_label}, seed "
                f"{model.seed}): it counts once."
            )
            if sentence not in told:
                say(sentence)
            told.add(sentence)
    return list(found.values())


def match_data(
    data: Dataset, candidates: Sequence[ModelToEvaluate], *, say: Callable[[str], None]
) -> Dataset:
    """Return data whose classes have the numbers that the models give them, matched by name.

    ``say`` is told where there are no names to compare.

    Raises:
        ValueError: a model lacks a class of the data; or the data's numbering is another, and there
            are models beside it that have no names of classes.
    """
    where = f"--data {data.name}"
    named = next((model for model in candidates if model.classes), None)
    nameless = [model for model in candidates if not model.classes]
    found, sentence = data, ""
    if named is not None:  # all that have names have the same: they were checked
        found, sentence = fitted(data, named.classes, what=named.name, where=where)
    if found is not data and nameless and not sentence:
        raise ValueError(
            f"{named and named.name} numbers the classes of {where} in another order, and "
            f"{nameless[0].name} has no names by which they could be matched. Evaluate them apart."
        )
    if nameless:
        names = ", ".join(model.name for model in nameless)
        say(f"{names}: no names of classes are known, so only their number is compared.")
    if sentence and named and named.trained_on != data_identity(data).digest:
        say(sentence)
    return found


def note_changes(
    data: Dataset, candidates: Sequence[ModelToEvaluate], *, say: Callable[[str], None]
) -> None:
    """Say where data of a run's own name are no longer what it was trained on.

    Where we split them, images that it was trained on may have come among the test images.
    """
    runs = [model for model in candidates if model.recipe and model.recipe.data == data.name]
    if not runs or len(drawing_seeds(runs)) > 1:  # each seed drew images of its own to train on
        return
    here = data_identity(data)
    unknown = [model for model in runs if not model.trained_on]
    other = next((model for model in runs if model.trained_on not in ("", here.digest)), None)
    if other is not None:
        there = other.folder and read_identity(other.folder)
        changed = in_a_sentence(differences(there, here)) if there else "its digest is another"
        say(
            f"{data.name} is not what {other.name} was trained on ({changed}): images that it has "
            "learned may be among the test images."
        )
    elif unknown:
        say(
            f"{unknown[0].name}: an older mixwright kept no digest of its data, so whether "
            f"{data.name} is the same could not be checked."
        )
