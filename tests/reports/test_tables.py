"""Rounding, percent, units, and the one paragraph of judgement."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from mixwright.evaluation.statistics import Interval, t_interval
from mixwright.reports.alarms import AlarmRow, alarm_rows
from mixwright.reports.caveats import caveats
from mixwright.reports.tables import (
    MINUS,
    NONE,
    TIMES,
    duration,
    facts,
    headline,
    number,
    percent,
    run_rows,
    signed,
    spread,
    times,
    verdict,
)
from reports.fabricated import fabricate

NO_END = Interval(0.5, math.nan, math.nan, 1, math.nan)


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 3, 0.0)


def test_numbers() -> None:
    assert percent(0.86949) == "86.9"
    assert percent(1.0) == "100.0"
    assert number(-0.04, 1) == "0.0"
    assert number(-2.25, 2) == f"{MINUS}2.25"
    assert number(math.nan, 1) == number(None, 3) == NONE
    assert spread(interval(0.85, 0.87)) == "86.0 ± 1.0"
    assert spread(interval(0.5, 0.6), digits=3, scale=1) == "0.550 ± 0.050"
    assert spread(NO_END) == "50.0"
    assert spread(None) == NONE
    assert signed(interval(0.01, 0.03)) == "+2.0 ± 1.0"
    assert signed(interval(-0.03, -0.01)) == f"{MINUS}2.0 ± 1.0"
    assert signed(None) == NONE
    assert times(1.0449) == f"1.04{TIMES}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "12.3 ms"),
        (4.24, "4.2 s"),
        (59.4, "59 s"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_verdict_says_what_is_noise(tmp_path: Path) -> None:
    record = fabricate(tmp_path, methods=("none", "mixup", "cutmix", "fmix"), seeds=3)
    none, mixup, cutmix, fmix = record.methods
    record = replace(
        record,
        methods=(
            none,
            replace(mixup, difference_raw=interval(-0.01, 0.02)),
            replace(cutmix, difference_raw=interval(0.01, 0.03)),
            replace(fmix, difference_raw=interval(-0.03, -0.01)),
        ),
    )
    said = verdict(record)
    assert "CutMix (+2.0 ± 1.0 points) is ahead beyond seed noise" in said
    assert f"FMix ({MINUS}2.0 ± 1.0 points) is behind beyond seed noise" in said
    assert "MixUp cannot be told from it" in said
    assert "paired over 3 seeds" in said
    clear = [(row.text, row.clear_raw) for row in headline(record)]
    assert clear == [("none", ""), ("mixup", ""), ("cutmix", "ahead"), ("fmix", "behind")]


def test_verdict_without_ground_to_judge(tmp_path: Path) -> None:
    one = fabricate(tmp_path, methods=("none", "mixup"), seeds=1)
    assert "One seed gives no interval" in verdict(one)
    assert "no differences to judge" in verdict(fabricate(tmp_path, methods=("mixup",)))
    assert "nothing to compare" in verdict(fabricate(tmp_path, methods=("none",)))


def test_caveats_follow_the_record(tmp_path: Path) -> None:
    record = fabricate(tmp_path, seeds=3)
    said = " ".join(caveats(record))
    assert "Student's t over 3 seeds" in said
    assert "worse than without mixing for 6 of 6" in said  # made so by fabricate
    assert "up to 2 runs shared the machine" in said
    assert "after the 80 steps of such a run it spans about the last 10" in said
    alone = " ".join(caveats(replace(record, parallel=1)))
    assert "shared the machine" not in alone


def test_teachers_have_cells_of_their_own(tmp_path: Path) -> None:
    record = fabricate(tmp_path, methods=("none", "mixup", "fmix"), taught=("fmix",))
    none, mixup, fmix = headline(record)
    for row in (none, mixup):
        assert (row.teacher, row.against_teacher, row.ece[2], row.nll[2]) == (NONE,) * 4
    method = record.methods[2]
    assert fmix.teacher == spread(method.teacher["top1"])
    assert fmix.against_teacher == signed(method.difference_teacher)
    assert fmix.ece[2] == "2.0 ± 0.0"
    assert fmix.nll[2].startswith("0.450")
    ahead = replace(record, methods=(replace(method, difference_teacher=interval(0.01, 0.03)),))
    assert [row.clear_teacher for row in headline(ahead)] == ["ahead"]
    assert [row.teacher == NONE for row in run_rows(record)] == [True] * 6 + [False] * 3
    assert "own teacher averages weights too" in " ".join(caveats(record))


def test_alarms_name_method_seeds_and_epochs(tmp_path: Path) -> None:
    record = fabricate(tmp_path, methods=("none", "fmix"), taught=("fmix",), seeds=2)
    runs = record.methods[1].runs
    other = {"said": "too large", "first": 9, "last": 9}
    runs = (runs[0], replace(runs[1], alarms=[*runs[1].alarms, other]))
    record = replace(record, methods=(record.methods[0], replace(record.methods[1], runs=runs)))
    assert alarm_rows(record) == [
        AlarmRow("FMix", "fmix", "seed 0, epoch 3; seed 1, epochs 3 to 4", "masks <vary> by 0.002"),
        AlarmRow("FMix", "fmix", "seed 1, epoch 9", "too large"),
    ]
    assert alarm_rows(fabricate(tmp_path, methods=("none", "fmix"))) == []


def test_rows_and_facts(tmp_path: Path) -> None:
    record = fabricate(tmp_path, methods=("none", "mixup"), seeds=2)
    rows = run_rows(record)
    assert [(row.label, row.seed) for row in rows] == [
        ("No mixing", "0"), ("No mixing", "1"), ("MixUp", "0"), ("MixUp", "1"),
    ]  # fmt: skip
    assert rows[0].best.endswith("(epoch 18)")
    said = facts(record)
    assert said.title == "1 mixing method, smallconv on digits"
    assert dict(said.rows)["Command"] == record.command
    assert "2 runs at a time" in dict(said.rows)["Cost"]
    assert "lr 0.05" in dict(said.rows)["Recipe"]
    assert "flip" not in dict(said.rows)["Recipe"]
    assert t_interval([run.raw["top1"] for run in record.methods[1].runs]).mean == pytest.approx(
        record.methods[1].raw["top1"].mean
    )
