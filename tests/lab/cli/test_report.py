"""``mixwright report``: pages made again from what is stored, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from torch import nn

from mixwright.lab.cli import main
from mixwright.lab.data import load
from mixwright.lab.experiments import methods, run
from mixwright.plan import MixPlan

SHORT = ["--epochs", "2", "--train-size", "20", "--batch-size", "10", "--seeds", "2"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison as the command leaves it: learned masks, a teacher, and what looks at models."""
    out = tmp_path_factory.mktemp("compared")
    methods = ("none", "cutmix", "saliencymix", "automix:layer=layer2")
    assert main(["compare", *methods, *SHORT, "--workers", "1", "--out", str(out)]) == 0
    return out


@pytest.fixture
def stored(compared: Path, tmp_path: Path) -> Path:
    """The record and its arrays alone: no run folders, figures, logs or page."""
    for name in ("comparison.json", "comparison.npz"):
        shutil.copy(compared / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("which", ["", "comparison.json"])
def test_the_page_has_the_bytes_that_compare_wrote(
    compared: Path, stored: Path, which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(stored / which)]) == 0
    assert capsys.readouterr().out == f"report  {stored / 'report.html'}\n"
    assert (stored / "report.html").read_bytes() == (compared / "report.html").read_bytes()
    figures = {path.name: path.read_bytes() for path in (compared / "figures").iterdir()}
    assert {path.name: path.read_bytes() for path in (stored / "figures").iterdir()} == figures
    assert "diagnostics-automix-layer-layer2.png" in figures
    page = (stored / "report.html").read_text()
    assert page.count('alt="mixed image"') == 3 * 5
    assert "What the mixer did" in page


def test_no_data_no_network_and_no_method_are_asked_for(
    compared: Path, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a page needs none of this")

    monkeypatch.setattr(load, "load_data", refuse)
    monkeypatch.setattr(run, "load_data", refuse)
    monkeypatch.setattr(nn.Module, "__init__", refuse)
    monkeypatch.setattr(methods, "parse_method", refuse)
    monkeypatch.setattr(MixPlan, "__init__", refuse)
    assert main(["report", str(stored)]) == 0
    assert (stored / "report.html").read_bytes() == (compared / "report.html").read_bytes()


def test_several_records_at_once(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(stored, stored / "other")
    assert main(["report", str(stored), str(stored / "other")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert (stored / "other" / "report.html").is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "comparison.json: not JSON"),
        ("[1]", "no record of ours"),
        ('{"format": 7}', "its format is 7; this version reads formats 1, 2 and 3"),
        ('{"format": 2, "kind": "comparison"}', "comparison.json"),
        ('{"format": 1, "methods": [{"text": "none"}]}', "comparison.json"),
    ],
)
def test_records_that_cannot_be_read(
    tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "comparison.json").write_text(text)
    assert main(["report", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("mixwright report: ")
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("lost", ["part", "groups", "intervals"])
def test_a_record_that_lost_something_is_damaged(
    stored: Path, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((stored / "comparison.json").read_text())
    scores = record["parts"]["scores"]
    if lost == "part":
        record["parts"] = {}
    elif lost == "groups":
        scores["groups"] = []
    else:
        scores["groups"][0]["intervals"] = {}
    (stored / "comparison.json").write_text(json.dumps(record))
    assert main(["report", str(stored)]) == 2
    error = capsys.readouterr().err
    assert "comparison.json: damaged" in error
    assert "Make the record again." in error
    assert len(error.strip().splitlines()) == 1


def test_a_part_of_a_later_version_is_named(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((stored / "comparison.json").read_text())
    record["parts"]["dreams"] = record["parts"]["scores"]
    (stored / "comparison.json").write_text(json.dumps(record))
    assert main(["report", str(stored)]) == 2
    error = capsys.readouterr().err
    assert "a part 'dreams', which this version cannot show" in error
    assert len(error.strip().splitlines()) == 1


def test_a_record_of_others_writes_nothing_outside_its_folder(stored: Path) -> None:
    record = json.loads((stored / "comparison.json").read_text())
    for part in record["parts"].values():
        for group in part["groups"]:
            if group["method"].startswith("automix"):
                group["slug"] = "../../../outside/evil"
    inner = stored / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "comparison.json").write_text(json.dumps(record))
    shutil.copy(stored / "comparison.npz", inner)
    assert main(["report", str(inner)]) == 0
    assert not list(stored.rglob("evil*"))
    assert (inner / "figures" / "diagnostics-..-..-..-outside-evil.png").is_file()


@pytest.mark.parametrize("end", [(10, 77), (8, 1)], ids=["compression", "encrypted"])
def test_arrays_that_cannot_be_read_are_as_if_gone(stored: Path, end: tuple[int, int]) -> None:
    file = stored / "comparison.npz"
    damaged = bytearray(file.read_bytes())
    damaged[damaged.rindex(b"PK\x01\x02") + end[0]] = end[1]
    file.write_bytes(damaged)
    assert main(["report", str(stored)]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no record given"),
        (["nowhere"], "nowhere: no such file or folder"),
        (["."], "holds none of comparison.json, evaluation.json, theory.json"),
        (["result.json"], "no record of ours"),
    ],
)
def test_mistakes_end_in_one_line(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "result.json").write_text(json.dumps({"seed": 1}))
    assert main(["report", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
