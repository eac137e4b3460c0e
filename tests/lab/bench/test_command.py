"""``mixwright bench`` as it is typed."""

from __future__ import annotations

import pytest

from mixwright.lab.bench import BenchRecord
from mixwright.lab.cli import main


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
    for one in record.steps:
        assert [row.name for row in one.rows] == ["none", "mixup", "mixwright.objectives:Mixed"]
    printed = capsys.readouterr().out
    for word in ("training step of smallconv, batch 4, 8 pixels, bf16", "passes", "mixup"):
        assert word in printed


def test_steps_without_mixing_may_be_named(tmp_path):
    words = ["--training", "--shapes", "none", "--step-models", "smallconv@4x3x8x8"]
    words += ["--repeats", "1", "--out", str(tmp_path)]
    for methods, rows in ((["mixup", "none"], ["none", "mixup"]), (["none"], ["none"])):
        assert main(["bench", *methods, *words]) == 0
        record = BenchRecord.read(tmp_path / "bench.json")
        assert all([row.name for row in one.rows] == rows for one in record.steps)


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
