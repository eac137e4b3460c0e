"""Runs whose record of their data is damaged: named, and no reason to refuse the others."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lab.reports.fabricated import RECIPE, finish, scores
from mixwright.lab.data.identity import data_identity
from mixwright.lab.data.load import load_data
from mixwright.lab.experiments.continuing import continued
from mixwright.lab.experiments.grid import Place, Planned, plan_runs
from mixwright.lab.experiments.methods import parse_methods

DAMAGED = {
    "[1]": "the record: JSON holds a list",
    "{}": "the record: field 'shape' is missing",
    '{"shape": [1], "classes": ["a"], "parts": {}}': r"it has the parts \[\], not train and test",
    '{"shape": ': "Expecting value",
}


@pytest.fixture(scope="module")
def place() -> Place:
    return Place(None, False, ("cpu",), identity=data_identity(load_data("digits")))


def begun(out: Path, place: Place) -> list[Planned]:
    """Two runs that have begun on the data of ``place``."""
    assert place.identity is not None
    runs = plan_runs(parse_methods(["none", "mixup"]), RECIPE | {"epochs": 1}, seeds=1, out=out)
    for run in runs:
        run.folder.mkdir(parents=True)
        (run.folder / "recipe.json").write_text(run.recipe.to_json())
        (run.folder / "data.json").write_text(json.dumps(asdict(place.identity)))
    return runs


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_record_of_the_data_is_named_and_the_runs_go_on(
    tmp_path: Path, place: Place, text: str
) -> None:
    runs, said = begun(tmp_path, place), list[str]()
    assert continued(runs, place, say=said.append) == runs
    assert said == []
    file = runs[1].folder / "data.json"
    file.write_text(text)
    assert continued(runs, place, say=said.append) == runs
    (sentence,) = said
    assert sentence.startswith(f"{file} cannot be read (")
    assert DAMAGED[text].replace("\\", "") in sentence
    assert "Remove this file to go on" in sentence
    assert sentence.endswith("Until then the run cannot go on.")


def test_the_result_of_a_finished_run_stands_in_for_its_record(
    tmp_path: Path, place: Place
) -> None:
    assert place.identity is not None
    runs, said = begun(tmp_path, place), list[str]()
    (runs[1].folder / "data.json").write_text("{}")
    for digest, end in (
        (place.identity.digest, "its result says that the data were the same."),
        ("", "whether its data were the same is not known."),
    ):
        finish(runs[1], scores(0.5), scores(0.5), data=digest)
        assert continued(runs, place, say=said.append) == runs
        assert said.pop().endswith(end)
    finish(runs[1], scores(0.5), scores(0.5), data="another")
    with pytest.raises(ValueError, match=r"mixup.* was trained on other data .*its result says"):
        continued(runs, place, say=said.append)


def test_a_record_under_another_path_is_named_too(tmp_path: Path, place: Place) -> None:
    runs, said = begun(tmp_path, place), list[str]()
    moved = [replace(run, recipe=replace(run.recipe, data="mnist")) for run in runs]
    moved = [replace(run, folder=run.folder.with_name(f"{run.method.slug}-s0-0")) for run in moved]
    assert continued(moved, place, say=said.append) == runs
    (runs[0].folder / "data.json").write_text("[1]")
    assert continued(moved, place, say=said.append) == [moved[0], runs[1]]
    assert "none-s0-" in said[0]
    assert said[0].endswith("Whether none-s0-0 is that run is not known.")
