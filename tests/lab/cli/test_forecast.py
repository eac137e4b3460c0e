"""What is said of a command before it starts, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixwright.lab.cli import forecast as module
from mixwright.lab.cli import main
from mixwright.lab.cli.forecast import estimate_line, run_line
from mixwright.lab.experiments.estimate import Estimate, Sparser
from mixwright.lab.experiments.grid import Planned, plan_runs
from mixwright.lab.experiments.methods import parse_methods

SHORT = ["--epochs", "2", "--train-size", "20", "--batch-size", "10"]
GIB = 2**30


def of(seconds: float, *runs: float, workers: int = 2, memory: int | None = GIB) -> Estimate:
    return Estimate(
        seconds=seconds, runs=runs, workers=workers, memory=memory, free=None, disk=0
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (of(1090, *[180] * 12), "18 minutes: 12 runs of 3 minutes on 2 workers; 1.0 GiB each"),
        (of(600, 100, 400), "10 minutes: 2 runs of 2 to 7 minutes on 2 workers; 1.0 GiB each"),
        (of(370, 40, 350), "6 minutes: 2 runs of 40 seconds to 6 minutes on 2 workers; 1.0 GiB each"),  # noqa: E501
        (of(59, 59, workers=1, memory=None), "59 seconds: 1 run of 59 seconds on 1 worker"),
        (of(3, 0.1, 1.7), "3 seconds: 2 runs of 1 to 2 seconds on 2 workers; 1.0 GiB each"),
        (of(90_000, 9000.0), "25 hours: 1 run of 2.5 hours on 2 workers; 1.0 GiB each"),
    ],
)  # fmt: skip
def test_the_line_of_a_comparison(found: Estimate, line: str) -> None:
    assert estimate_line(found) == f"about {line}"


def test_rarer_evaluations_stand_at_the_end_of_a_line() -> None:
    found = replace(of(600, 300, 300), sparser=Sparser(12, 250.0))
    assert estimate_line(found) == (
        "about 10 minutes: 2 runs of 5 minutes on 2 workers; 1.0 GiB each; with --eval-every 12 "
        "about 4 minutes"
    )


def test_the_line_of_a_run(tmp_path: Path) -> None:
    def run(epochs: int) -> Planned:
        settings = {"epochs": epochs, "warmup_epochs": 0}
        return plan_runs(parse_methods(["none"]), settings, seeds=1, out=tmp_path)[0]

    assert run_line(of(180, 180), run(20)) == "about 3 minutes: 20 epochs of 9 seconds; 1.0 GiB"
    assert run_line(of(40, 40, memory=None), run(1)) == "about 40 seconds: 1 epoch of 40 seconds"


def test_a_dry_run_says_all_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "mixup:alpha=0.3", *SHORT, "--dry-run"]) == 0
    assert list(tmp_path.iterdir()) == []
    shown = capsys.readouterr().out
    assert "20 images to train on (2 a class), 797 images to test on" in shown
    assert "  mixup:alpha=0.3: MixUp (alpha 0.3) (" in shown
    assert "mixup.alpha 0.3" in shown
    assert "model smallconv, epochs 2, batch_size 10" in shown
    assert "lr 0.05" in shown  # the default of the digits
    # A process that has trained before is ready in a second, a busy machine in minutes.
    assert re.search(r"estimate: about \d+ (second|minute)s?: 2 epochs of ", shown)
    assert " MiB on disk" in shown


def test_a_function_that_gives_its_network_again_is_a_mistake_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shared_net.py").write_text(
        "from torch import nn\n"
        "net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))\n"
        "def build(num_classes): return net\n"
    )
    monkeypatch.chdir(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    assert main(["train", "none", *SHORT, "--model", "shared_net:build"]) == 2
    assert {path.name for path in tmp_path.iterdir()} - before <= {"__pycache__"}
    assert "returned the same module again; expected a new one" in capsys.readouterr().err


def test_a_dry_run_of_a_comparison_starts_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[int] = []

    def ready(*runs: Any, workers: int, **where: Any) -> Estimate:
        asked.append(workers)
        return of(1000.0, 400.0, 500.0)

    monkeypatch.setattr(module, "forecast", ready)
    words = ["compare", "none", "cutmix", "--seeds", "2", *SHORT, "--workers", "3", "--dry-run"]
    assert main(words) == 0
    assert (asked, list(tmp_path.iterdir())) == ([3], [])
    shown = capsys.readouterr().out
    assert "2 methods x 2 seeds: smallconv on digits" in shown
    assert "  none: No mixing\n  cutmix: CutMix (" in shown
    assert "cutmix.alpha 1, cutmix.box official" in shown
    assert "seeds: 0, 1\nestimate: about 17 minutes: 2 runs of 7 to 8 minutes on 2 w" in shown


def test_a_dry_run_says_what_methods_have_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The floor of the rate, which this recipe gives to methods that learn a mixer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "forecast", lambda *runs, **where: None)
    words = ["--recipe", "automix-cifar", "--model", "smallconv", *SHORT, "--dry-run"]
    assert main(["compare", "none", "automix", *words]) == 0
    shown = capsys.readouterr().out
    assert "\n  none: min_lr 0.0\n  automix: min_lr 0.05\nseeds: " in shown


Refuse = Callable[[int], str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> Refuse:
    """The message of a command that is given so much memory; nothing is begun."""

    def refuse(free: int) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(module, "free_memory", lambda: free)
        assert main(["train", "none", *SHORT]) == 2
        assert list(tmp_path.iterdir()) == []
        return capsys.readouterr().err

    return refuse


def test_a_step_that_cannot_fit_is_not_taken(
    refused: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*where: Any, **more: Any) -> None:
        raise AssertionError("this step would not fit")

    monkeypatch.setattr(module, "measure_run", taken)
    error = refused(2**20)  # a megabyte; ten images alone keep about as much in the network
    assert "training needs 0.0 GiB of memory, of which 0.0 GiB are free: a step is 10" in error
    assert "images of 32x32 pixels in smallconv. Give a smaller --batch-size" in error


def test_memory_that_was_measured_is_refused(refused: Refuse) -> None:
    """A process with torch in it takes more than 60 MiB, and ten digits less."""
    error = refused(60 * 2**20)
    assert "of memory, of which 0.1 GiB are free" in error
    assert "or a smaller --image-size." in error


def test_a_step_is_not_larger_than_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "none", *SHORT[:4], "--out", str(tmp_path / "run"), "--batch-size"]
    assert main([*words, "21"]) == 2
    assert (
        "--batch-size is 21, but there are 20 images to train on; expected at most 20."
        in capsys.readouterr().err
    )
    assert main([*words, "1000000000"]) == 2
    assert "--batch-size is 1,000,000,000" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main([*words, "20"]) == 0
