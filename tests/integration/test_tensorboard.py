"""Runs in TensorBoard, read by its own reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from mixwright.lab.cli import main
from mixwright.lab.experiments.tracking.exporting import export_runs
from mixwright.lab.training.recipe import Recipe

OLD = Path(__file__).parents[1] / "lab" / "fixtures" / "run-format-1"


def epoch(number: int, top1: float, warnings: tuple[str, ...] = ()) -> str:
    record = {
        "epoch": number,
        "lr": 0.5,
        "train": {"loss": 2.0, "terms": {"a b": 1.5}},
        "test": {"raw": {"top1": top1, "top5": None}, "ema": {"top1": top1 / 2}},
        "warnings": warnings,
        "seconds": 4.0,
    }
    return json.dumps(record) + "\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two epochs of three."""
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(Recipe(method="cutmix:alpha=0.5", epochs=3).to_json())
    os.utime(folder / "recipe.json", (1000.0, 1000.0))
    (folder / "metrics.jsonl").write_text(epoch(1, 0.25) + epoch(2, 0.5, ("masks are flat",)))
    return folder


def go_on(run: Path, line: str) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write(line)


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def scalars(found: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in found.Scalars(tag)]


def test_scalars_stand_by_epoch(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "board"
    assert main(["export", str(run.parent), "--to", "tensorboard", "--out", str(out)]) == 0
    found = read(out / "one")
    assert sorted(found.Tags()["scalars"]) == [
        "lr", "seconds", "test/top1/ema", "test/top1/raw", "train/loss", "train/terms/a_b",
    ]  # fmt: skip
    assert scalars(found, "test/top1/raw") == [(1, 0.25), (2, 0.5)]
    assert scalars(found, "test/top1/ema") == [(1, 0.125), (2, 0.25)]
    assert scalars(found, "train/terms/a_b") == [(1, 1.5), (2, 1.5)]
    assert [event.wall_time for event in found.Scalars("lr")] == [1004.0, 1008.0]


def test_the_recipe_is_text_and_what_runs_are_compared_by(run: Path, tmp_path: Path) -> None:
    export_runs(run, to="tensorboard", out=tmp_path / "board")
    found = read(tmp_path / "board" / "one")
    (recipe,) = found.Tensors("recipe/text_summary")
    text = recipe.tensor_proto.string_val[0].decode()
    assert "| method | cutmix:alpha=0.5 |" in text
    assert "| epochs | 3 |" in text
    (warned,) = found.Tensors("warnings/text_summary")
    assert (warned.step, warned.tensor_proto.string_val[0]) == (2, b"masks are flat")
    content = found.PluginTagToContent(metadata.PLUGIN_NAME)
    begin = plugin_data_pb2.HParamsPluginData.FromString(content[metadata.SESSION_START_INFO_TAG])
    given = begin.session_start_info.hparams
    assert given["method"].string_value == "cutmix:alpha=0.5"
    assert given["epochs"].number_value == 3
    assert given["nesterov"].string_value == "true"
    assert given["grad_clip"].string_value == "none"


def test_doing_it_again_doubles_nothing(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "board"
    export_runs(run, to="tensorboard", out=out)
    (file,) = (out / "one").iterdir()
    before = file.read_bytes()
    # In another process, where maps and sets have another order.
    command = [sys.executable, "-m", "mixwright", "export", run, "--to", "tensorboard"]
    subprocess.run(
        [*map(str, command), "--out", str(out)], check=True, capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )  # fmt: skip
    assert [*(out / "one").iterdir()] == [file]
    assert file.read_bytes() == before
    assert scalars(read(out / "one"), "test/top1/raw") == [(1, 0.25), (2, 0.5)]


def test_a_board_that_is_open_follows_a_run(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "board"
    export_runs(run, to="tensorboard", out=out)
    board = read(out / "one")
    (file,) = (out / "one").iterdir()
    opened = file.stat().st_ino
    go_on(run, epoch(3, 0.75))
    export_runs(run, to="tensorboard", out=out)
    assert file.stat().st_ino == opened  # TensorBoard's own server holds the file open
    board.Reload()
    assert scalars(board, "test/top1/raw") == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert scalars(read(out / "one"), "lr") == [(1, 0.5), (2, 0.5), (3, 0.5)]


def test_what_a_crash_left_half_written_is_completed(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "board"
    export_runs(run, to="tensorboard", out=out)
    (file,) = (out / "one").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    export_runs(run, to="tensorboard", out=out)
    assert file.read_bytes() == whole


def test_a_run_that_was_begun_anew_replaces_the_old(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "board"
    export_runs(run, to="tensorboard", out=out)
    (run / "metrics.jsonl").write_text(epoch(1, 0.125))
    export_runs(run, to="tensorboard", out=out)
    assert scalars(read(out / "one"), "test/top1/raw") == [(1, 0.125)]


def test_a_run_that_ends_adds_its_result(tmp_path: Path) -> None:
    run, out = tmp_path / "one", tmp_path / "board"
    run.mkdir()
    for name in ("recipe.json", "metrics.jsonl"):
        (run / name).write_bytes((OLD / "adautomix" / "straight" / name).read_bytes())
    export_runs(run, to="tensorboard", out=out)
    (file,) = (out / "one").iterdir()
    before, board = file.read_bytes(), read(out / "one")
    (run / "result.json").write_bytes((OLD / "adautomix/straight/result.json").read_bytes())
    export_runs(run, to="tensorboard", out=out)
    assert file.read_bytes().startswith(before)
    board.Reload()
    assert scalars(board, "run/parameters") == [(4, 663.0)]
    assert scalars(board, "best/nll/teacher") == [(2, pytest.approx(0.5742422784975656))]
    assert [step for step, _ in scalars(board, "test/nll/teacher")] == [1, 2, 3, 4]
