"""Tables on consoles of all widths: nothing is cut."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import pytest
from rich.console import Console

from lab.reports.fabricated import (
    LABELS,
    RECIPE,
    compared,
    costs,
    fabricate,
    finish,
    group_of,
    plan_runs,
    scores,
)
from mixwright.lab.analysis.findings import Findings, Group
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.bench.record import MixingRow, ShapeRecord, StepRecord, StepRow
from mixwright.lab.bench.timing import Timing
from mixwright.lab.cli import bench_tables
from mixwright.lab.cli.table import print_comparison, scores_table
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.reports.formatting import MINUS, NONE, TIMES


def cells_of(findings: Findings) -> list[list[str]]:
    """Every cell of the table, made here from what is stored: a row a method."""

    def spread(interval: Interval | None, digits: int = 1, scale: float = 100) -> str:
        if interval is None:
            return NONE
        half = scale * interval.half_width
        text = f"{scale * interval.mean:.{digits}f}" + (
            "" if math.isnan(half) else f" ± {half:.{digits}f}"
        )
        return text.replace("-", MINUS)

    def gain(group: Group | None) -> str:
        found = None if group is None else group.differences.get("top1")
        text = spread(found and found.interval)
        return text if text[0] in NONE + MINUS else f"+{text}"

    scores = findings.parts["scores"]
    teachers = any(group.weights == "teacher" for group in scores.groups)
    spent = findings.parts["cost"].numbers["methods"]
    steps = [1.0 if one["baseline"] else one["step"]["ratio"] for one in spent]
    rows: list[list[str]] = []
    for place, raw in enumerate(group for group in scores.groups if group.weights == "raw"):
        ema, own = (scores.group(f"{raw.method} {weights}") for weights in ("ema", "teacher"))
        assert ema is not None
        top1 = [spread(group and group.intervals["top1"]) for group in (raw, ema, own)]
        rows.append(
            [
                raw.method,
                *(top1[0], gain(raw), top1[1], gain(ema)),
                *((top1[2], gain(own)) if teachers else ()),
                *(spread(raw.intervals["ece"]), spread(raw.intervals["nll"], 3, 1)),
                f"{steps[place]:.2f}{TIMES}",
            ]
        )
    return rows


def shown(width: int, folder: Path, **settings: object) -> tuple[str, list[str]]:
    """What is printed, and every cell of it."""
    findings, _ = fabricate(folder / str(width), **settings)  # type: ignore[arg-type]
    console = Console(file=io.StringIO(), width=width)
    print_comparison(findings, console)
    cells = [cell for row in cells_of(findings) for cell in row]
    return console.file.getvalue(), cells  # type: ignore[attr-defined]


def test_every_cell_stands_in_its_column(tmp_path: Path) -> None:
    methods = ("none", "mixup", "fmix")
    findings, _ = fabricate(tmp_path, methods=methods, taught=("fmix",))
    console = Console(file=io.StringIO(), width=200)
    print_comparison(findings, console)
    lines = [line.strip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    head = next(line for line in lines if line.startswith("method"))
    assert re.split(r"\s{2,}", head) == [
        "method", "top-1 %", "to none", "EMA top-1 %", "EMA to none", "teacher top-1 %",
        "teacher to EMA of none", "ECE %", "NLL", "step",
    ]  # fmt: skip
    rows = [re.split(r"\s{2,}", line) for line in lines if line.startswith(methods)]
    assert rows == cells_of(findings)
    # By hand, as fabricate makes them: 3, 5 and 7 points; EMA and teacher have others.
    assert [row[-3:] for row in rows] == [
        ["3.0 ± 0.0", "0.500 ± 0.000", f"1.00{TIMES}"],
        ["5.0 ± 0.0", "0.540 ± 0.000", f"1.05{TIMES}"],
        ["7.0 ± 0.0", "0.580 ± 0.000", f"1.10{TIMES}"],
    ]
    tops = {
        method: [run["top1"] for run in group_of(findings, f"{method} raw").summaries]
        for method in methods
    }
    gain = 100 * (sum(tops["fmix"]) - sum(tops["none"])) / 3
    assert rows[2][2].startswith(f"+{gain:.1f} ± ")
    assert rows[2][6].startswith(f"+{gain + 0.6:.1f} ± ")  # 1 point better than raw, against 0.4


def test_each_difference_stands_beside_its_own_weights(tmp_path: Path) -> None:
    """EMA that gain elsewhere than trained weights: 10 and 3 points over those of no mixing."""
    runs = plan_runs(parse_methods(("none", "mixup")), RECIPE, seeds=1, out=tmp_path)
    finish(runs[0], scores(0.50, ece=0.11), scores(0.60, ece=0.22))
    finish(runs[1], scores(0.60, ece=0.33, nll=0.25), scores(0.63, ece=0.44, nll=0.75), step=0.015)
    console = Console(file=io.StringIO(), width=120)
    print_comparison(compared(tmp_path, runs, measured=costs({"mixup": 1.5}))[0], console)
    (row,) = (
        line
        for line in console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        if "mixup" in line
    )
    assert row.split() == [
        "mixup",
        "60.0",
        "+10.0",
        "63.0",
        "+3.0",
        "33.0",
        "0.250",
        f"1.50{TIMES}",
    ]


@pytest.mark.parametrize(("width", "tables"), [(80, 2), (99, 1), (120, 1)])
def test_no_cell_of_a_comparison_is_cut(width: int, tables: int, tmp_path: Path) -> None:
    text, cells = shown(width, tmp_path)
    assert "…" not in text
    assert not [cell for cell in cells if cell not in text]
    assert text.count("method") == tables
    assert max(map(len, text.splitlines())) <= width
    assert "over 3 seeds" in " ".join(text.split())


@pytest.mark.parametrize(("width", "tables"), [(80, 2), (120, 2), (160, 1)])
def test_a_teacher_has_columns_where_a_method_has_one(
    width: int, tables: int, tmp_path: Path
) -> None:
    text, cells = shown(width, tmp_path, taught=("fmix",))
    assert not [cell for cell in cells if cell not in text]
    assert text.count("method ") == tables
    assert max(map(len, text.splitlines())) <= width
    said = " ".join(text.split())
    assert "teacher top-1 %" in said or width < 100
    assert "method's own average of weights" in said
    assert "teacher" not in shown(width, tmp_path / "without")[0]


def test_scores_of_a_model_with_and_without_a_teacher() -> None:
    def text(**columns: dict[str, float]) -> str:
        console = Console(file=io.StringIO(), width=80)
        console.print(scores_table(columns))
        return console.file.getvalue()  # type: ignore[attr-defined]

    raw, ema, own = ({"top1": top1, "top5": 0.9, "ece": 0.1, "nll": 0.5, "count": 10}
                     for top1 in (0.1234, 0.2345, 0.3456))  # fmt: skip
    lines = text(raw=raw, ema=ema, teacher=own).split("\n")[1:]
    assert lines[0].split() == ["trained", "EMA", "teacher"]
    assert lines[2].split() == ["top-1", "%", "12.34", "23.45", "34.56"]
    assert lines[3].split() == ["top-5", "%", "90.00", "90.00", "90.00"]
    assert lines[4].split() == ["ECE", "%", "10.00", "10.00", "10.00"]
    assert lines[5].split() == ["NLL", "0.5000", "0.5000", "0.5000"]
    assert "teacher" not in text(raw=raw, ema=ema)
    lines = text(raw=raw, teacher=own).split("\n")[1:]
    assert lines[0].split() == ["trained", "teacher"]
    assert lines[2].split() == ["top-1", "%", "12.34", "34.56"]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_long_names_and_narrow_consoles_fold(width: int, tmp_path: Path) -> None:
    method = "cutmix:alpha=0.2+miamix:layers=2,weights=2;1;1;1;4+mixup:alpha=0.4"
    text, cells = shown(width, tmp_path, methods=(*LABELS, method))
    assert "…" not in text
    letters = "".join(text.split())
    for number in (word for cell in cells for word in cell.split() if cell != method):
        assert number in letters or width < 60, number
    assert "0.4" in text


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    text, _ = shown(120, tmp_path, seeds=1)
    assert "±" not in text
    assert "one seed" in text


def test_no_cell_of_a_bench_is_cut() -> None:
    time = Timing(least=0.1234567, median=0.2345678, mean=0.3456789, spread=0.01, turns=5)
    name = "openmixup CutMix of the whole batch"
    row = MixingRow(group="peer", name=name, part="all", time=time, times_lerp=12.34,
              median_times_lerp=56.78, times_copy=1.0, units=45.67, within=True, cold=98.76,
              times_eager=0.98)  # fmt: skip
    step = StepRow(name="miamix", step=time, times=98.76, least_times=54.32, exact=1.67,
                   mixing=time, share=0.1234, share_budget=0.03, within=False)  # fmt: skip
    shape, console = (128, 3, 32, 32), Console(file=io.StringIO(), width=80)
    console.print(
        bench_tables._mixing_table(
            ShapeRecord(shape=shape, dtype="float32", warm_up=1, rounds=5, rows=(row,)), console
        )
    )
    console.print(
        bench_tables._step_table(
            StepRecord(model="resnet18_cifar", shape=shape, precision="fp32", warm_up=1, rounds=5,
                       rows=(step,)),
            console,
        )
    )  # fmt: skip
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in text
    shape_row = ("123.457", "234.568", "12.34", "45.67", "within", "98.76", "0.98")
    for number in (*shape_row, "345.68", "123.46", "98.76", "54.32", "1.67", "3 %", "over"):
        assert number in text, number
