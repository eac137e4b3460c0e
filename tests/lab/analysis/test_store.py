"""Findings in files: what was written is read, whatever is missing in it."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.reports.cells import csv_rows
from lab.reports.pages import ABOUT, made_group
from mixwright.lab.analysis.findings import Failure, Findings, Group, Part
from mixwright.lab.analysis.measures import with_statistics
from mixwright.lab.analysis.statistics import Contrast, Interval
from mixwright.lab.analysis.store import (
    arrays_beside,
    read_arrays,
    read_findings,
    tidy_table,
    write_findings,
)


def same(one: Any, other: Any) -> bool:
    """Equal in type and value, however deep; NaN equals NaN."""
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    if type(one) is not type(other):
        return False
    if dataclasses.is_dataclass(one):
        return all(
            same(getattr(one, field.name), getattr(other, field.name))
            for field in dataclasses.fields(one)
        )
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def findings(groups: tuple[Group, ...], **more: Any) -> Findings:
    parts = {"scores": Part(groups=groups, options={"bins": [15, 30]}, numbers={"ranking": None})}
    return Findings(kind="comparison", about=dataclasses.replace(ABOUT, **more), parts=parts)


SEVERAL = with_statistics(
    [
        made_group("none", "raw", [{"top1": 0.5, "best": {"epoch": 3}}, {"top1": 0.7}],
                   baseline=True),
        made_group("none", "ema", [{"top1": 0.6}, {"top1": 0.7}], baseline=True),
        made_group("mixup", "raw", [{"top1": 0.6, "top5": None, "note": "x"}, {"top1": 0.9}]),
        made_group("mixup", "teacher", [{"top1": 0.8}, {"top1": 0.9}]),
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    "groups",
    [
        SEVERAL,
        with_statistics([made_group("mixup", "raw", [{"top1": 0.5}])]),  # one seed, no baseline
        with_statistics([made_group("own", "", [{"top1": 0.5}], seeds=[None])]),
        (),
    ],
    ids=["teacher", "one seed", "no seed", "nothing"],
)
def test_what_is_written_is_read(tmp_path: Path, groups: tuple[Group, ...]) -> None:
    made = findings(
        groups,
        recipe={"epochs": 3, "flip": None, "lr": 0.1},
        commit=None,
        failures=(Failure(name="x, seed 1", error="a\nb"),),
        skipped=("a, because b",),
        details={"options": {}, "model": None, "parallel": 2},
    )
    assert same(read_findings(write_findings(tmp_path, made, {})), made)
    assert same(read_findings(tmp_path), made)
    text = (tmp_path / "comparison.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text)["format"] == 3


def test_what_is_unknown_is_nan_again(tmp_path: Path) -> None:
    (group,) = with_statistics([made_group("mixup", "raw", [{"top1": 0.5}])])
    unknown = Contrast(interval=Interval(0.1, math.nan, math.nan, 1, math.nan), p=math.nan,
                       own=0.5, baseline=0.4, above=1, below=0)  # fmt: skip
    group = dataclasses.replace(group, differences={"top1": unknown})
    (read,) = read_findings(write_findings(tmp_path, findings((group,)), {})).parts["scores"].groups
    assert same(read.differences["top1"], unknown)
    assert math.isnan(read.intervals["top1"].low)
    assert read.intervals["top1"].mean == 0.5


def test_a_teacher_is_compared_with_the_average_of_the_baseline(tmp_path: Path) -> None:
    read = read_findings(write_findings(tmp_path, findings(SEVERAL), {})).parts["scores"]
    mixup, own = read.groups[2], read.groups[3]
    assert mixup.differences["top1"].interval.mean == pytest.approx(0.15)  # to 0.5 and 0.7
    assert own.differences["top1"].interval.mean == pytest.approx(0.2)  # to 0.6 and 0.7


def test_arrays_keep_their_types_and_names(tmp_path: Path) -> None:
    arrays = {
        "samples/a.b:Mine:x=1,y=2/0/mask": torch.arange(12, dtype=torch.uint8).view(3, 2, 2),
        "gradients/none raw/map": torch.tensor([[0.25, math.nan]]),
        "diagnostics/a/index": torch.tensor([3, -1]),
    }
    path = write_findings(tmp_path, findings(SEVERAL), arrays)
    read = read_arrays(arrays_beside(path))
    assert read is not None
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        torch.testing.assert_close(read[name], array, equal_nan=True, rtol=0, atol=0)


def test_measured_tensors_are_not_in_the_record(tmp_path: Path) -> None:
    group = made_group("mixup", "raw", [{"top1": 0.5}], [{"correct": torch.ones(3)}])
    path = write_findings(tmp_path, findings((group,)), {})
    assert "correct" not in path.read_text()
    assert "arrays" not in json.loads(path.read_text())["parts"]["scores"]["groups"][0]


def test_the_tidy_table_has_each_number_once() -> None:
    rows = csv_rows(tidy_table(findings(SEVERAL)))
    found = {
        (row["method"], row["weights"], row["seed"], row["measure"]): row["value"] for row in rows
    }
    assert len(found) == len(rows) == 9
    assert found["mixup", "raw", "1", "top1"] == "0.9"
    assert found["none", "raw", "0", "best.epoch"] == "3.0"
    assert ("mixup", "raw", "0", "top5") not in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"comparison\.json: not JSON"),
        ("{", r"comparison\.json: not JSON"),
        ("[" * 100_000 + "]" * 100_000, r"comparison\.json: not JSON"),
        ("[" + "1" * 5000 + "]", r"comparison\.json: not JSON"),
        ("[]", "no record of ours"),
        ('{"format": 99}', "its format is 99; this version reads formats 1, 2 and 3"),
        ('{"format": 2, "kind": "comparison"}', r"comparison\.json.*about"),
        ('{"format": 3, "kind": "comparison"}', r"comparison\.json.*about"),
        ('{"format": 2, "kind": 3, "about": {}, "parts": {}}', r"comparison\.json.*kind"),
    ],
)
def test_files_that_are_no_records(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "comparison.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_findings(tmp_path)


def test_folders_without_a_record(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere: no such file or folder"):
        read_findings(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds none of comparison\.json, evaluation\.json"):
        read_findings(tmp_path)


def test_two_kinds_of_findings_share_a_folder(tmp_path: Path) -> None:
    """``evaluate X --out X`` leaves the arrays and the table of the comparison alone."""
    first = write_findings(tmp_path, findings(SEVERAL), {"samples/a": torch.tensor([1])})
    table = first.with_suffix(".csv").read_bytes()
    other = dataclasses.replace(findings(SEVERAL), kind="evaluation", parts={})
    write_findings(tmp_path, other, {"cam/b": torch.tensor([2])})
    assert list(read_arrays(arrays_beside(first)) or {}) == ["samples/a"]
    assert first.with_suffix(".csv").read_bytes() == table


def test_names_that_are_not_utf8_are_written_and_read_again(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xe7\x8b\x97")
    group = dataclasses.replace(made_group("none", "", [{"top1": 0.5}]), key=name, label=name)
    about = dataclasses.replace(ABOUT, data=dataclasses.replace(ABOUT.data, classes=(name, "b")))
    findings = Findings(kind="evaluation", about=about, parts={name: Part(groups=(group,))})
    arrays = {f"{name}/{name}/map": torch.arange(3)}
    path = write_findings(tmp_path, findings, arrays)
    found = read_findings(path)
    assert found.about.data.classes == (name, "b")
    assert found.parts[name].groups[0].key == name
    stored = read_arrays(arrays_beside(path))
    assert stored is not None
    assert list(stored) == list(arrays)
    text = path.with_suffix(".csv").read_text(encoding="utf-8")
    assert "caf\\udce9 \N{CJK UNIFIED IDEOGRAPH-72D7}" in text
