"""Runs as one table and for TensorBoard: found, read strictly, and told once."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest

from mixwright.lab.cli import main
from mixwright.lab.experiments.tracking.exporting import export_runs, follow_runs
from mixwright.lab.training.recipe import Recipe

OLD = Path(__file__).parents[1] / "fixtures" / "run-format-1"


def epoch(number: int, top1: float, **more: object) -> str:
    """A line of a run's metrics, with few numbers."""
    record = {
        "epoch": number,
        "progress": number / 3,
        "lr": 0.5,
        "train": {"loss": 2.0, "terms": {"a b": 1.5}, "diagnostics": {}},
        "test": {"raw": {"top1": top1, "top5": None}, "ema": {"top1": top1 / 2}},
        "warnings": [],
        "seconds": 4.0,
        "seed": 3,
        "commit": None,
        "method": "cutmix",
    }
    return json.dumps({**record, **more}) + "\n"


def make_run(folder: Path, *lines: str, method: str = "cutmix", seed: int = 3) -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(Recipe(method=method, seed=seed, epochs=3).to_json())
    (folder / "metrics.jsonl").write_text("".join(lines))
    return folder


def test_the_table_of_a_run_that_goes_on(tmp_path: Path) -> None:
    unmeasured = epoch(2, 0.5, test=None, validation={"raw": {"top1": 0.125}, "mean": 1.0})
    run = make_run(tmp_path / "one", epoch(1, 0.25), unmeasured)
    done = export_runs(run, to="csv", out=tmp_path / "out")
    assert (done.runs, done.running, done.points) == (1, 1, 11)
    assert done.path == tmp_path / "out" / "runs.csv"
    assert done.path.read_text() == (
        "run,method,seed,epoch,weights,measure,value\n"
        "one,cutmix,3,1,raw,test.top1,0.25\n"
        "one,cutmix,3,1,ema,test.top1,0.125\n"
        "one,cutmix,3,1,,train.loss,2.0\n"
        "one,cutmix,3,1,,train.terms.a b,1.5\n"
        "one,cutmix,3,1,,lr,0.5\n"
        "one,cutmix,3,1,,seconds,4.0\n"
        "one,cutmix,3,2,raw,validation.top1,0.125\n"
        "one,cutmix,3,2,,train.loss,2.0\n"
        "one,cutmix,3,2,,train.terms.a b,1.5\n"
        "one,cutmix,3,2,,lr,0.5\n"
        "one,cutmix,3,2,,seconds,4.0\n"
    )


def table(out: Path) -> list[dict[str, str]]:
    with (out / "runs.csv").open(newline="") as file:
        return [*csv.DictReader(file)]


def test_a_finished_run_tells_what_came_of_it(tmp_path: Path) -> None:
    # Of format 1, with a teacher; the values stand in the fixture.
    export_runs(OLD / "adautomix" / "straight", to="csv", out=tmp_path)
    rows = {(row["epoch"], row["weights"], row["measure"]): row["value"] for row in table(tmp_path)}
    assert rows["4", "teacher", "test.nll"] == "0.28429988498540054"
    assert rows["1", "raw", "best.top1"] == "1.0"
    assert rows["2", "teacher", "best.nll"] == "0.5742422784975656"
    assert rows["4", "", "run.parameters"] == "663.0"
    assert rows["4", "", "run.seconds"] == "0.20693998900014776"
    assert rows["4", "", "train.diagnostics.mask largest"] == "0.4033394679427147"
    assert len(rows) == len(table(tmp_path))
    assert not {measure for _, _, measure in rows} & {"seed", "progress", "best.epoch"}


def test_runs_are_named_by_where_they_lie(tmp_path: Path) -> None:
    line = epoch(1, 0.5)
    for path in ("a/runs/cutmix-s0", "a/runs/none-s0", "b/runs/none-s0", "c/deep/er/none", "d"):
        make_run(tmp_path / path, line)
    (tmp_path / "a" / "logs").mkdir()

    def names(*words: str) -> list[str]:
        out = tmp_path / "out"
        export_runs([tmp_path / word for word in words], to="csv", out=out)
        return list(dict.fromkeys(row["run"] for row in table(out)))

    assert names("a") == ["cutmix-s0", "none-s0"]
    assert names("d") == ["d"]
    assert names("c") == ["deep/er/none"]
    assert names("a", "b") == ["a/runs/cutmix-s0", "a/runs/none-s0", "b/runs/none-s0"]
    # One that is given twice, by itself and by its comparison, is one.
    assert names("a", "a/runs/none-s0") == ["cutmix-s0", "none-s0"]
    everything = ["a/runs/cutmix-s0", "a/runs/none-s0", "b/runs/none-s0", "c/deep/er/none", "d"]
    assert names(".") == everything


