"""The main job from end to end, with a run that is killed and one that fails."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import shutil
import threading
from pathlib import Path

import pytest

from mixwright.files import DiskFullError
from mixwright.lab.analysis.cost import read_cost
from mixwright.lab.analysis.store import read_findings
from mixwright.lab.cli import forecast, main
from mixwright.lab.experiments import grid
from mixwright.lab.experiments.executors.base import Event, Job
from mixwright.lab.reports import page

ODD = '''
import os, pathlib, signal
from dataclasses import dataclass
from mixwright.mixers import MixUp

@dataclass(frozen=True)
class DiesOnce:
    """Kills its process without warning in the second epoch, the first time."""

    def plan(self, images, labels=None, *, generator, model=None):
        metrics = list(pathlib.Path("out/runs").glob("odd*DiesOnce*/metrics.jsonl"))
        if metrics and not pathlib.Path("died").exists():
            pathlib.Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return MixUp().plan(images, labels, generator=generator)

@dataclass(frozen=True)
class Fails:
    def plan(self, images, labels=None, *, generator, model=None):
        raise RuntimeError("this one fails")
'''

COMMAND = [
    "compare", "none", "odd.mixers:DiesOnce", "odd.mixers:Fails", "--seeds", "1", "--epochs", "2",
    "--train-size", "20", "--batch-size", "10", "--workers", "1", "--out", "out",
]  # fmt: skip


def test_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "__init__.py").touch()
    (tmp_path / "odd" / "mixers.py").write_text(ODD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(forecast, "WORTH_SAYING", 0)
    assert main(COMMAND) == 1  # one run failed
    shown = capsys.readouterr().out
    # What it would take was measured in the process that then did the runs.
    assert re.search(r"\nabout .*: 3 runs of .* on 1 worker; \d\.\d GiB each\n", shown)
    assert "odd.mixers:Fails: a training step could not be measured: RuntimeError: this" in shown
    assert (tmp_path / "died").exists()
    assert "3 methods x 1 seed: smallconv on digits" in shown
    assert "trying again" in shown
    assert "odd.mixers:Fails, seed 0 FAILED" in shown
    assert "RuntimeError: this one fails" in shown
    findings = read_findings(tmp_path / "out")
    groups = findings.parts["scores"].groups
    assert [group.key for group in groups] == [
        "none raw", "none ema", "odd.mixers:DiesOnce raw", "odd.mixers:DiesOnce ema",
    ]  # fmt: skip
    assert [failure.name for failure in findings.about.failures] == ["odd.mixers:Fails, seed 0"]
    for group in groups:
        run = tmp_path / "out" / group.folders[0]
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in lines] == [1, 2]
        result = json.loads((run / "result.json").read_text())
        scores = result["scores"][group.weights]
        assert {name: group.first[name] for name in scores} == scores
        assert f"{100 * scores['top1']:.1f}" in shown
    assert "data:image/png" in (tmp_path / "out" / "report.html").read_text()
    # Costs were measured of what has finished, once; no clock on the wall ranks it.
    assert "measuring what a training step costs with 1 of the methods" in shown
    costs = json.loads((tmp_path / "out" / "cost.json").read_text())["methods"]
    assert list(costs) == ["odd.mixers:DiesOnce"]
    none, odd = read_cost(findings.parts["cost"]).methods
    assert (none.step_times, odd.step_times) == (1.0, costs["odd.mixers:DiesOnce"]["ratio"])
    assert any("this one fails" in log.read_text() for log in (tmp_path / "out/logs").iterdir())

    # The same command tries what failed, and nothing else.
    asked: list[str] = []

    class Listener:
        def __init__(self, **settings: object) -> None: ...

        def __enter__(self) -> Listener:
            return self

        def __exit__(self, *error: object) -> None: ...

        def run(self, jobs: list[Job], **settings: object) -> list[Event]:
            asked.extend(job.name for job in jobs if "estimate" not in job.request)
            return []

    monkeypatch.setattr(grid, "Pool", Listener)
    monkeypatch.setattr(page, "write_report", lambda record: record.with_name("report.html"))
    before = (tmp_path / "out" / "comparison.csv").read_text()
    assert main(COMMAND) == 0
    assert asked == ["odd.mixers:Fails, seed 0"]
    again = [word for word in COMMAND if not word.endswith("Fails")]
    assert main(again) == 0
    assert len(asked) == 1
    assert (tmp_path / "out" / "comparison.csv").read_text() == before

    # Records of runs, without their weights, are enough to carry a comparison on elsewhere.
    for file in (tmp_path / "out/runs").glob("*/*.json*"):
        there = tmp_path / "kept" / file.relative_to(tmp_path / "out")
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, there)
    more = [*again[:-1], "kept", "--seeds", "2"]
    assert main(more) == 0
    assert asked[1:] == ["none, seed 1", "odd.mixers:DiesOnce, seed 1"]
    del asked[1:]

    # Another model in the same folder: its record would take the place of this one.
    gives_way = "out holds the record and page of a comparison of smallconv on digits; they give"
    assert gives_way not in capsys.readouterr().out
    assert main([*again, "--model", "resnet8", "--dry-run"]) == 0
    assert gives_way in capsys.readouterr().out

    # A run whose result is damaged is done again; damaged epochs are named; no page, yet a table.
    (none,) = (tmp_path / "out/runs").glob("none-s0-*")
    (none / "metrics.jsonl").write_bytes(b"\xff" + (none / "metrics.jsonl").read_bytes())
    (died,) = (tmp_path / "out/runs").glob("odd*DiesOnce*")
    whole = (died / "result.json").read_text()
    (died / "result.json").write_text(whole[: len(whole) // 2])
    capsys.readouterr()

    def full(record: Path) -> Path:
        raise DiskFullError(errno.ENOSPC, record.parent)

    monkeypatch.setattr(page, "write_report", full)
    assert main(again) == 1
    assert asked[1:] == ["odd.mixers:DiesOnce, seed 0"]
    told = capsys.readouterr()
    assert "none, seed 0: 1 of 2 epochs are missing or damaged" in told.out
    assert "top-1" in told.out
    assert told.err == (
        "mixwright compare: no space left on out; make room, then the same command again goes on "
        "where it was.\n"
    )

    with contextlib.ExitStack() as other:
        other.enter_context(grid.alone_in(tmp_path / "out"))
        threading.Timer(0.5, other.close).start()
        assert main(again) == 1  # the page, as before
    assert "another mixwright is writing to out; waiting for it\n" in capsys.readouterr().out

    # Results that a newer version wrote, all of them: one sentence.
    for result in (tmp_path / "out/runs").glob("*/result.json"):
        result.write_text('{"format": 99}')
    assert main(again) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith("mixwright compare: out: no result can be read. none, seed 0: ")
    assert line.endswith("or a newer one. So it is with 1 more.")
