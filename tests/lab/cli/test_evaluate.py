"""``mixwright evaluate`` on models of every kind, through every evaluation."""

from __future__ import annotations

import contextlib
import io
import json
import math
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from scipy import stats

from lab.reports.cells import MINUS, csv_rows, half_widths, missing, numbers_in, tables
from mixwright.lab.analysis.store import read_findings
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
    for name in PARTS:
        assert callable(import_module(f"mixwright.lab.reports.sections.{name}").write)
    assert [word.partition(":")[0] for word in TINY.split()] == list(PARTS)


@pytest.fixture(scope="module")
def through(comparison: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with everything that is measured of a comparison, and what was printed."""
    out, printed = tmp_path_factory.mktemp("evaluation"), io.StringIO()
    words = ["evaluate", str(comparison), "--weights", "raw", "--test-size", "30"]
    with contextlib.redirect_stdout(printed):
        assert main([*words, "--only", TINY, "--out", str(out)]) == 0
    return out, printed.getvalue()


def test_a_comparison_through_everything(through: tuple[Path, str]) -> None:
    out, shown = through
    assert "[44/44]" in shown
    findings = read_findings(out)
    assert findings.about.data.test == 30
    assert [*findings.parts] == list(PARTS)
    for name, part in findings.parts.items():
        mixing = name in ("diversity", "fidelity")  # no mixing does not mix
        assert {group.key: group.seeds for group in part.groups} == (
            {} if mixing else {"none raw": (0, 1)}
        ) | {"cutmix raw": (0, 1)}
    assert {sentence.partition(", because")[0] for sentence in findings.about.skipped} == {
        "No mixing: diversity",
        "No mixing: fidelity",
    }
    page = (out / "report.html").read_text()
    for name in (*PARTS, "significance"):
        assert f'id="{name}"' in page, name
    assert "What was not measured" in page
    assert "No mixing: diversity, because" in page


def test_every_number_in_the_tables_stands_in_the_record(through: tuple[Path, str]) -> None:
    out, _ = through
    record = json.loads((out / "evaluation.json").read_text())
    found = tables((out / "report.html").read_text())
    assert len(found) >= len(PARTS)
    for part, words in (("accuracy", "For new runs"), ("accuracy", "For new images")):
        (rows,) = (rows for heads, rows in found if heads[0] == words)
        stored = [*numbers_in(record["parts"][part])]
        for row in rows:
            assert row[0] == "CutMix"
            for cell in row[1:]:
                assert missing(cell, [*stored, *half_widths(record), 30, 2]) == [], (words, cell)
    stored = [*numbers_in(record), *half_widths(record)]
    for heads, rows in found:
        for row in rows:
            for cell in row[1:]:
                assert missing(cell, stored) == [], (heads, cell)


def test_differences_and_their_tests_are_those_worked_out_by_hand(
    through: tuple[Path, str],
) -> None:
    out, _ = through
    record = json.loads((out / "evaluation.json").read_text())
    none, cutmix = (
        [run["top1"] for run in group["summaries"]]
        for group in record["parts"]["accuracy"]["groups"]
    )
    gains = [own - base for own, base in zip(cutmix, none, strict=True)]
    ((family,),) = [[one["methods"] for one in record["parts"]["accuracy"]["numbers"]["families"]]]
    (method,) = family
    assert (method["key"], method["baseline"]) == ("cutmix raw", "none raw")
    found = record["parts"]["accuracy"]["groups"][1]["differences"]["top1"]
    assert found["interval"]["mean"] == pytest.approx(sum(gains) / 2)
    p = float(stats.ttest_1samp(gains, 0).pvalue)
    if math.isfinite(p):  # equal gains say nothing
        assert found["p"] == pytest.approx(p)
    low, high = method["crossed"]["low"], method["crossed"]["high"]
    assert low <= method["crossed"]["mean"] <= high
    assert 0 < method["p_images"] <= 1
    page = (out / "report.html").read_text()
    ((row,),) = [rows for heads, rows in tables(page) if heads[0] == "For new images"]
    points = [f"{100 * end:+.2f}".replace("-", MINUS) for end in (low, high)]
    points = [text.replace("+0.00", "0.00") for text in points]
    assert row[3] == " to ".join(points)


def test_each_measure_of_each_run_is_in_one_row(through: tuple[Path, str]) -> None:
    out, _ = through
    rows = csv_rows((out / "evaluation.csv").read_text())
    keys = [
        tuple(row[name] for name in ("part", "method", "seed", "weights", "measure"))
        for row in rows
    ]
    assert len(set(keys)) == len(keys)
    assert {key[0] for key in keys} == set(PARTS)
    assert {key[1:4] for key in keys} == {
        (method, seed, "raw") for method in ("none", "cutmix") for seed in "01"
    }
    values = dict(zip(keys, (float(row["value"]) for row in rows), strict=True))
    record = json.loads((out / "evaluation.json").read_text())
    for group in record["parts"]["accuracy"]["groups"]:
        for seed, summary in zip(group["seeds"], group["summaries"], strict=True):
            key = ("accuracy", group["method"], str(seed), "raw", "top1")
            assert values[key] == summary["top1"]


def test_its_page_is_made_again_byte_for_byte(
    through: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the record and its arrays alone: no run folder, no figures, nothing measured."""
    out, _ = through
    for name in ("evaluation.json", "evaluation.npz"):
        shutil.copy(out / name, tmp_path / name)
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"report  {tmp_path / 'report.html'}\n"
    assert (tmp_path / "report.html").read_bytes() == (out / "report.html").read_bytes()
    figures = {path.name: path.read_bytes() for path in (out / "figures").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()} == figures


def test_the_same_command_again_measures_nothing(
    comparison: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mixwright.lab.evaluation.accuracy import Accuracy

    words = ["evaluate", str(comparison), "--only", "accuracy", "--out", str(tmp_path)]
    assert main(words) == 0
    first = json.loads((tmp_path / "evaluation.json").read_text())["parts"]
    monkeypatch.setattr(Accuracy, "measure", None)
    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().out.count("accuracy kept from before") == 8  # 2 x 2 runs, 2 sets
    assert json.loads((tmp_path / "evaluation.json").read_text())["parts"] == first


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


def test_a_run_is_tested_on_the_centres_that_it_was_tested_on(tmp_path: Path) -> None:
    words = ["none", "--epochs", "1", "--train-size", "20", "--batch-size", "10"]
    run, out = tmp_path / "run", tmp_path / "out"
    assert main(["train", *words, "--centre-crop", "0.25", "--out", str(run)]) == 0
    only = ["--only", "accuracy", "--weights", "raw", "--out", str(out)]
    assert main(["evaluate", str(run), *only]) == 0
    findings = read_findings(out)
    assert "the square of 25 % of the area in the centre" in findings.about.data.note
    (group,) = findings.parts["accuracy"].groups
    wanted = json.loads((run / "result.json").read_text())["scores"]["raw"]["top1"]
    assert group.first["top1"] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("evaluate", "no model given; expected one or more"),
        ("evaluate resnet8 --data digits", "a network without weights"),
        ("evaluate {run}/comparison.json", "The page of a record is made by mixwright report"),
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
