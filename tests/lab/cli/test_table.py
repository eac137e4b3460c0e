"""Tables on consoles of all widths: nothing is cut."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from mixwright.lab.reports.tables import headline
from rich.console import Console

from lab.reports.fabricated import LABELS, fabricate
from mixwright.lab.bench.record import MixingRow, ShapeRecord, StepRecord, StepRow
from mixwright.lab.bench.timing import Timing
from mixwright.lab.cli import bench_tables
from mixwright.lab.cli.table import print_comparison, scores_table


def shown(width: int, folder: Path, **settings: object) -> tuple[str, list[str]]:
    """What is printed, and every cell of it."""
    record = fabricate(folder, **settings)  # type: ignore[arg-type]
    console = Console(file=io.StringIO(), width=width)
    print_comparison(record, console)
    cells = [
        cell
        for row in headline(record)
        for cell in (row.text, row.raw, row.against_raw, row.ema, row.against_ema, row.ece[0],
                     row.nll[0], row.step)
    ]  # fmt: skip
    return console.file.getvalue(), cells  # type: ignore[attr-defined]


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
    fmix = headline(fabricate(tmp_path, taught=("fmix",)))[3]
    assert not [cell for cell in (*cells, fmix.teacher, fmix.against_teacher) if cell not in text]
    assert text.count("method ") == tables
    assert max(map(len, text.splitlines())) <= width
    said = " ".join(text.split())
    assert "teacher top-1 %" in said or width < 100
    assert "method's own average of weights" in said
    assert "teacher" not in shown(width, tmp_path)[0]


def test_scores_of_a_model_with_and_without_a_teacher() -> None:
    def text(*columns: dict[str, float] | None) -> str:
        console = Console(file=io.StringIO(), width=80)
        console.print(scores_table(*columns))  # type: ignore[arg-type]
        return console.file.getvalue()  # type: ignore[attr-defined]

    raw, ema, own = ({"top1": top1, "top5": 0.9, "ece": 0.1, "nll": 0.5, "count": 10}
                     for top1 in (0.1234, 0.2345, 0.3456))  # fmt: skip
    lines = text(raw, ema, own).split("\n")[1:]
    assert lines[0].split() == ["trained", "EMA", "teacher"]
    assert lines[2].split() == ["top-1", "%", "12.34", "23.45", "34.56"]
    assert "teacher" not in text(raw, ema)
    lines = text(raw, None, own).split("\n")[1:]
    assert lines[0].split() == ["trained", "teacher"]
    assert lines[2].split() == ["top-1", "%", "12.34", "34.56"]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_long_names_and_narrow_consoles_fold(width: int, tmp_path: Path) -> None:
    method = "cutmix:alpha=0.2+miamix:layers=2;4+mixup:alpha=0.4"
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
              median_times_lerp=56.78, times_copy=1.0, within=True)  # fmt: skip
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
    shape_row = ("123.457", "234.568", "12.34", "56.78", "within")
    for number in (*shape_row, "345.68", "123.46", "98.76", "54.32", "1.67", "3 %", "over"):
        assert number in text, number
