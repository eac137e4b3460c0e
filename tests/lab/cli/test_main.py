"""The commands, called as a user would call them."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lab.data.pictures import picture, write
from mixwright.checkpoint import load_checkpoint, save_checkpoint
from mixwright.lab.cli import main
from mixwright.lab.cli.list import passes
from mixwright.lab.cli.main import COMMANDS
from mixwright.lab.cli.prepare import first_process
from mixwright.lab.data.errors import DataError
from mixwright.lab.experiments import probe_model
from mixwright.lab.experiments import run as experiment
from mixwright.mixers import MIXERS
from mixwright.mixers.cards import Card
from mixwright.objectives import OBJECTIVES
from mixwright.objectives.mixed import Mixed

LIGHT = """
import sys
from mixwright.lab.cli import main
assert main(["--help"]) == 0
assert main(["compare", "--help"]) == 0
assert main(["compare", "--epoch", "3"]) == 2
assert main(["compare", "--data", "digts"]) == 2
heavy = {"torch", "numpy", "matplotlib", "scipy", "PIL"} & set(sys.modules)
assert not heavy, heavy
"""


def test_help_and_early_mistakes_import_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'Did you mean "--epochs"?' in done.stderr
    assert "Did you mean 'digits'?" in done.stderr


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mixwright", "comprae"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert 'no command comprae. Did you mean "compare"?' in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)
    assert main([]) == 2
    assert main(["--version"]) == 0
    for name in COMMANDS:
        assert main([name, "--help"]) == 0, name
        assert f"usage: mixwright {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("compare cutmx", 'Did you mean "cutmix"?'),
        ("compare cutmix:alpa=1", 'Did you mean "alpha"?'),
        ("compare none --data cifar1O", "cifar10"),
        ("compare none --model smallcnv", "smallconv"),
        ("compare none transmix", 'method "transmix": taps: SmallConv has no attention'),
        ("compare manifoldmix:layers=layr1", "nearest are"),
        ("compare none --epochs 0", "epochs is 0"),
        ("compare none cutmix --batch-size 4 --accumulate 4", "every micro batch is a single"),
        ("compare none --val-share 1", "val_share is 1.0; expected a number in [0, 1)"),
        ("train mixup --batch-size 8 --accumulate 8", "Take batch_size 16, or fewer micro"),
        ("train automix --batch-size 1", "every micro batch is a single image"),
        ("train none --train-size 1000 --subset-seeds true", "nothing for the seed to draw"),
        ("train none --train-size 10 --val-share 0.3", "which is not one of any class"),
        ("compare none --seeds 0", "seeds is 0"),
        ("compare none --workers 0", "--workers is 0"),
        ("compare none --device quantum", "no such device"),
        ("compare none --device cuda:77", "CUDA devices"),
        ("compare none --data folder:nowhere", "nowhere"),
        ("train", "expected one"),
        ("train none mixup", "expected one"),
        ("train mixup:alpha=1,", "an option is missing"),
        ("train manifoldmix:layers=layr1", "nearest are"),
        ("train tokenmixup", "expected a transformer"),
        ("train decoupledmix --label-smoothing 0.1", "Set it to 0"),
        ("evaluate nowhere.pt", "nowhere.pt"),
        ("evaluate nowhere.pt --batch-size 0", "--batch-size is 0"),
        ("gallery mixupp", 'Did you mean "mixup"?'),
        ("gallery none", "none of these can be drawn"),
        ("bench none", "nothing to measure"),
        ("bench cutmix --shapes 3x4", "expected B x C x H x W"),
        ("bench cutmix --shapes 1x3x8x8", "at least 2 images"),
        ("bench cutmx", 'Did you mean "cutmix"?'),
        ("list modls", 'Did you mean "models"?'),
    ],
)
def test_mistakes_end_in_one_message(
    words: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.startswith(f"mixwright {words.split()[0]}: ")
    assert list(tmp_path.iterdir()) == []  # nothing was begun


@pytest.mark.parametrize("command", ["compare none", "train none", "gallery mixup", "bench mixup"])
@pytest.mark.parametrize("inside", ["", "/folder"])
def test_a_file_is_no_folder(
    command: str, inside: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "afile").write_text("kept")
    assert main([*command.split(), "--out", f"{tmp_path / 'afile'}{inside}"]) == 2
    assert "afile is a file; expected a folder" in capsys.readouterr().err
    assert (tmp_path / "afile").read_text() == "kept"


def test_without_the_laboratory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jsonargparse", None)
    assert main(["compare", "none"]) == 2
    assert "needs jsonargparse" in (said := capsys.readouterr().err)
    assert "pip install 'mixwright[lab]'" in said


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for name in (*MIXERS, "none", "digits", "folder:PATH", "smallconv", "resnet18_cifar"):
        assert f"\n  {name} " in shown, name
    assert "arxiv.org/abs/1710.09412" in shown
    flat = " ".join(shown.split())
    assert "methods=mixup;cutmix;fmix;gridmix;agmix, weights=2;1;1;1;1, alpha=1" in flat
    assert "Python only" not in shown  # there is nothing that a METHOD cannot say
    assert "norm=false, or preset=paper" in flat
    assert "criterion" not in shown
    assert "passes 1 forward, 1 backward: a plain step options alpha=1" in flat
    for name, cls in OBJECTIVES.items():
        assert name == "mixed" or f"\n  {name} " in shown, cls


def test_passes_in_words() -> None:
    looking = Card(title="", paper="", link="", note="", forwards=2, input_backwards=1)
    assert passes(looking) == (
        "2 forwards, 1 backward, 1 backward to the input: 1.67 x a plain step"
    )
    sometimes = Card(title="", paper="", link="", note="", forwards=1.5)
    assert passes(sometimes) == "1.5 forwards, 1 backward: 1.17 x a plain step"


def test_list_of_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "data"]) == 0
    assert "mixup" not in capsys.readouterr().out


def unreadable(*_: object, **__: object) -> None:
    raise DataError("picture 3 cannot be read")


def scores_of(folder: Path) -> dict[str, dict[str, float]]:
    """Scores of a single run by set of weights, from what an evaluation stored."""
    record = json.loads((folder / "evaluation.json").read_text())
    found: dict[str, dict[str, float]] = {}
    for part in ("accuracy", "calibration"):
        for group in record["parts"][part]["groups"]:
            (summary,) = group["summaries"]
            scores = found.setdefault(group["weights"], {})
            if part == "accuracy":
                scores |= {name: summary[name] for name in ("top1", "top5")}
                scores["count"] = summary["images"]
            else:
                bins = summary["bins"][str(summary["headline_bins"])]
                scores |= {"nll": summary["nll"], "ece": bins["ece"]}
    return found


def of_epochs(scores: dict[str, float]) -> dict[str, float]:
    """Scores without what is measured once, after the last epoch."""
    once = ("ece_scaled", "temperature")
    assert set(once) < set(scores)
    return {name: value for name, value in scores.items() if name not in once}


def test_train_then_evaluate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where evaluate puts what it finds, unless told
    run = tmp_path / "run"
    short = ["--epochs", "1", "--train-size", "20", "--batch-size", "10", "--out", str(run)]
    quick = ["evaluate", str(run), "--only", "accuracy calibration"]
    assert main(["train", "mixup", *short]) == 0
    result = json.loads((run / "result.json").read_text())
    capsys.readouterr()
    assert main(["train", "cutmix", *short]) == 2
    assert "belongs to another recipe" in capsys.readouterr().err
    assert main([*quick, "--out", str(tmp_path / "scores")]) == 0
    found = scores_of(tmp_path / "scores")
    assert set(found) == {"raw", "ema"}
    for weights, scores in found.items():
        assert scores == pytest.approx(of_epochs(result["scores"][weights]), rel=1e-5)
    shown = capsys.readouterr().out
    assert f"{100 * result['scores']['raw']['top1']:.1f}" in shown
    assert "[4/4] mixup-s0 (ema): calibration done" in shown
    page = (tmp_path / "scores" / "report.html").read_text()
    assert "MixUp, EMA" in page
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "It holds the runs run" in capsys.readouterr().err
    whole = load_checkpoint(run / "last.pt")
    broken = {name: torch.full_like(value, torch.nan) if value.is_floating_point() else value
              for name, value in whole["weights"]["raw"].items()}  # fmt: skip
    for state, said in (
        ({name: value for name, value in whole.items() if name != "ema_updates"}, "has no ema"),
        ({**whole, "weights": {**whole["weights"], "raw": broken}}, "finite"),
    ):
        save_checkpoint(run / "last.pt", state)
        assert main(quick) == 2
        assert said in capsys.readouterr().err
    three = {**whole["weights"], "teacher": whole["weights"]["ema"]}
    save_checkpoint(run / "last.pt", {**whole, "weights": three})
    assert main([*quick, "--out", str(tmp_path / "three")]) == 0
    assert "MixUp, own teacher" in capsys.readouterr().out
    found = scores_of(tmp_path / "three")
    assert found["teacher"] == found["ema"]
    save_checkpoint(run / "last.pt", whole)
    assert main(quick) == 0
    assert "teacher" not in capsys.readouterr().out
    (folder,) = (tmp_path / "runs" / "evaluate").iterdir()
    assert folder.name.startswith("run-")
    assert (folder / "evaluation.json").is_file()
    save_checkpoint(run / "last.pt", whole)
    monkeypatch.setattr(experiment, "train", unreadable)
    assert main(["train", "mixup", *short]) == 2
    assert "train: picture 3 cannot be read" in capsys.readouterr().err
    (run / "last.pt").write_bytes(b"something else")
    assert main(quick) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals are sent otherwise on this system")
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "stopped by SIGTERM")],
)
def test_a_stopped_command_says_so_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int, code: int, said: str
) -> None:
    short = ["--epochs", "400", "--train-size", "20", "--batch-size", "10", "--out", str(tmp_path)]

    def stop() -> None:
        until = time.monotonic() + 60
        while not (tmp_path / "last.pt").exists() and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    before = signal.getsignal(signal.SIGTERM)
    stopping = threading.Thread(target=stop)
    stopping.start()
    try:
        assert main(["train", "none", *short]) == code
    finally:
        stopping.join()
    again = "the same command again goes on where it was"
    assert capsys.readouterr().err == f"\nmixwright train: {said}; {again}.\n"
    assert signal.getsignal(signal.SIGTERM) is before
    assert 1 <= load_checkpoint(tmp_path / "last.pt")["epoch"] < 400
    assert not list(tmp_path.rglob(".*.tmp"))


@pytest.mark.skipif(os.name != "posix", reason="signals are sent otherwise on this system")
def test_a_stopped_dry_run_promises_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stops.py").write_text(
        "import os, signal\n\ndef net(num_classes):\n    os.kill(os.getpid(), signal.SIGINT)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "none", "--model", "stops:net", "--dry-run"]) == 130
    assert capsys.readouterr().err.endswith("\nmixwright train: interrupted.\n")


FORKS = """
import os, signal, sys, time
from mixwright.lab.cli.errors import TerminatedError, terminated_by_sigterm
try:
    with terminated_by_sigterm():
        ready, tell = os.pipe()
        child = os.fork()
        if not child:
            os.write(tell, b"x")  # a signal that comes within the fork is lost
            time.sleep(60)
            os._exit(1)
        os.read(ready, 1)
        os.kill(child, signal.SIGTERM)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
