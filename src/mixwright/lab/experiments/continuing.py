"""Runs that exist already: whether they were trained on these data, wherever the data lie now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mixwright.lab.data.identity import (
    DataIdentity,
    differences,
    in_a_sentence,
    only_times_differ,
)
from mixwright.lab.experiments.grid import Place, Planned
from mixwright.lab.training.folder import RunError, read_identity, read_result
from mixwright.lab.training.recipe import Recipe, RecipeError
from mixwright.lab.training.recipe import differences as recipe_differences


def continued(
    runs: Sequence[Planned], place: Place, *, say: Callable[[str], None]
) -> list[Planned]:
    """Return the runs; those that began on the same images under another path keep that recipe.

    Where a run's seed drew other training images, only its test images are compared here; the rest
    is compared when it trains. ``say`` is told of runs that do not say what they were trained on,
    of those whose record of it is damaged, and of files that changed in nothing but their times.

    Raises:
        ValueError: a run was trained on other data.
    """
    assert place.identity is not None
    found = [_where_it_began(run, place.identity_for(run.recipe), say) for run in runs]
    unknown, touched = list[Planned](), list[Planned]()
    for run in found:
        if not any((run.folder / name).exists() for name in ("recipe.json", "data.json")):
            continue
        try:
            there, identity = read_identity(run.folder), place.identity
        except RunError as error:  # the other runs can be compared, and this one if it has finished
            say(f"{error} {_by_its_result(run, place.identity_for(run.recipe))}")
            continue
        if there is not None and place.identity_for(run.recipe) is None:
            there, identity = _tested(there), _tested(identity)
        if there is None:
            unknown.append(run)
        elif there.digest != identity.digest:
            raise ValueError(
                f"{run.folder} was trained on other data than {run.recipe.data} holds now: "
                f"{in_a_sentence(differences(there, identity))}. Give --out another folder for the "
                "data as they are now, or bring the data back to continue here."
            )
        elif only_times_differ(there, identity):
            touched.append(run)
    if unknown:
        say(
            f"{_named(unknown)}: an older mixwright kept no digest of the data, so whether they "
            "are the same could not be checked."
        )
    if touched:
        say(
            f"{_named(touched)}: files of the data have other times than when it was begun; their "
            "names, their sizes and the content of some are the same, so they count as the same."
        )
    return found


def begun(runs: Sequence[Planned]) -> bool:
    """Whether one of the runs has a folder already, if only for data under another name."""
    return any(
        recipe is not None and set(recipe_differences(recipe, run.recipe)) <= {"data"}
        for run in runs
        for recipe in map(_recipe_in, _folders(run))
    )


def _by_its_result(run: Planned, identity: DataIdentity | None) -> str:
    """What a run's result says of its data, whose own record is damaged.

    Raises:
        ValueError: it was trained on other data.
    """
    try:
        result = read_result(run.folder)
    except RunError:  # of a newer format; whoever needs it says so
        result = None
    if result is None:
        return "Until then the run cannot go on."
    if not result.data or identity is None:
        return "The run has finished and counts, but whether its data were the same is not known."
    if result.data != identity.digest:
        raise ValueError(
            f"{run.folder} was trained on other data than {run.recipe.data} holds now, as its "
            "result says. Give --out another folder for the data as they are now, or bring the "
            "data back to continue here."
        )
    return "The run has finished and counts: its result says that the data were the same."


def _named(runs: Sequence[Planned]) -> str:
    first = str(runs[0].folder)
    return first if len(runs) == 1 else f"{first} and {len(runs) - 1} more"


def _tested(identity: DataIdentity) -> DataIdentity:
    """What does not depend on the images that a seed drew to train on."""
    return replace(identity, parts={"test": identity.parts["test"]})


def _where_it_began(
    run: Planned, identity: DataIdentity | None, say: Callable[[str], None]
) -> Planned:
    """The run with the folder and recipe that it began with, where only the data's path changed."""
    if identity is None:
        return run
    for folder in _folders(run):
        recipe = _recipe_in(folder)
        if recipe is None or set(recipe_differences(recipe, run.recipe)) != {"data"}:
            continue
        try:
            there = read_identity(folder)
        except RunError as error:
            say(f"{error} Whether {run.folder.name} is that run is not known.")
            continue
        if there is not None and there.digest == identity.digest:
            return replace(run, recipe=recipe, folder=folder)
    return run


def _folders(run: Planned) -> list[Path]:
    """The folder of a run, or those that differ from it in the hash of the recipe alone."""
    if run.folder.is_dir():
        return [run.folder]
    stem = _stem(run.folder)
    return sorted(path for path in run.folder.parent.glob("*") if _stem(path) == stem)


def _stem(folder: Path) -> str:
    """The name of a run's folder without the hash of its recipe."""
    return folder.name.rpartition("-")[0]


def _recipe_in(folder: Path) -> Recipe | None:
    try:
        return Recipe.from_json((folder / "recipe.json").read_bytes())
    except (OSError, RecipeError):
        return None
