"""Grids of METHODs: how they are written, and the tidy table of their runs."""

from __future__ import annotations

import csv
import json
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.reports.fabricated import fabricate
from mixwright.lab.analysis.store import tidy_table, write_findings
from mixwright.lab.analysis.sweep import Sweeps
from mixwright.lab.experiments.alternatives import alternatives
from mixwright.lab.experiments.comparing import options_by_method
from mixwright.lab.experiments.methods import parse_method, parse_methods
from mixwright.lab.settings import decode


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("none", ["none"]),
        ("cutmix:alpha=0.2|1", ["cutmix:alpha=0.2", "cutmix:alpha=1"]),
        ("cutmix:alpha= 0.2 | 1 ", ["cutmix:alpha=0.2", "cutmix:alpha=1"]),
        (
            "miamix:layers=1|2,p_self=0,merge=sum|sequential",
            [
                "miamix:layers=1,p_self=0,merge=sum",
                "miamix:layers=1,p_self=0,merge=sequential",
                "miamix:layers=2,p_self=0,merge=sum",
                "miamix:layers=2,p_self=0,merge=sequential",
            ],
        ),
        ("mixup:alpha=1e+1|2+cutmix", ["mixup:alpha=1e+1+cutmix", "mixup:alpha=2+cutmix"]),
        ("a.b:Mine:x=1|2", ["a.b:Mine:x=1", "a.b:Mine:x=2"]),
        ("adautomix:sources=2|3|2-4", [f"adautomix:sources={n}" for n in ("2", "3", "2-4")]),
        ("trained:run=a|b", ["trained:run=a", "trained:run=b"]),
    ],
)
def test_values_are_written_out(text: str, several: list[str]) -> None:
    assert alternatives(text) == several


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cutmix:alpha=0.2|", "a value is missing beside a |"),
        ("cutmix:alpha=|1", "a value is missing beside a |"),
        ("cutmix:alpha=0.2||1", "a value is missing beside a |"),
        ("cutmix:alpha=|", "a value is missing"),
        ("cutmix|mixup", "one after another, with spaces"),
        ("cutmix|mixup:alpha=1", "stands between values"),
        ("cutmix:alpha|box=1", "cannot read"),
        ("cutmix:alpha=1,per|box", "cannot read"),
        ("cutmix:alpha=0.2|wide", "alpha=wide"),
    ],
)
def test_what_is_no_alternative(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_methods([text])
    assert message in str(caught.value)


def test_a_grid_is_several_methods_and_never_one() -> None:
    methods = parse_methods(["none", "miamix:p_self=0|0.05|0.1", "miamix:p_self=0.05"])
    assert [method.text for method in methods] == [
        "none", "miamix:p_self=0", "miamix:p_self=0.05", "miamix:p_self=0.1",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="stands for 2 methods; expected one"):
        parse_method("cutmix:alpha=0.2|1")


TEXTS = ("none", "miamix", "miamix:p_self=0.5,weights=1;1;1;1;2", "mixup+cutmix:alpha=0.5")


def test_one_row_a_part_run_set_of_weights_and_measure(tmp_path: Path) -> None:
    made = fabricate(tmp_path, methods=TEXTS, seeds=2, taught=("miamix",))
    write_findings(tmp_path, *made)
    with (tmp_path / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "part", "method", "name", "weights", "seed",
        "cutmix.alpha", "miamix.p_self", "miamix.weights", "measure", "value",
    ]  # fmt: skip
    keys = [
        tuple(row[head] for head in ("part", "method", "weights", "seed", "measure"))
        for row in rows
    ]
    assert len(set(keys)) == len(keys)
    assert {row["part"] for row in rows} == {"scores", "cost"}
    value = dict(zip(keys, (float(row["value"]) for row in rows), strict=True))
    # Two seeds of three methods with two sets of weights, and of one with three.
    tops = [key for key in keys if key[0] == "scores" and key[-1] == "top1"]
    assert len(tops) == 2 * (2 + 3 + 2 + 2)
    assert [key[2] for key in tops if key[1] == "miamix" and key[3] == "1"] == [
        "raw", "ema", "teacher",
    ]  # fmt: skip
    (run,) = (tmp_path / "runs").glob("miamix-s1-*")
    result = json.loads((run / "result.json").read_text())
    for weights, scores in result["scores"].items():
        for measure in ("top1", "top5", "nll", "ece", "count"):
            assert value["scores", "miamix", weights, "1", measure] == scores[measure]
        best = result["best"].get(weights, {})
        for measure, number in best.items():
            assert value["scores", "miamix", weights, "1", f"best.{measure}"] == number
    assert value["cost", "miamix", "", "1", "step_seconds"] == result["step_seconds"]
    assert value["cost", "miamix", "", "1", "seconds"] == result["seconds"]
    # What a METHOD leaves out is the default of its class, and nothing of other methods.
    shown = {(row["method"], row["miamix.p_self"], row["cutmix.alpha"]) for row in rows}
    assert shown == {
        ("none", "", ""),
        ("miamix", "0.1", ""),
        (TEXTS[2], "0.5", ""),
        (TEXTS[3], "", "0.5"),
    }
    assert {row["miamix.weights"] for row in rows} == {"", "2;1;1;1;1", "1;1;1;1;2"}
    assert {row["name"] for row in rows if row["method"] == "none"} == {"No mixing"}
    assert not list(tmp_path.glob("*.part"))


def test_values_have_all_their_digits(tmp_path: Path) -> None:
    findings, _ = fabricate(tmp_path, methods=("none",), seeds=1)
    rows = [line.split(",") for line in tidy_table(findings).splitlines()[1:]]
    (top1,) = (row[-1] for row in rows if (row[3], row[-2]) == ("raw", "top1"))
    # The first two draws of the generator behind the made-up scores.
    draw = random.Random(7)
    assert top1 == repr(0.86 + 0.01 * draw.random() + 0.0 * draw.random())


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (("none", "miamix:p_self=0.2", "miamix:p_self=0"), [("miamix", "p_self", [0.0, 0.2])]),
        (("miamix", "miamix:p_self=0"), [("miamix", "p_self", [0.0, 0.1])]),  # its default
        (("cutmix", "cutmix:box=fit"), []),  # no number
        (("cutmix", "cutmix:alpha=0.2,box=fit"), []),  # two options
        (("cutmix:alpha=1", "mixup:alpha=2"), []),
        (("cutmix:alpha=1", "cutmix"), []),  # the same value
        (
            ("cutmix:alpha=1,box=fit", "cutmix:alpha=3,box=fit", "hmix:alpha=1", "hmix:alpha=2"),
            [("cutmix", "alpha", [1.0, 3.0]), ("hmix", "alpha", [1.0, 2.0])],
        ),
        (("mixup+cutmix:alpha=1", "mixup+cutmix:alpha=2"), []),
    ],
)
def test_methods_that_differ_in_one_number(tmp_path: Path, texts, found) -> None:
    made, _ = fabricate(tmp_path, methods=texts, seeds=1)
    sweeps = decode(Sweeps, made.parts["sweep"].numbers, where="here").sweeps
    assert [(sweep.name, sweep.option, [*sweep.values]) for sweep in sweeps] == found
    for sweep in sweeps:
        for value, text in zip(sweep.values, sweep.methods, strict=True):
            assert text in texts
            assert f"{sweep.option}={value:g}" in text or text == sweep.name


class Own:
    """A mixer of one's own."""

    def __init__(self, x: int = 7, y: int = 2) -> None: ...

    def plan(self, images, labels=None, *, generator, model=None): ...


def test_options_of_classes_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "owns.here", SimpleNamespace(Own=Own))
    methods = [parse_method(text) for text in ("owns.here:Own:x=1", "owns.here:Own")]
    assert options_by_method(methods) == {
        "owns.here:Own:x=1": {"owns.here:Own.x": "1"},
        "owns.here:Own": {"owns.here:Own.x": "7"},
    }
    assert options_by_method([parse_method("owns.here:Own")]) == {"owns.here:Own": {}}
