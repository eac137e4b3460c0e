"""``mixwright bench`` as it is typed."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mixwright.lab.bench import BenchRecord
from mixwright.lab.bench.budgets import Budget
from mixwright.lab.bench.overhead import Overhead
from mixwright.lab.bench.record import MixingRow, ShapeRecord, SolverRow, StepRecord, StepRow
from mixwright.lab.bench.timing import Timing
from mixwright.lab.cli import main
from mixwright.lab.cli.bench_tables import show


def test_the_command_writes_the_record_and_prints_the_table(tmp_path, capsys):
    out = tmp_path / "new"
    words = ["bench", "mixup", "cutmix:alpha=0.2", "--shapes", "4x3x8x8", "--repeats", "2"]
    assert main([*words, "--out", str(out)]) == 0
    record = BenchRecord.read(out / "bench.json")
    names = {row.name for row in record.shapes[0].rows if row.group == "mixwright"}
    assert names == {"mixup", "cutmix:alpha=0.2"}
    printed = capsys.readouterr().out
    for word in ("lerp of two batches", "cutmix:alpha=0.2", "with targets", "verdict", "kornia"):
        assert word in printed


def test_training_steps_are_printed(tmp_path, capsys):
    words = ["bench", "mixup", "mixwright.objectives:Mixed", "--training", "--shapes", "none"]
    words += ["--step-models", "smallconv@4x3x8x8", "--repeats", "1", "--out", str(tmp_path)]
    assert main(words) == 0
    record = BenchRecord.read(tmp_path / "bench.json")
    for steps in record.steps:
        assert [row.name for row in steps.rows] == ["none", "mixup", "mixwright.objectives:Mixed"]
    printed = capsys.readouterr().out
    for word in ("training step of smallconv, batch 4, 8 pixels, bf16", "passes", "mixup"):
        assert word in printed


def test_steps_without_mixing_may_be_named(tmp_path):
    words = ["--training", "--shapes", "none", "--step-models", "smallconv@4x3x8x8"]
    words += ["--repeats", "1", "--out", str(tmp_path)]
    for methods, rows in ((["mixup", "none"], ["none", "mixup"]), (["none"], ["none"])):
        assert main(["bench", *methods, *words]) == 0
        record = BenchRecord.read(tmp_path / "bench.json")
        assert all([row.name for row in steps.rows] == rows for steps in record.steps)


def timing(mean: float, least: float, median: float = 0.0, spread: float = 0.0) -> Timing:
    return Timing(least=least, median=median, mean=mean, spread=spread, turns=5)


def printed_rows(**parts: object) -> dict[str, list[list[str]]]:
    """What the tables of a record print: for the name of each row its cells, table by table."""
    record = BenchRecord(
        started="2026-01-01", mixwright="0", commit=None, torch="2", threads=1, device="cpu",
        machine={"device": "cpu", "cpu": "one"}, libraries={}, **{"shapes": (), **parts},
    )  # type: ignore[arg-type] # fmt: skip
    console = Console(file=io.StringIO(), width=200)
    show(record, console)
    rows: dict[str, list[list[str]]] = {}
    for line in console.file.getvalue().splitlines():  # type: ignore[attr-defined]
        if line.strip():
            name, *cells = line.split()
            rows.setdefault(name, []).append(cells)
    return rows


def test_numbers_of_training_steps_are_printed_in_their_units():
    none = StepRow(name="none", step=timing(0.020, 0.018), times=1.0, least_times=1.0, exact=1.0,
                   memory=100 * 2**20)  # fmt: skip
    slower = StepRow(
        name="miamix", step=timing(0.025, 0.021), times=1.25, least_times=1.17, exact=None,
        mixing=timing(0.002, 0.001), share=0.08, share_budget=0.03, times_budget=2.1, within=False,
        overhead=Overhead(share=0.2464, low=0.1987, high=0.3, pairs=9, rejected=1, steps=20),
        memory=164 * 2**20,
    )  # fmt: skip
    faster = StepRow(
        name="cutmix", step=timing(0.019, 0.017), times=0.95, least_times=0.94, exact=1.0,
        overhead=Overhead(share=-0.05, low=-0.062, high=0.011, pairs=10, rejected=0, steps=20),
        memory=90 * 2**20,
    )  # fmt: skip
    wild = StepRow(
        name="wild", step=timing(0.04, 0.04), times=2.0, least_times=2.0, exact=1.0,
        overhead=Overhead(share=None, low=None, high=None, pairs=0, rejected=10, steps=20),
    )  # fmt: skip
    record = StepRecord(
        model="smallconv", shape=(4, 3, 8, 8), precision="fp32", warm_up=1, rounds=5,
        rows=(none, slower, faster, wild),
        solver=(SolverRow(grid=4, time=timing(0.0015, 0.00125), share=0.034),),
    )  # fmt: skip
    rows = printed_rows(steps=(record,))
    # Milliseconds, times none, exact passes, mixing in percent, budgets and the verdict.
    assert rows["none"][0] == ["20.00", "18.00", "1.00", "1.00", "1.00"]
    assert rows["miamix"][0] == [
        "25.00", "21.00", "1.25", "1.17", "8.00", "3", "%,", "2.1", "x", "over",
    ]  # fmt: skip
    # Overhead in percent with its interval, pairs that count, pairs left out, memory in MiB.
    assert rows["none"][1] == ["100", "+0"]
    assert rows["miamix"][1] == ["+24.6", "+19.9", "to", "+30.0", "9", "1", "164", "+64"]
    assert rows["cutmix"][1] == ["-5.0", "-6.2", "to", "+1.1", "10", "0", "90", "-10"]
    assert rows["wild"][1] == ["0", "10"]
    assert rows["4"][0] == ["x", "4", "1.50", "1.25", "3.4"]


def test_numbers_of_mixing_are_printed_in_their_units():
    def row(name: str, **more: object) -> MixingRow:
        time = timing(0.0, 0.00125, median=0.0015, spread=0.0003)
        return MixingRow(group="mixwright", name=name, part="all", time=time, times_lerp=2.5,
                         median_times_lerp=2.75, times_copy=9.0, **more)  # type: ignore[arg-type] # fmt: skip

    shape = ShapeRecord(
        shape=(128, 3, 32, 32), dtype="float32", warm_up=3, rounds=7,
        rows=(row("fmix", budget=Budget(seconds=0.003), within=True),
              row("cutmix", budget=Budget(times_lerp=1.3), within=False), row("mine")),
    )  # fmt: skip
    rows = printed_rows(shapes=(shape,))
    numbers = ["1.250", "1.500", "0.300", "2.50", "2.75"]
    assert rows["fmix"] == [[*numbers, "3", "ms", "within"]]
    assert rows["cutmix"] == [[*numbers, "1.3", "x", "over"]]
    assert rows["mine"] == [numbers]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cutmx"], 'Did you mean "cutmix"'),
        (["none"], "none mixes nothing by itself"),
        (["--shapes", "128x3x32"], "expected B x C x H x W"),
        (["--shapes", "1x3x8x8"], "expected at least 2 images"),
        (["--shapes", "none"], "nothing to measure"),
        (["mixwright.objectives:Mixed"], "Add --training for its steps"),
        (["--training", "--step-models", "smallcnv"], "smallconv"),
        (["--training", "--step-models", "smallconv@8"], "expected NAME, or NAME@BxCxHxW"),
        (["--repeats", "0"], "--repeats is 0; expected at least 1"),
        (["--threads", "0"], "--threads is 0; expected at least 1"),
        (["--trainin"], 'Did you mean "--training"'),
        (["--device", "cuda:99"], "torch sees"),
    ],
)
def test_mistakes_get_one_line(tmp_path, capsys, words, message):
    assert main(["bench", *words, "--out", str(tmp_path / "o")]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