except TerminatedError:
    print("terminated")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on this system")
def test_a_forked_child_dies_of_sigterm_as_ever() -> None:
    """Whoever forked it, a data loader or a pool of the user's, waits for that."""
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("-15\nterminated\n", "")


class Taught(Mixed):
    """Keeps its model's first weights as a teacher, and always finds something wrong."""

    def __init__(self) -> None:
        super().__init__(None)
        self.kept: nn.Module | None = None

    def build(self, model: nn.Module, num_classes: int) -> None:
        self.kept = copy.deepcopy(model).requires_grad_(False)

    def own_teacher(self) -> nn.Module | None:
        return self.kept

    def warnings(self, means: Mapping[str, float], *, progress: float) -> tuple[str, ...]:
        return (f"loss {means['loss']:.4f} is [odd]",)


def test_a_teacher_and_its_warnings_from_training_to_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    method = SimpleNamespace(objective=lambda _: Taught())
    monkeypatch.setattr(experiment, "parse_method", lambda _, **__: method)
    run = tmp_path / "run"
    short = ["--epochs", "2", "--train-size", "20", "--batch-size", "10", "--out", str(run)]
    assert main(["train", "mixup", *short]) == 0
    shown = capsys.readouterr().out
    result = json.loads((run / "result.json").read_text())
    assert "trained EMA teacher" in " ".join(shown.split())
    assert f"{100 * result['scores']['teacher']['top1']:.2f}" in shown
    assert shown.count("mixup, seed 0: loss ") == 1  # while it trained, once for both epochs
    assert shown.count("warning, epochs 1 to 2: loss ") == 1
    assert shown.count("is [odd]") == 2
    only = ["--only", "accuracy calibration"]
    assert main(["evaluate", str(run), *only, "--out", str(tmp_path / "scores")]) == 0
    found = scores_of(tmp_path / "scores")
    assert found["teacher"] == pytest.approx(of_epochs(result["scores"]["teacher"]), rel=1e-5)
    assert found["teacher"] != found["ema"]


