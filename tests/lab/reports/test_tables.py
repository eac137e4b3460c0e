"""Rounding, percent, units, and the one paragraph of judgement."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from mixwright.lab.analysis.comparison import Comparison
from mixwright.lab.reports.tables import facts, headline, run_rows
from mixwright.lab.reports.warnings import AlarmRow, alarm_rows

from lab.reports.fabricated import fabricate
from mixwright.lab.analysis.statistics import Interval, t_interval
from mixwright.lab.reports.caveats import caveats
from mixwright.lab.reports.formatting import (
    MINUS,
    NONE,
    TIMES,
    duration,
    joined,
    number,
    p_equals,
    p_value,
    percent,
    signed,
    spread,
    times,
)
from mixwright.lab.reports.verdict import verdict

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
    assert [p_value(p) for p in (1.0, 0.0996, 0.0994, 0.00100)] == [
        "1.00",
        "0.10",
        "0.099",
        "0.001",
    ]
    assert p_value(math.nan) == NONE
    assert (p_equals(0.2), p_equals(1e-5)) == ("p = 0.20", "p < 0.001")
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"


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


def against(record: Comparison, **found: tuple[float, float, float]) -> Comparison:
    """A record whose methods have these ends of an interval and this adjusted p-value."""
    methods = [
        replace(
            one,
            difference_raw=interval(*found[one.text][:2]),
            p={"raw": found[one.text][2] / 4},
            p_holm={"raw": found[one.text][2]},
        )
        if one.text in found
        else one
        for one in record.methods
    ]
    return replace(record, methods=tuple(methods))


def test_verdict_says_what_is_noise(tmp_path: Path) -> None:
    record = fabricate(tmp_path, methods=("none", "mixup", "cutmix", "fmix", "hmix"), seeds=3)
    record = against(
        record,
        mixup=(-0.01, 0.02, 1.0),
        cutmix=(0.01, 0.03, 0.0123),
        fmix=(-0.03, -0.01, 0.0004),
        hmix=(0.001, 0.03, 0.08),  # its interval alone leaves zero out
    )
    assert verdict(record) == (
        "Against no mixing, paired by seed and corrected for 4 methods (Holm): CutMix is ahead "
        f"(+2.0 ± 1.0 points, p_Holm = 0.012); FMix is behind ({MINUS}2.0 ± 1.0 points, p_Holm < "
        "0.001); MixUp and HMix are not distinguishable from no mixing at 3 seeds."
    )
    clear = [row.clear_raw for row in headline(record)]
    assert clear == ["", "", "ahead", "behind", ""]
    assert [row.p_raw for row in headline(record)] == [NONE, "1.00", "0.012", "< 0.001", "0.080"]
    assert "the interval of HMix leaves zero out; among 4 such" in " ".join(caveats(record))


def test_verdict_on_one_method_speaks_of_no_correction(tmp_path: Path) -> None:
    record = fabricate(tmp_path, methods=("none", "mixup"), seeds=3)
    said = verdict(against(record, mixup=(-0.01, 0.02, 0.5)))
    assert said == (
        "Against no mixing, paired by seed: MixUp is not distinguishable from no mixing at 3 seeds."
    )


def test_verdict_claims_nothing_without_adjusted_values(tmp_path: Path) -> None:
    record = fabricate(tmp_path, methods=("none", "mixup", "cutmix"), seeds=3)
    old = [replace(one, p={}, p_holm={}, difference_raw=interval(0.01, 0.02))
           for one in record.methods[1:]]  # fmt: skip
    record = replace(record, methods=(record.methods[0], *old))
    assert "so nothing is claimed" in verdict(record)
    assert not [row for row in headline(record) if row.clear_raw]
    unknown = against(record, mixup=(0.01, 0.02, math.nan))
    assert "ahead" not in verdict(unknown)


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
    assert "6 methods are compared with one baseline" in said
    assert "fewer than ten" not in said
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
    assert fmix.p_teacher == p_value(method.p_holm["teacher"])
    sure = {"p_holm": {"teacher": 0.01}, "difference_teacher": interval(0.01, 0.03)}
    ahead = replace(record, methods=(replace(method, **sure),))
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
    assert rows[0].median == percent(record.methods[0].runs[0].raw["top1"] - 0.002)
    said = facts(record)
    assert said.title == "1 mixing method, smallconv on digits"
    assert dict(said.rows)["Command"] == record.command
    assert "2 runs at a time" in dict(said.rows)["Cost"]
    assert "lr 0.05" in dict(said.rows)["Recipe"]
    assert "flip" not in dict(said.rows)["Recipe"]
    assert t_interval([run.raw["top1"] for run in record.methods[1].runs]).mean == pytest.approx(
        record.methods[1].raw["top1"].mean
    )
