"""Grids of METHODs: how they are written, and the tidy table of their runs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from mixwright.lab.experiments.sweep import options_of, run_rows, sweeps, write_runs

from lab.reports.fabricated import fabricate
from mixwright.lab.experiments.alternatives import alternatives
from mixwright.lab.experiments.methods import parse_method, parse_methods


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


def test_one_row_a_run_and_set_of_weights(tmp_path: Path) -> None:
    texts = ("none", "miamix", "miamix:p_self=0.5,weights=1;1;1;1;2", "mixup+cutmix:alpha=0.5")
    record = fabricate(tmp_path, methods=texts, seeds=2, taught=("miamix",))
    write_runs(tmp_path / "runs.csv", record)
    with (tmp_path / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "method", "cutmix.alpha", "miamix.p_self", "miamix.weights", "seed", "weights",
        "top1", "nll", "ece", "step_seconds", "seconds",
    ]  # fmt: skip
    assert len(rows) == 2 * (2 + 3 + 2 + 2)
    first = record.methods[1].runs[1]
    found = [row for row in rows if row["method"] == "miamix" and row["seed"] == "1"]
    assert [row["weights"] for row in found] == ["raw", "ema", "teacher"]
    assert [float(row["top1"]) for row in found] == [
        first.raw["top1"], first.ema["top1"], first.teacher["top1"],
    ]  # fmt: skip
    assert float(found[0]["step_seconds"]) == first.step_seconds
    # What a METHOD leaves out is the default of its class, and nothing of other methods.
    shown = {(row["method"], row["miamix.p_self"], row["cutmix.alpha"]) for row in rows}
    assert shown == {
        ("none", "", ""),
        ("miamix", "0.1", ""),
        (texts[2], "0.5", ""),
        (texts[3], "", "0.5"),
    }
    assert {row["miamix.weights"] for row in rows} == {"", "2;1;1;1;1", "1;1;1;1;2"}
    assert not list(tmp_path.glob("*.part"))


def test_rows_are_numbers_where_they_are_numbers(tmp_path: Path) -> None:
    rows = run_rows(fabricate(tmp_path, methods=("none",), seeds=1))
    assert {type(rows[0][name]) for name in ("top1", "nll", "ece", "seconds")} == {float}
    assert rows[0]["seed"] == 0


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
    record = fabricate(tmp_path, methods=texts, seeds=2)
    told = [(s.name, s.option, [v for v, _ in s.points]) for s in sweeps(record.methods)]
    assert told == found


def test_options_of_classes_of_ones_own() -> None:
    assert options_of("a.b:Mine:x=1,y=2") == {"a.b:Mine.x": "1", "a.b:Mine.y": "2"}
    assert options_of("a.b:Mine") == {}
