"""Run folders of format 1 are read and continued; the fixtures were made by commit c5ec9cc."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lab.training.test_learned import net
from lab.training.test_resume import KilledError, kill_at
from lab.training.tiny import digest, recipe, run
from mixwright.checkpoint import load_checkpoint
from mixwright.lab.training.convert import convert_checkpoint, convert_epoch, convert_result
from mixwright.lab.training.folder import read_metrics
from mixwright.lab.training.recipe import Recipe, recipe_hash
from mixwright.lab.training.result import Result
from mixwright.objectives import AdAutoMix

OLD = Path(__file__).parents[1] / "fixtures" / "run-format-1"
RECORDS = Path(__file__).parents[3] / "benchmarks" / "results"
TIMES = ("seconds", "step_seconds", "images_per_second", "commit")

MAKERS = {"blend": dict, "adautomix": lambda: {"objective": AdAutoMix(), "model": net()}}


def state_of(folder, name="last.pt"):
    """A checkpoint without what depends on the clock, and what c5ec9cc did not know.

    That are fields of the recipe, and scores and averages of heads for mixed images.
    """
    state = convert_checkpoint(load_checkpoint(folder / name))
    state.pop("records", None)  # format 1 had the lines of all epochs here too
    if "record" in state:
        state["record"] = of_then(without_times(state["record"]))
    state["recipe"] = Recipe.from_json(state["recipe"]).to_json()
    state["best"] = without_mixed(state["best"])
    heads = state.pop("heads", None)
    if heads is not None and name == "last.pt":  # an old best.pt has none
        state["heads"] = [heads["layer"], *(heads["mixed"][name] for name in ("raw", "teacher"))]
    return without_times(state)


def of_then(record):
    record.pop("heads", None)
    return {**record, "test": without_mixed(record["test"])}


def without_mixed(columns):
    return columns and {name: own for name, own in columns.items() if "mixed" not in name}


def bits_of(folder, name="last.pt"):
    """The same, as one digest an entry: their order does not count."""
    return {entry: digest(value) for entry, value in state_of(folder, name).items()}


def without_times(record):
    return {name: value for name, value in record.items() if name not in TIMES}


def lines_of(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [of_then(without_times(json.loads(line))) for line in lines]


def assert_close(one, other, where=""):
    """Nested values are equal up to what another processor may round differently."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name, value in one.items():
            assert_close(value, other[name], f"{where}/{name}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for place, value in enumerate(one):
            assert_close(value, other[place], f"{where}/{place}")
    elif isinstance(one, Tensor):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6, msg=where)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6), where
    else:
        assert one == other, where


@pytest.mark.parametrize("name", MAKERS)
def test_an_old_run_continues_as_if_nothing_had_happened(tmp_path, name):
    old, resumed, straight = OLD / name, tmp_path / "resumed", tmp_path / "straight"
    shutil.copytree(old / "killed", resumed)
    run(straight, recipe(), **MAKERS[name]())
    result = run(resumed, recipe(), **MAKERS[name]())
    # What the uninterrupted run of c5ec9cc came to.
    before = state_of(old / "straight")
    assert before["epoch"] == 4
    assert_close(state_of(resumed), before)
    lines = convert_checkpoint(load_checkpoint(old / "straight" / "last.pt"))["records"]
    assert_close(lines_of(resumed), [of_then(without_times(line)) for line in lines])
    assert_close(without_mixed(result.scores), lines_of(straight)[-1]["test"])
    # Bit for bit what an uninterrupted run of today comes to, where today's first two epochs
    # are bit for bit those of the fixture: another processor may round differently.
    with pytest.raises(KilledError):
        run(tmp_path / "today", recipe(), **MAKERS[name](), on_progress=kill_at(3, 2))
    if bits_of(tmp_path / "today") == bits_of(old / "killed"):
        assert bits_of(resumed) == bits_of(straight)
        assert bits_of(resumed, "best.pt") == bits_of(straight, "best.pt")
        assert lines_of(resumed) == lines_of(straight)
    else:
        assert_close(state_of(tmp_path / "today"), state_of(old / "killed"))


@pytest.mark.parametrize("name", MAKERS)
def test_an_old_result_is_returned_and_left_as_it_is(tmp_path, name):
    folder = tmp_path / "run"
    shutil.copytree(OLD / name / "straight", folder)
    text = (folder / "result.json").read_text()
    old = json.loads(text)
    result = run(folder, recipe())
    assert (folder / "result.json").read_text() == text
    columns = ("raw", "ema", "teacher") if name == "adautomix" else ("raw", "ema")
    assert result.scores == {column: old[column] for column in columns}
    assert result.best == old["best"]
    assert result.train["diagnostics"] == old["train"]["seen"]
    assert "seen" not in result.train
    assert recipe_hash(result.recipe) == old["hash"]
    flat = [{"first": 3, "last": 4, "message": old["alarms"][0]["said"]}] if old["alarms"] else []
    assert bool(flat) == (name == "adautomix")
    assert result.warnings == flat
    assert Result.from_record(result.to_record()) == result


def test_an_old_recipe_is_the_same_recipe():
    text = (OLD / "blend" / "killed" / "recipe.json").read_text()
    assert Recipe.from_json(text) == recipe()
    assert recipe_hash(recipe()) == "4709746f"  # as c5ec9cc called it


def test_an_old_checkpoint_names_its_weights():
    old = load_checkpoint(OLD / "adautomix" / "killed" / "best.pt")
    new = convert_checkpoint(old)
    assert {"model", "ema", "teacher"} <= old.keys()  # it is not changed
    assert [*new["weights"]] == ["raw", "ema", "teacher"]
    assert new["weights"]["raw"] is old["model"]
    assert new["weights"]["ema"] is old["ema"]["model"]
    assert new["weights"]["teacher"] is old["teacher"]
    assert new["ema_updates"] == old["ema"]["t"] == 4 * new["epoch"]
    assert not {"model", "ema", "teacher"} & new.keys()
    assert convert_checkpoint(new) == new
    assert [*convert_checkpoint({**old, "teacher": None})["weights"]] == ["raw", "ema"]
    mixer = {"kind": "mixer", "model": 1}
    assert convert_checkpoint(mixer) == mixer


def test_records_from_before_there_were_warnings():
    assert convert_epoch({"epoch": 1}) == {"epoch": 1, "warnings": []}
    old = {"raw": {"top1": 0.5}, "ema": {"top1": 0.25}, "seed": 3}
    assert convert_result(old) == {
        "seed": 3,
        "scores": {"raw": {"top1": 0.5}, "ema": {"top1": 0.25}},
        "warnings": [],
        "format": 2,
    }


def test_a_result_from_the_future_is_refused():
    with pytest.raises(ValueError, match="has the format 3; this mixwright reads 1 and 2"):
        convert_result({"format": 3})


@pytest.mark.parametrize("file", sorted(RECORDS.glob("*/runs/*.jsonl")), ids=lambda file: file.stem)
def test_committed_epochs_are_read(tmp_path, file):
    shutil.copy(file, tmp_path / "metrics.jsonl")
    old = [json.loads(line) for line in file.read_text().splitlines()]
    new = read_metrics(tmp_path)
    assert len(new) == len(old) > 0
    for was, now in zip(old, new, strict=True):
        alarms = was.pop("alarms", was.pop("warnings", []))
        assert now.pop("warnings") == alarms
        diagnostics = was["train"].pop("seen", was["train"].pop("diagnostics", None))
        assert now["train"].pop("diagnostics", None) == diagnostics
        assert now == was
