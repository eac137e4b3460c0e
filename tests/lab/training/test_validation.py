"""The best epoch is chosen on validation images where there are any, and the record says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.training.test_resume import KilledError, kill_at, left
from lab.training.tiny import recipe, run, tiny_data
from mixwright.checkpoint import load_checkpoint, save_checkpoint
from mixwright.lab.data.sets import Dataset
from mixwright.lab.evaluation.protocol import run_protocols
from mixwright.lab.evaluation.scores import Scores
from mixwright.lab.training.folder import read_metrics
from mixwright.lab.training.result import Result

TEST, VALIDATION = 23, 17
TRAIN = 40
# Epoch after epoch; on training images once, at the end.
TOPS = {TEST: [0.9, 0.5, 0.6, 0.7], VALIDATION: [0.2, 0.8, 0.8, 0.3], TRAIN: [0.95]}


def validated(**more: Any) -> Dataset:
    data = tiny_data(test=TEST)
    return replace(data, validation=tiny_data(test=VALIDATION).test, **more)


def scripted() -> Any:
    """Scores of a fixed course, by the number of images; averaged weights have the same."""
    course: dict[int, Iterator[float]] = {
        count: iter([top for top in tops for _ in range(2)]) for count, tops in TOPS.items()
    }

    def evaluate(model: Any, batches: Any) -> Scores:
        count = sum(len(labels) for _, labels in batches)
        return Scores(top1=next(course[count]), top5=None, nll=1.0, ece=0.1, count=count)

    return evaluate


def test_validation_images_choose_and_test_images_are_scored(tmp_path: Path) -> None:
    """Epoch 2, the earlier of the best two on validation images; 1 is best on the test images."""
    result = run(tmp_path, recipe(), evaluate=scripted(), data=validated())
    assert result.chosen_on == "validation"
    assert load_checkpoint(tmp_path / "best.pt")["epoch"] == 2
    best = result.best["raw"]
    assert (best["epoch"], best["top1"], best["validation_top1"]) == (2, 0.5, 0.8)
    assert best["count"] == TEST
    assert (result.scores["raw"]["top1"], result.validation["raw"]["top1"]) == (0.7, 0.3)
    assert result.clean_train == {"top1": 0.95, "nll": 1.0, "images": TRAIN}
    lines = read_metrics(tmp_path)
    assert [line["test"]["raw"]["top1"] for line in lines] == TOPS[TEST]
    assert [line["validation"]["ema"]["top1"] for line in lines] == TOPS[VALIDATION]
    assert Result.from_record(json.loads((tmp_path / "result.json").read_text())) == result
    found = run_protocols(lines)["raw"]["best"]
    assert (found["top1"], found["epochs"], found["chosen_on"]) == (0.5, [2], "validation")


def test_without_them_the_test_images_choose_as_ever(tmp_path: Path) -> None:
    result = run(tmp_path, recipe(), evaluate=scripted(), data=tiny_data(test=TEST))
    assert (result.chosen_on, result.validation) == ("test", {})
    assert (result.best["raw"]["epoch"], result.best["raw"]["top1"]) == (1, 0.9)
    lines = read_metrics(tmp_path)
    assert "validation" not in lines[0]
    assert run_protocols(lines)["raw"]["best"]["chosen_on"] == "test"


def test_a_share_of_the_training_images_is_named(tmp_path: Path) -> None:
    result = run(tmp_path, recipe(epochs=1, val_share=0.2), data=validated())
    assert result.chosen_on == "training share"


def test_resumed_is_straight(tmp_path: Path) -> None:
    of = recipe(epochs=3)
    straight = run(tmp_path / "straight", of, data=validated())
    with pytest.raises(KilledError):
        run(tmp_path / "killed", of, data=validated(), on_progress=kill_at(3, 2))
    resumed = run(tmp_path / "killed", of, data=validated())
    assert left(tmp_path / "killed") == left(tmp_path / "straight")
    assert (resumed.best, resumed.validation) == (straight.best, straight.validation)


def test_a_run_from_before_there_were_validation_images_goes_on(tmp_path: Path) -> None:
    """What it had chosen on test images gives way to the first epoch that is validated."""
    with pytest.raises(KilledError):
        run(tmp_path, recipe(epochs=3), data=tiny_data(test=TEST), on_progress=kill_at(2, 4))
    state = load_checkpoint(tmp_path / "last.pt")
    state["best"]["raw"]["top1"] = 1.0
    save_checkpoint(tmp_path / "last.pt", state)
    (tmp_path / "data.json").unlink()  # such runs did not keep what they were trained on
    result = run(tmp_path, recipe(epochs=3), data=validated())
    assert result.best["raw"]["epoch"] == 3
    assert "validation_top1" in result.best["raw"]
