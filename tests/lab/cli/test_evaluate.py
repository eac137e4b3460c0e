"""``mixwright evaluate`` on models of every kind, through every evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mixwright.lab.reports.evaluation import SECTIONS

from mixwright.lab.cli import main
from mixwright.lab.experiments.evaluations.parts import PARTS

TINY = (
    "accuracy calibration:draws=5,resamples=20 gap:images=20 corruption:types=fog,severities=1;5 "
    "attack:count=10,steps=2,epsilons=8 occlusion:count=10,seeds=1,ratios=0;0.5;1 "
    "cam:pairs=4,shown=2 gradients:count=10,traced=2,probes=1 diversity:pairs=2,draws=2 "
    "fidelity:count=16,distances=4,reals=10 probe:data=digits,train_size=40,strength=1"
)

OWN = """
import torch
from torch import nn
from mixwright.lab.models.build import build_model
from mixwright.lab.models.normalised import Normalised

def build():
    torch.manual_seed(0)
    net = build_model("smallconv", num_classes=10, image_size=32)
    return Normalised(net, [0.3] * 3, [0.3] * 3)

def seven():
    return build_model("smallconv", num_classes=7, image_size=32)
"""


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("comparison")
    short = ["--epochs", "1", "--train-size", "20", "--batch-size", "10", "--seeds", "2"]
    assert main(["compare", "none", "cutmix", *short, "--workers", "1", "--out", str(out)]) == 0
    return out


def test_every_evaluation_has_a_section_and_a_test_of_its_own() -> None:
    assert list(SECTIONS) == list(PARTS)
    assert [word.partition(":")[0] for word in TINY.split()] == list(PARTS)


def test_a_comparison_through_everything(
    comparison: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(comparison), "--weights", "raw", "--test-size", "30"]
    words += ["--only", TINY, "--out", str(tmp_path)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "[44/44]" in shown
    record = json.loads((tmp_path / "evaluation.json").read_text())
    assert record["test_images"] == 30
    by_group: dict[str, list[dict[str, object]]] = {}
    for model in record["models"]:
        by_group.setdefault(model["group"], []).append(model)
    assert {key: len(models) for key, models in by_group.items()} == {
        "none raw": 2,
        "cutmix raw": 2,
    }
    for model in by_group["none raw"]:
        assert set(PARTS) - set(model["parts"]) == {"diversity", "fidelity"}  # it does not mix
        assert set(model["skipped"]) == {"diversity", "fidelity"}
    for model in by_group["cutmix raw"]:
        assert set(model["parts"]) == set(PARTS)
    page = (tmp_path / "report.html").read_text()
    for name in (*PARTS, "significance"):
        assert f'id="{name}"' in page, name
    assert "What was not measured" in page
    assert "No mixing: diversity, because" in page


def test_the_same_command_again_measures_nothing(
    comparison: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mixwright.lab.evaluation.accuracy import Accuracy

    words = ["evaluate", str(comparison), "--only", "accuracy", "--out", str(tmp_path)]
    assert main(words) == 0
    first = json.loads((tmp_path / "evaluation.json").read_text())["models"]
    monkeypatch.setattr(Accuracy, "measure", None)
    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().out.count("accuracy kept from before") == len(first)
    assert json.loads((tmp_path / "evaluation.json").read_text())["models"] == first


def test_a_model_of_the_users_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets_of_mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["--data", "digits", "--test-size", "20", "--only", "accuracy", "--out", "out"]
    assert main(["evaluate", "nets_of_mine:build", *words]) == 0
    assert "nets_of_mine:build is right on" in (tmp_path / "out" / "report.html").read_text()
    capsys.readouterr()
    assert main(["evaluate", "nets_of_mine:seven", *words]) == 2
    assert "tells 7 classes apart, the data has 10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("evaluate", "no model given; expected one or more"),
        ("evaluate resnet8 --data digits", "a network without weights"),
        ("evaluate nowhere/run", "there is no nowhere/run"),
        ("evaluate {run} --only acuracy", 'no evaluation "acuracy". Did you mean "accuracy"?'),
        ("evaluate {run} --only gap:imags=3", 'Gap has no option "imags". Did you mean "images"?'),
        ("evaluate {run} --only gap:images=-3", "images is -3"),
        ("evaluate {run} --test-size 900", "test size is 900; expected 1 to 797"),
        ("evaluate {run} --weights teacher", "no run has weights of the kind 'teacher'"),
        ("evaluate {run} --weight raw", 'Did you mean "--weights"?'),
    ],
)
def test_mistakes_are_told_in_a_line(
    comparison: Path, words: str, said: str, capsys: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(words.format(run=comparison).split()) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
