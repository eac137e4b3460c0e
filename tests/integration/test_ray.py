"""Runs as tasks of Ray, on a cluster of one machine: the local pool's, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lab.cli.test_parts import facts, same
from mixwright.files import LOCK, is_locked
from mixwright.lab.cli import forecast, main
from mixwright.lab.experiments import step_costs
from mixwright.lab.experiments.executors.base import SubmitError
from mixwright.lab.experiments.executors.ray_tasks import RayTasks
from mixwright.lab.experiments.executors.resources import RayResources
from mixwright.lab.reports import page
from mixwright.lab.training.machine import machine

ray = pytest.importorskip("ray")

# A mixer of the user's own that kills its process, the first time in the second epoch.
ODD = """
import os, pathlib, signal
from dataclasses import dataclass
from mixwright.mixers import MixUp

@dataclass(frozen=True)
class DiesOnce:
    def plan(self, images, labels=None, *, generator, model=None):
        here = pathlib.Path(__file__).parent
        begun = [file for file in (here / "out/runs").glob("odd*/metrics.jsonl")]
        if begun and not (here / "died").exists():
            (here / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return MixUp().plan(images, labels, generator=generator)
"""
METHODS = ("none", "odd:DiesOnce")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two processors, one for all tests here."""
    found = os.environ.get("RAY_ADDRESS")
    if found:
        yield found
        return
    ray.init(num_cpus=2, include_dashboard=False, logging_level="error")
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "odd.py").write_text(ODD)
    (tmp_path / "died").touch()
    monkeypatch.setattr(forecast, "forecast", lambda *runs, **where: None)
    monkeypatch.setattr(page, "write_report", lambda record: record.with_name("report.html"))
    return tmp_path


def command(*words: str) -> list[str]:
    return [
        "compare", *METHODS, "--seeds", "1", "--epochs", "2", "--train-size", "20",
        "--batch-size", "10", "--out", "out", *words,
    ]  # fmt: skip


def test_tasks_are_the_pools_runs_though_one_is_killed(
    here: Path, cluster: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(step_costs, "step_costs", lambda *runs, **where: None)
        assert main(command("--workers", "1")) == 0
    (here / "out").rename(here / "pool")

    (here / "died").unlink()
    capsys.readouterr()
    on_ray = command("--executor", "ray", "--resources", f"cpus=1,address={cluster}")
    assert main(on_ray) == 0
    told = capsys.readouterr().out
    assert (here / "died").exists()
    assert told.count("odd:DiesOnce, seed 0: its Ray task ended (WorkerCrashedError") == 1
    assert "trying again" in told
    assert told.count("done in") == 2
    assert same(facts(here / "out"), facts(here / "pool"))

    # Logs, costs and what is there are as of the pool; nothing else lies about.
    logs = sorted(file.name for file in (here / "out/logs").iterdir())
    assert logs == ["cost.log", *sorted(f"{name}.log" for name in facts(here / "out"))]
    costs = json.loads((here / "out/cost.json").read_text())
    assert list(costs["methods"]) == ["odd:DiesOnce"]
    there = machine(torch.device("cpu"))
    assert (costs["device"], costs["processor"]) == (there["device"], there["cpu"])
    asked: list[object] = []
    monkeypatch.setattr(RayTasks, "hand_over", lambda self, tasks: asked.extend(tasks))
    assert main(on_ray) == 0
    assert asked == []  # nothing is done twice, costs included


def test_a_killed_command_loses_nothing(here: Path, cluster: str) -> None:
    """Its tasks end with it, their locks too; the same command here goes on."""
    words = command("--executor", "ray", "--resources", f"address={cluster}")
    words = [word if word != "2" else "2000" for word in words]  # not over before it is killed
    words += ["--eval-every", "2000"]
    driver = subprocess.Popen(
        [sys.executable, "-m", "mixwright", *words], stdout=subprocess.DEVNULL
    )
    until = time.monotonic() + 300
    while not list((here / "out/runs").glob("none-*/last.pt")):
        assert time.monotonic() < until
        assert driver.poll() is None
        time.sleep(0.1)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    (run,) = (here / "out/runs").glob("none-*")
    while is_locked(run / LOCK):
        assert time.monotonic() < until
        time.sleep(0.1)
    done = (run / "metrics.jsonl").read_text().splitlines()
    assert 1 <= len(done) < 2000
    assert not (run / "result.json").exists()


def test_what_no_machine_has_is_refused(cluster: str) -> None:
    for resources, said in (
        (RayResources(cpus=64, address=cluster), "no machine of the Ray cluster has 64 cpus; the"),
        (RayResources(gpus=8, address=cluster), "no machine of the Ray cluster has 8 gpus; the"),
    ):
        executor = RayTasks(resources, device="cpu", threads=1, most=None)
        with pytest.raises(SubmitError, match=said), executor:
            assert executor.slots