def test_gallery(tmp_path: Path) -> None:
    out = tmp_path / "pictures"
    assert main(["gallery", "mixup", "mixup+cutmix", "--count", "2", "--out", str(out)]) == 0
    assert "MixUp + CutMix" in (page := (out / "gallery.html").read_text())
    assert "look through" not in page
    assert (out / "gallery.png").stat().st_size > 1000


def test_gallery_of_what_looks_through_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_model, "_STEPS", 20)
    run, out = tmp_path / "run", tmp_path / "out"
    short = f"--epochs 1 --train-size 20 --batch-size 10 --model resnet8 --out {run}"
    assert main(["train", "cutmix", *short.split()]) == 0
    words = f"gallery mixup mixwright.mixers.snapmix:SnapMix --count 1 --out {out}"
    capsys.readouterr()
    assert main([*words.split(), "--run", str(run)]) == 0
    told = capsys.readouterr().err
    assert "training" not in told
    page = (out / "gallery.html").read_text()
    assert "a resnet8 that was trained on digits with cutmix for 1 epoch; it knows " in page
    doubt = "The model knows too little for its maps to mean something: it knows "
    assert doubt in told
    assert "Another --run may know more." in told
    assert [doubt in part for part in page.split("<h3>")[1:]] == [False, True]  # at SnapMix alone
    assert main(words.split()) == 0
    assert "training smallconv on digits for 20 steps" in capsys.readouterr().err
    page = (out / "gallery.html").read_text()
    assert "trained on unmixed images of digits" in page
    assert doubt not in page
    assert main([*words.split(), "--run", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_images_left_out_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label in ("a", "b"):
        for place in range(6):
            write(tmp_path / "set" / label / f"{place}.png", picture(place))
    (tmp_path / "set" / "a" / "3.png").write_bytes(b"broken")
    words = f"gallery mixup --count 1 --data folder:{tmp_path / 'set'} --out {tmp_path / 'out'}"
    assert main(words.split()) == 2
    assert "a/3.png" in capsys.readouterr().err
    assert main([*words.split(), "--skip-unreadable"]) == 0
    shown = capsys.readouterr()
    assert "1 of " in shown.err
    assert "a/3.png (not an image that Pillow knows). They are left out." in shown.err
    assert "left out" not in shown.out
    assert f"folder:{tmp_path / 'set'}: 2 classes; " in shown.out
    assert "Left out: 1 " in shown.out


def test_only_the_first_process_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "2")
    assert not first_process()
    monkeypatch.setenv("RANK", "0")
    assert first_process()


def test_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"bench cutmix mixup:alpha=0.2 --shapes 4x3x8x8 --repeats 2 --out {tmp_path}"
    assert main(words.split()) == 0
    shown = capsys.readouterr().out
    assert "mixup:alpha=0.2" in shown
    assert json.loads((tmp_path / "bench.json").read_text())["shapes"][0]["shape"] == [4, 3, 8, 8]
