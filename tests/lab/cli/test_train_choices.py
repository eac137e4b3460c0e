"""What a run takes from its data, and which last layer it is judged by, from train to evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.cli.test_main import of_epochs, scores_of
from mixwright.lab.cli import main
from mixwright.lab.training.recipe import Recipe, recipe_hash

SHORT = ["--train-size", "60", "--batch-size", "20", "--epochs", "1"]


def trained(folder: Path, method: str, *options: str) -> dict[str, object]:
    assert main(["train", method, *SHORT, *options, "--out", str(folder)]) == 0
    return json.loads((folder / "result.json").read_text())


def test_a_head_that_learns_alone_is_evaluated_under_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = "adautomix:clean=false"
    result = trained(tmp_path / "run", alone, "--val-share", "0.2", "--subset-seeds", "true")
    shown = " ".join(capsys.readouterr().out.split())
    assert "through the last layer that learned from mixed images" in shown
    assert result["heads"] == dict.fromkeys(("raw", "ema", "teacher"), "mixed")
    assert result["chosen_on"] == "training share"
    where = ["--only", "accuracy calibration", "--out", str(tmp_path / "scores")]
    assert main(["evaluate", str(tmp_path / "run"), *where]) == 0
    shown = capsys.readouterr()
    assert "own teacher, mixed head" in shown.out
    found = scores_of(tmp_path / "scores")
    for weights, scores in result["scores"].items():  # type: ignore[attr-defined]
        assert found[weights] == pytest.approx(of_epochs(scores), rel=1e-5)
    assert main(["evaluate", str(tmp_path / "run"), "--weights", "raw_mixed"]) == 2
    assert "no run has weights of the kind 'raw_mixed'" in capsys.readouterr().err


def test_a_self_mix_mirrors_what_the_data_allow(tmp_path: Path) -> None:
    """Digits are not to be mirrored; the name of the run does not change by that."""
    given = {}
    for folder, method in (("data", "miamix:views=2"), ("own", "miamix:self_flip=true")):
        result = trained(tmp_path / folder, method)
        given[folder] = result["set_by_data"]
        recipe = Recipe.from_fields(result["recipe"])  # type: ignore[arg-type]
        assert recipe.method == method
        assert result["hash"] == recipe_hash(recipe)
    assert given == {"data": {"MiAMix.self_flip": False}, "own": {"MiAMix.self_flip": True}}
