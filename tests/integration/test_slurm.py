"""Runs as jobs of submitit: on this machine always, by SLURM itself where there is one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.cli.test_parts import facts, same
from mixwright.lab.cli import forecast, main
from mixwright.lab.experiments.executors import slurm
from mixwright.lab.experiments.executors.base import Event
from mixwright.lab.experiments.executors.choice import executor_for
from mixwright.lab.experiments.executors.resources import SlurmResources
from mixwright.lab.experiments.executors.slurm import SlurmJobs
from mixwright.lab.experiments.grid import Place, Planned, plan_runs, run_parallel
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.reports import page

pytest.importorskip("submitit")

PLACE = Place(data_dir=None, skip_unreadable=False, devices=("cpu",))
SETTINGS = {"data": "digits", "model": "smallconv", "train_size": 20, "batch_size": 10,
            "warmup_epochs": 0, "eval_every": 60}  # fmt: skip


def planned(out: Path, *, epochs: int) -> list[Planned]:
    return plan_runs(parse_methods(["mixup"]), {**SETTINGS, "epochs": epochs}, seeds=2, out=out)


def by_the_pool(out: Path, *, epochs: int) -> None:
    with executor_for(None, PLACE, workers=1, out=out) as pool:
        ends = run_parallel(planned(out, epochs=epochs), PLACE, pool=pool, on_event=lambda _: None)
    assert [end.kind for end in ends] == ["done", "done"]


def by_jobs(
    out: Path,
    *,
    epochs: int,
    on_first_epoch: Callable[[Any], None] = lambda handle: None,
    **resources: Any,
) -> list[Event]:
    """Do the runs as jobs; the handle of the first that reports an epoch is given away, once."""
    heard: list[Event] = []
    executor = executor_for(SlurmResources(**resources), PLACE, workers=2, out=out)
    assert isinstance(executor, SlurmJobs)

    def hear(event: Event) -> None:
        if event.kind == "progress" and not any(one.kind == "progress" for one in heard):
            (task,) = [task for task in executor._tasks if task.job is event.job]
            on_first_epoch(task.handle)
        heard.append(event)

    with executor:
        ends = run_parallel(planned(out, epochs=epochs), PLACE, pool=executor, on_event=hear)
    assert [end.kind for end in ends] == ["done", "done"], [end.detail for end in ends]
    assert not list((out / "logs").glob(".*"))
    return heard


def test_jobs_are_the_pools_runs_though_one_is_killed(tmp_path: Path) -> None:
    def kill(handle: Any) -> None:
        subprocess.run(
            ["pkill", "-KILL", "-P", handle.job_id], check=True
        )  # the process it started

    by_the_pool(tmp_path / "pool", epochs=60)
    heard = by_jobs(tmp_path / "jobs", epochs=60, on_first_epoch=kill, cluster="local")
    assert [event.kind for event in heard].count("retry") == 1
    (retry,) = [event for event in heard if event.kind == "retry"]
    assert "ended" in retry.detail["error"]
    assert same(facts(tmp_path / "jobs"), facts(tmp_path / "pool"))


def command(folder: Path) -> list[str]:
    return [
        "compare", "none", "--seeds", "1", "--epochs", "1", "--train-size", "20",
        "--batch-size", "10", "--out", str(folder / "out"), "--executor", "slurm",
    ]  # fmt: skip


def test_without_a_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(forecast, "forecast", lambda *runs, **where: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(command(tmp_path)) == 2
    said = "mixwright compare: --executor slurm: there is no sbatch here; give the command on a"
    assert said in capsys.readouterr().err


def _answers() -> bool:
    if shutil.which("sinfo") is None:
        return False
    done = subprocess.run(["sinfo", "--noheader"], capture_output=True, timeout=30, check=False)
    return done.returncode == 0


real = pytest.mark.skipif(not _answers(), reason="no SLURM answers here")


@real
def test_an_array_of_slurm_is_the_pools_runs_though_one_is_killed_and_one_preempted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "_ASK_EVERY", 1.0)
    monkeypatch.setattr(SlurmJobs, "patience", 3.0)

    def kill(handle: Any) -> None:
        words = ["scancel", "--signal=KILL", "--full", handle.job_id]
        subprocess.run(words, check=True)

    def preempt(handle: Any) -> None:
        handle._interrupt()  # as SLURM does it before the job's time is over

    by_the_pool(tmp_path / "pool", epochs=60)
    heard = by_jobs(tmp_path / "killed", epochs=60, on_first_epoch=kill)
    assert [event.kind for event in heard].count("retry") == 1
    assert same(facts(tmp_path / "killed"), facts(tmp_path / "pool"))
    heard = by_jobs(tmp_path / "preempted", epochs=60, on_first_epoch=preempt)
    assert [event.kind for event in heard].count("retry") == 0  # SLURM itself has put it back
    assert same(facts(tmp_path / "preempted"), facts(tmp_path / "pool"))


@real
def test_what_slurm_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(forecast, "forecast", lambda *runs, **where: None)
    monkeypatch.setattr(page, "write_report", lambda record: record)
    assert main([*command(tmp_path), "--resources", "partition=nowhere"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "mixwright" in line]
    assert line.startswith("mixwright compare: --executor slurm: sbatch refuses: ")
    assert "invalid partition" in line
