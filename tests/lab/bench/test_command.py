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


def printed(**parts: object) -> str:
    record = BenchRecord(
        started="2026-01-01", mixwright="0", commit=None, torch="2", threads=1, device="cpu",
        machine={"device": "cpu", "cpu": "one"}, **{"shapes": (), "libraries": {}, **parts},
    )  # type: ignore[arg-type] # fmt: skip
    console = Console(file=io.StringIO(), width=200)
    show(record, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def printed_rows(**parts: object) -> dict[str, list[list[str]]]:
    """What the tables of a record print: for the name of each row its cells, table by table."""
    rows: dict[str, list[list[str]]] = {}
    for line in printed(**parts).splitlines():
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


def mixing_row(name: str, part: str = "with targets", **more: object) -> MixingRow:
    time = timing(0.0, 0.00125, median=0.0015, spread=0.0003)
    return MixingRow(group="mixwright", name=name, part=part, time=time, times_lerp=2.5,
                     median_times_lerp=2.75, times_copy=9.0, **more)  # type: ignore[arg-type] # fmt: skip


def mixing_shape(*rows: MixingRow, **more: object) -> ShapeRecord:
    return ShapeRecord(shape=(128, 3, 32, 32), dtype="float32", warm_up=3, rounds=7, rows=rows,
                       **more)  # type: ignore[arg-type] # fmt: skip


def test_numbers_of_mixing_are_printed_in_their_units():
    shape = mixing_shape(
        mixing_row("fmix", "all", units=2.755, budget=Budget(units=3.2), within=True),
        mixing_row("cutmix", "all", units=1.2, budget=Budget(units=1.15), within=False),
        mixing_row("mine", "all"),
        mixing_row("old", "all", budget=Budget(times_lerp=1.3), within=False),
        mixing_row("older", "all", budget=Budget(seconds=0.003), within=True),
    )
    rows = printed_rows(shapes=(shape,))
    numbers = ["1.250", "1.500", "0.300", "2.50"]
    assert rows["fmix"] == [[*numbers, "2.75", "3.2", "within"]]
    assert rows["cutmix"][0] == [*numbers, "1.20", "1.15", "over"]
    assert rows["mine"] == [numbers]
    assert rows["old"][0] == [*numbers, "1.3", "x", "over"]
    assert rows["older"] == [[*numbers, "3", "ms", "within"]]


def test_a_missed_goal_is_named_with_what_its_parts_take_alone():
    parts = {"plan": 0.8, "apply": 0.25, "targets": 0.125}
    shape = mixing_shape(
        *(mixing_row("cutmix", part, units=units) for part, units in parts.items()),
        mixing_row("cutmix", units=1.25, budget=Budget(units=1.0), within=False),
        unit="torchvision MixUp, per batch",
    )
    wanted = (
        "cutmix misses its goal of 1 on 128x3x32x32 with 1.25: plan, images and targets alone "
        "take 0.80 + 0.25 + 0.12"
    )
    assert wanted in printed(shapes=(shape,))


def test_without_the_unit_its_column_is_empty_and_a_sentence_says_why():
    shape = mixing_shape(
        mixing_row("cutmix", "all", budget=Budget(units=1.0)), unit="torchvision MixUp, per batch"
    )
    given = {"shapes": (shape,), "libraries": {"torchvision": "not installed"}}
    assert printed_rows(**given)["cutmix"] == [["1.250", "1.500", "0.300", "2.50", "1"]]
    wanted = (
        "no units on 128x3x32x32: 1 is torchvision MixUp, per batch, and torchvision is not "
        "installed"
    )
    assert wanted in printed(**given)


def test_compiled_rows_show_their_first_call():
    shape = mixing_shape(
        mixing_row("cutmix", units=1.0), mixing_row("cutmix", "compiled", units=0.5, cold=21.456,
                                                    times_eager=0.4),
        not_compiled={"miamix": "No working C++ compiler", "fmix": "No working C++ compiler"},
    )  # fmt: skip
    given = {"shapes": (shape,)}
    numbers = ["1.250", "1.500", "0.300", "2.50"]
    assert printed_rows(**given)["cutmix"] == [
        ["with", "targets", *numbers, "1.00"], ["compiled", *numbers, "0.50", "0.40", "21.46"],
    ]  # fmt: skip
    assert "not compiled on 128x3x32x32: miamix, fmix: No working C++ compiler" in printed(**given)


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
        (["--training", "--compile", "--shapes", "none"], "--compile does nothing with --shapes"),
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
