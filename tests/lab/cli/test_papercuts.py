"""Mistakes that people make, each told in one sentence that says what to type."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mixwright.lab.cli import main
from mixwright.lab.cli.options import CompareOptions
from mixwright.lab.cli.parser import parse, written
from mixwright.lab.experiments.methods import each_once, parse_methods

NETS = """
import torch
from torch import nn

def word(num_classes):
    return 3

class Broken(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.fc = nn.Linear(3 * 32 * 32, num_classes)
    def forward(self, x):
        return self.fc(x.flatten(1)) * float("nan")

class BrokenLater(Broken):
    def forward(self, x):  # of images that are not black
        y = self.fc(x.flatten(1))
        return y * float("nan") if x.std() > 0 else y
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "papercut_nets.py").write_text(NETS)
    (tmp_path / "garbage.pt").write_text("this is garbage")
    (tmp_path / "runs" / "compare").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "papercut_nets", raising=False)
    return tmp_path


FILE = "papercut_nets.py is the name of a file; expected that of the module, which is written"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train none --init garbage.pt", "garbage.pt cannot be read (it is no file of torch.save"),
        ("train none --model papercut_nets.py:word", f"{FILE} papercut_nets."),
        ("train papercut_nets.py:Mixer", f"{FILE} papercut_nets."),
        ("evaluate papercut_nets.py:word --data digits", f"{FILE} papercut_nets."),
        ("train none --model ./papercut_nets.py:word", "here papercut_nets:word."),
        ("train ./nets/mine.py:Mixer", "is written by its module, nets.mine:Mixer."),
        ("train none --model papercut_nets:word", "gave an int; expected a torch.nn.Module"),
        ("train none --model papercut_nets:Broken", "its logits for black images are NaN"),
        ("evaluate compar", 'there is no compar, neither as a path nor as a network with weights. '
         'Did you mean "runs/compare"? Expected a run folder'),
        ("train none --recipe finetune --recipe timm-a2", "--recipe is given twice; expected one."),
        ("train none --recipe finetune --model resnet20", "--recipe finetune starts from published "
         "weights, and resnet20 has none; give --pretrained false beside it, or --model effic"),
        ("train none --recipe timm-a2 --model resnet8 --image-size 32", "--recipe timm-a2 has steps"
         " of 2,048 images, but there are 60 images to train on"),
        ("train none --model resnet8 --batch-size 64", "--batch-size is 64, but there are 60 "),
        ("train none --crop-padding 40", "--crop-padding is 40, and images are 32 pixels wide"),
        ("train none --crop-padding 32", "--crop-padding is 32, and images are 32 pixels wide"),
    ],
)  # fmt: skip
def test_mistakes_say_what_to_do(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    error = capsys.readouterr().err
    assert said in error.splitlines()[-1]
    assert "Traceback" not in error


@pytest.mark.usefixtures("here")
def test_a_loss_that_is_no_number_is_told_at_the_first_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = "train none --model papercut_nets:BrokenLater --batch-size 4 --out run"
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert "training cannot begin: the loss of the first step is nan, before any weight" in line


def test_methods_that_are_equal_count_once() -> None:
    told: list[str] = []
    texts = ["cutmix", "cutmix:alpha=1", "CutMix:p=1,alpha=1.0", "mixup:clean=0", "mixup",
             "cutmix:alpha=0.5", "mixup+cutmix", "mixup+cutmix:p=1",
             "mixup+cutmix@batch"]  # fmt: skip
    methods = each_once(parse_methods(texts), say=told.append)
    assert [method.text for method in methods] == [
        "cutmix", "mixup:clean=0", "cutmix:alpha=0.5", "mixup+cutmix", "mixup+cutmix@batch",
    ]  # fmt: skip
    assert told == [
        "cutmix:alpha=1 is cutmix with its defaults written out: it is trained once.",
        "cutmix:alpha=1,p=1 is cutmix with its defaults written out: it is trained once.",
        "mixup:clean=0 is mixup with its defaults written out: it is trained once.",
        "mixup+cutmix:p=1 is mixup+cutmix with its defaults written out: it is trained once.",
    ]


def test_a_comparison_says_that_two_methods_are_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"compare cutmix cutmix:alpha=1 --epochs 1 --dry-run --workers 1 --out {tmp_path / 'o'}"
    assert main(words.split()) == 0
    shown = capsys.readouterr()
    assert "cutmix:alpha=1 is cutmix with its defaults written out" in shown.err
    assert "1 method x 3 seeds" in shown.out


def test_a_command_can_be_written_without_its_file(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("epochs: 7\nmethods: [none, 'cutmix:alpha=0.2']\ncrop: resized\n"
                    "crop_scale: [0.1, 0.5]\nflip: false\nskip_unreadable: true\n")  # fmt: skip
    read = parse(CompareOptions, ["--config", str(file), "--out", "a b"], prog="mixwright compare",
                 about="")  # fmt: skip
    command = written(read, "mixwright compare")
    assert command == (
        "mixwright compare none cutmix:alpha=0.2 --skip-unreadable --epochs 7 --crop resized "
        "--crop-scale '0.1;0.5' --flip false --out 'a b'"
    )
    words = [word.strip("'") for word in command.replace("a b", "a_b").split()[2:]]
    again = parse(CompareOptions, words, prog="mixwright compare", about="")
    assert again.crop_scale == (0.1, 0.5)  # pyright: ignore[reportAttributeAccessIssue]
    assert (again.methods, again.epochs, again.flip) == (read.methods, 7, False)