DAMAGE = {
    "a line": (lambda run: spoil(run / "metrics.jsonl", 5), "line 1 of its metrics.jsonl"),
    "the recipe": (lambda run: (run / "recipe.json").write_text("{"), "recipe.json cannot be read"),
    "no recipe": (lambda run: (run / "recipe.json").unlink(), "its recipe.json cannot be read (No"),
    "the result": (lambda run: spoil(run / "result.json", 9), "its result.json is damaged"),
    "a newer one": (
        lambda run: (run / "result.json").write_text('{"format": 99}'),
        "result.json has the format 99",
    ),
}


def spoil(file: Path, where: int) -> None:
    text = bytearray(file.read_bytes())
    text[where] = 0
    file.write_bytes(text)


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_run_is_named_and_left_out(
    tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("bad", "good"):
        shutil.copytree(OLD / "blend" / "straight", tmp_path / "runs" / name)
    damage, said = DAMAGE[what]
    damage(tmp_path / "runs" / "bad")
    assert main(["export", str(tmp_path), "--to", "csv", "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("bad is left out: ")
    assert said in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert {row["run"] for row in table(tmp_path / "out")} == {"good"}
    assert "(1 run, " in shown.out


def test_a_line_that_is_being_written_is_no_damage(tmp_path: Path) -> None:
    run = make_run(tmp_path / "one", epoch(1, 0.5), '{"epoch": 2, "tra')
    said: list[str] = []
    export_runs(run, to="csv", out=tmp_path / "out", say=said.append)
    assert {row["epoch"] for row in table(tmp_path / "out")} == {"1"}
    assert said == []


def test_missing_epochs_are_named(tmp_path: Path) -> None:
    make_run(tmp_path / "one", epoch(1, 0.5), epoch(3, 0.5))
    make_run(tmp_path / "two")
    said: list[str] = []
    export_runs(tmp_path, to="csv", out=tmp_path / "out", say=said.append)
    assert {row["epoch"] for row in table(tmp_path / "out")} == {"1", "3"}
    assert said == [
        "one: 1 of 3 epochs are missing in its metrics.jsonl.",
        "two: no epoch of it is finished yet.",
    ]


def test_following_ends_when_all_have_finished(tmp_path: Path) -> None:
    run, whole = tmp_path / "one", OLD / "blend" / "straight"
    shutil.copytree(OLD / "blend" / "killed", run)
    said: list[str] = []
    counts: list[tuple[int, int]] = []
    for done in follow_runs(run, to="csv", out=tmp_path / "out", say=said.append, every=0.01):
        epochs = {row["epoch"] for row in table(tmp_path / "out")}
        counts.append((len(epochs), done.running))
        if len(counts) == 2:  # the run goes on
            shutil.copy(whole / "metrics.jsonl", run)
        if len(counts) == 3:
            shutil.copy(whole / "result.json", run)
    assert counts == [(2, 1), (2, 1), (4, 1), (4, 0)]
    assert said == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no run given"),
        (["runs"], "--to is not given; expected --to tensorboard or --to csv"),
        (["runs", "--to", "tensorbord"], 'Did you mean "tensorboard"?'),
        (["nowhere", "--to", "csv"], "there is no folder 'nowhere'"),
        (["", "--to", "csv"], "there is no folder ''"),
        (["a\0b", "--to", "csv"], "there is no folder 'a\\x00b'"),
        (["a" * 300, "--to", "csv"], "there is no folder 'aaa"),
        (["a.txt", "--to", "csv"], "a.txt is a file"),
        (["empty", "--to", "csv"], "empty holds no run; expected a run folder"),
        (["runs", "empty", "--to", "csv"], "empty holds no run"),
        (["bad", "--to", "csv"], "its run cannot be exported"),
        (["runs", "--to", "csv", "--out", "a.txt"], "a.txt is a file; expected a folder"),
    ],
)
def test_mistakes_end_in_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    make_run(tmp_path / "runs" / "one", epoch(1, 0.5))
    make_run(tmp_path / "bad", "x\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1]
    assert error[-1].startswith("mixwright export: ")
    assert len(error) == (2 if words[:1] == ["bad"] else 1)  # the reason, then that none is left


def test_without_tensorboard_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "one", epoch(1, 0.5))
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if importing it failed
    assert main(["export", str(run), "--to", "tensorboard", "--out", str(tmp_path / "o")]) == 2
    error = capsys.readouterr().err
    assert "mixwright needs tensorboard 2.18 or newer" in error
    assert "'mixwright[tensorboard]'" in error
    assert len(error.strip().splitlines()) == 1


def test_only_known_kinds_are_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="export_runs: to is 'json'"):
        export_runs(tmp_path, to="json", out=tmp_path)  # pyright: ignore[reportArgumentType]
