"""``scripts/check_gpu`` in its small mode, and what becomes of parts that hang or fail."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "check_gpu"
HANGS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("begun", child.pid, flush=True)
open(sys.argv[1], "w").write('{"epoch": 1}\\n{"epoch": ')
time.sleep(600)
"""


def loaded(path: Path) -> ModuleType:
    loader = SourceFileLoader(path.stem, str(path))
    spec = importlib.util.spec_from_loader(path.stem, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look there
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return loaded(SCRIPT)


@pytest.fixture(scope="module")
def parts() -> ModuleType:
    return loaded(SCRIPT.parent / "gpu_parts.py")


def rows(parts: ModuleType, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    setting = parts.Setting(device="cpu", small=True)
    parts.PARTS[name](setting, lambda **row: found.append(row))
    json.dumps(found)
    return found


def test_every_part_has_a_share_of_eight_minutes(script, parts):
    assert list(script.SHARES) == list(parts.PARTS)
    assert sum(script.SHARES.values()) == 480


def test_versions_and_what_is_missing(parts):
    (about,) = rows(parts, "about")
    assert about["device"] == "cpu"
    assert about["libraries"]["pytest"] == pytest.__version__
    assert "pytest" not in about["missing"]


def test_waits_are_not_measured_on_the_cpu(parts):
    first, *others = rows(parts, "waits")
    assert "CUDA alone" in first["not_measured"]
    assert {row["name"] for row in others} >= {"mixer miamix", "step none", "step transmix"}
    assert all(row["waits"] is None for row in others)


def test_memory_and_steps(parts):
    found = rows(parts, "memory")
    assert [row["step"] for row in found if "step" in row][:2] == ["none", "mixup"]
    assert all(row["peak_bytes"] is None for row in found if "mixer" in row)


def test_bench(parts):
    about, *found = rows(parts, "bench")
    assert set(about["libraries"]) == {"torchvision", "timm", "kornia"}
    assert {row["group"] for row in found} >= {"floor", "mixwright"}
    assert all(row["times_copy"] > 0 for row in found)


def test_training(parts):
    about, *epochs, end = rows(parts, "train_miamix")
    assert "made up" in about["data"]
    assert [row["epoch"] for row in epochs] == [1, 2]
    assert all(row["images_per_second"] > 0 for row in epochs)
    assert end["seconds"] > 0


def test_evaluation_and_cost(parts):
    calibration, attacked, apart = rows(parts, "evaluation")
    assert 0 <= calibration["ece"] <= 1
    assert attacked["fgsm_top1"] <= attacked["clean_top1"]
    assert apart["largest_difference_from_cpu"] == 0
    about, cutmix = rows(parts, "cost")
    assert about["clock"] == "processor time"
    assert cutmix["ratio"] > 0


def test_the_script_writes_what_it_found(tmp_path):
    out = tmp_path / "gpu.json"
    done = subprocess.run(
        [
            *(sys.executable, str(SCRIPT), "--parts", "about", "tests", "--device", "cpu"),
            *("--budget", "240", "--out", str(out)),
        ],
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.partition(" in ")[0] for line in done.stdout.splitlines()] == [
        *("device: cpu (as asked)", "[1/2] about: fine", "[2/2] tests: fine"),
        f"{out}: all fine",
    ]
    record = json.loads(out.read_text())
    assert record["fine"]
    assert record["small"]
    tests = record["parts"][1]["found"][-1]
    assert tests["passed"] > 10
    assert tests["exit_code"] == 0
    assert list(tmp_path.iterdir()) == [out]


def test_a_part_that_hangs_is_killed_with_its_children_and_the_next_one_runs(script, tmp_path):
    hang = [sys.executable, "-c", HANGS, str(tmp_path / "hang.jsonl")]
    fine = [sys.executable, "-c", "print('here')"]
    parts = [script.Part("hang", hang, 1), script.Part("next", fine, 4)]
    started = time.monotonic()
    killed, after = script.run_parts(parts, tmp_path, end=started + 10)
    assert time.monotonic() - started < 10
    assert (killed["status"], after["status"]) == ("killed", "fine")
    assert killed["limit_seconds"] == 2
    assert killed["found"] == [{"epoch": 1}]  # and no half of a line
    (line,) = killed["last_lines"]
    word, child = line.split()
    assert word == "begun"
    assert not is_running(int(child))


def is_running(process: int) -> bool:
    """Whether a process is there and not just waiting to be forgotten."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_part_that_fails_says_why(script, tmp_path):
    command = [sys.executable, "-c", "print('first'); raise SystemExit('no such kernel')"]
    row = script.run_part(script.Part("broken", command, 1), tmp_path, limit=30)
    assert (row["status"], row["exit_code"]) == ("failed", 1)
    assert row["last_lines"] == ["first", "no such kernel"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "0"], "--budget is 0.0; expected a number of seconds above 0."),
        (["--parts", "bnch"], "invalid choice: 'bnch'"),
        (["--out", str(ROOT)], "is a folder; name a file."),
    ],
)
def test_a_mistake_is_told_before_anything_runs(script, words, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["check_gpu", *words])
    with pytest.raises(SystemExit) as end:
        script.main()
    assert end.value.code == 2
    assert message in capsys.readouterr().err
