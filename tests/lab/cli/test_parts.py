"""One comparison by several commands: parts, collecting, and two commands with the same folder."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import pytest
import torch

from mixwright.files import LOCK, is_locked, locked
from mixwright.lab.analysis.store import read_findings
from mixwright.lab.cli import forecast, main
from mixwright.lab.experiments import grid, step_costs
from mixwright.lab.reports import page

METHODS = ("none", "mixup")
SHORT = (
    "--seeds", "2", "--epochs", "1", "--train-size", "20", "--batch-size", "10", "--out", "out",
)  # fmt: skip


def command(*words: str) -> list[str]:
    return ["compare", *METHODS, *SHORT, *words]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in; estimates, costs of steps and pages are tested elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(forecast, "forecast", lambda *runs, **where: None)
    monkeypatch.setattr(step_costs, "step_costs", lambda *runs, **where: None)
    monkeypatch.setattr(page, "write_report", lambda record: record.with_name("report.html"))
    return tmp_path


def facts(out: Path) -> dict[str, Any]:
    """All that runs left but times and commits: metrics, scores and the checkpoints' tensors."""
    found: dict[str, Any] = {}
    for run in sorted((out / "runs").iterdir()):
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        apart = ("seconds", "step_seconds", "images_per_second", "commit")
        result = json.loads((run / "result.json").read_text())
        found[run.name] = (
            [{name: line[name] for name in line if name not in apart} for line in lines],
            {name: result[name] for name in ("scores", "best", "clean_train", "train")},
            torch.load(run / "last.pt", weights_only=True)["weights"],
        )
    return found


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_parts_at_once_are_what_one_command_does(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(command("--workers", "1")) == 0
    (here / "out").rename(here / "whole")

    program = [sys.executable, "-m", "mixwright", *command("--part", "2/2", "--workers", "1")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as other:
        capsys.readouterr()
        assert main(command("--part", "1/2", "--workers", "1")) == 0
        told = other.communicate()[0]
    assert other.returncode == 0, told
    assert "part 1 of 2: 2 of 4 runs\n" in capsys.readouterr().out
    assert "part 2 of 2: 2 of 4 runs\n" in told
    ended = {line.split("] ")[1].split(":")[0] for line in told.splitlines() if "done in" in line}
    assert ended == {"mixup, seed 0", "mixup, seed 1"}  # the second and the fourth
    assert not (here / "out/comparison.json").exists()

    assert same(facts(here / "out"), facts(here / "whole"))
    assert main(command("--collect")) == 0
    parts = [read_findings(here / name).parts["scores"] for name in ("out", "whole")]
    assert [group.summaries for group in parts[0].groups] == [
        group.summaries for group in parts[1].groups
    ]

    # A part of what is there does nothing, and what it would report on is not shown.
    capsys.readouterr()
    assert main(command("--part", "7/8")) == 0
    assert main(command("--part", "1/8")) == 0
    told = capsys.readouterr().out
    assert "part 7 of 8: 0 of 4 runs\n" in told
    assert "part 1 of 8: 1 of 4 runs\nthe run is there already\n" in told
    assert told.count("4 of 4 runs are there; the same command with --collect") == 2
    assert "top-1" not in told

    # What others finish while the record's lock is waited for is not missing in it.
    run, aside = next((here / "out/runs").glob("mixup-s1-*")), here / "aside"
    (run / "result.json").rename(aside)
    holder = locked(here / "out" / LOCK)

    def waited_for(path: Path, *, wait: bool = False) -> IO[bytes] | None:
        if wait and holder is not None:
            aside.rename(run / "result.json")
            holder.close()
        return locked(path, wait=wait)

    if holder is None:  # there are no locks
        aside.rename(run / "result.json")
    else:
        monkeypatch.setattr(grid, "locked", waited_for)
        assert main(command("--collect")) == 0
        told = capsys.readouterr().out
        assert "another mixwright is writing to " in told
        assert "mixup, seed 1" not in told
        assert read_findings(here / "out").about.failures == ()

    # Collecting what is not whole names what is missing.
    run = next((here / "out/runs").glob("mixup-s1-*"))
    (run / "result.json").unlink()
    for file in next((here / "out/runs").glob("none-s1-*")).iterdir():
        file.unlink()
    assert main(command("--collect")) == 1
    told = capsys.readouterr().out
    assert "mixup, seed 1 was stopped after 1 of 1 epoch\n" in told
    assert "none, seed 1 is missing\n" in told
    failures = read_findings(here / "out").about.failures
    assert [(failure.name, failure.error) for failure in failures] == [
        ("none, seed 1", "it is missing"),
        ("mixup, seed 1", "it was stopped after 1 of 1 epoch"),
    ]
    assert not (run / "result.json").exists()  # nothing was trained


HOLDER = """
import sys, time
from pathlib import Path
from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.training.folder import RunFolder
from mixwright.lab.training.recipe import Recipe

folder = Path(sys.argv[1])
with RunFolder(folder, Recipe.from_json((folder / "recipe.json").read_bytes())):
    print("holds", flush=True)
    time.sleep(600)
"""


def test_a_run_that_another_command_has_in_hand(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other one is done meanwhile; it is taken over when the other command is killed."""
    pytest.importorskip("fcntl")
    words = command("--part", "1/2", "--workers", "1")
    assert main(words) == 0  # no mixing, of both seeds
    done = {run.name[:7]: run for run in (here / "out/runs").iterdir()}
    first, second = done["none-s0"], done["none-s1"]
    for run in done.values():
        (run / "result.json").unlink()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(first)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        capsys.readouterr()
        seen: list[bool] = []

        def kill_when_the_other_is_done() -> None:
            while not (second / "result.json").exists():
                threading.Event().wait(0.05)
            seen.append((first / "result.json").exists() or holder.poll() is not None)
            holder.kill()

        watcher = threading.Thread(target=kill_when_the_other_is_done, daemon=True)
        watcher.start()
        assert main(words) == 0
        watcher.join()
    assert seen == [False]
    assert (first / "result.json").exists()
    assert not is_locked(first / LOCK)
    told = capsys.readouterr().out
    assert told.count("none, seed 0: another mixwright is at work on it; waiting for it") == 1
    assert told.count("done in") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--part", "3/2"], "--part is 3/2; expected K/N with K from 1 to N"),
        (["--part", "0/2"], "--part is 0/2; expected K/N"),
        (["--part="], "--part is empty; expected K/N"),
        (["--part", "half"], "--part is half; expected K/N"),
        (["--part", "1/2/3"], "--part is 1/2/3; expected K/N"),
        (["--part", "1/2", "--collect"], "--part does runs and --collect reports on"),
        (["--part", "1/2", "--dry-run"], "--part does nothing beside --dry-run"),
        (["--collect", "--dry-run"], "--collect does nothing beside --dry-run"),
        (["--collect", "--workers", "2"], "--workers does nothing with --collect"),
    ],
)
def test_what_says_nothing_together(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "none", *words, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mixwright compare: {said}")
    assert not (tmp_path / "out").exists()


def test_collecting_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command("--collect")) == 1
    assert "no run has finished, so there is nothing to report." in capsys.readouterr().out
