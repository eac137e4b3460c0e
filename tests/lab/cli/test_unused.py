"""Options that do nothing beside the others are refused in a sentence; those of presets are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixwright.lab.cli import main
from mixwright.lab.experiments.presets import PRESETS
from mixwright.lab.training.recipe import Recipe

OUT = "; leave it out"
REFUSED = {
    "train none --erase-mode rand": "--erase-mode does nothing without --erase" + OUT,
    "train none --erase-mode rand --erase 0": "--erase-mode does nothing with --erase 0" + OUT,
    "train none --init-weights ema": "--init-weights does nothing without --init" + OUT,
    "train none --crop-scale 0.5": "--crop-scale does nothing with --crop shift, which is the "
    "default here" + OUT,
    "train none --crop shift --crop-scale 0.08-1": "--crop-scale does nothing with --crop shift"
    + OUT,
    "train none --crop resized --crop-padding 4": "--crop-padding does nothing with --crop resized"
    + OUT,
    "train none --crop original --crop-padding-mode reflect": "--crop-padding-mode does nothing "
    "with --crop original" + OUT,
    "train none --crop-padding 0 --crop-padding-mode reflect": "--crop-padding-mode does nothing "
    "with --crop-padding 0" + OUT,
    "train none --optimizer adamw --momentum 0.9": "--momentum does nothing with --optimizer adamw"
    + OUT,
    "train none --optimizer lamb --nesterov true": "--nesterov does nothing with --optimizer lamb"
    + OUT,
    "train none --model smallvit --nesterov true": "--nesterov does nothing with --optimizer adamw,"
    " which is the default here" + OUT,
    "train none --weight-decay 0 --decay-norms false": "--decay-norms does nothing with "
    "--weight-decay 0" + OUT,
    "train none --freeze backbone --layer-decay 0.7": "--layer-decay does nothing with --freeze "
    "backbone" + OUT,
    "train none --mix-off-epochs 2": "--mix-off-epochs does nothing where nothing is mixed" + OUT,
    "train none --decoding fast": "--decoding fast does nothing here: the images of digits are "
    "held in memory and decoded once" + OUT,
    "train none --data-workers 2": "--data-workers does nothing with --data digits",
    "train none --data folder:x --data-workers -1": "--data-workers is -1; expected at least 0",
    "train none --flip true": "--flip true does nothing with digits",
    "train none --recipe timm-a2 --momentum 0.8": "--momentum does nothing with --optimizer lamb, "
    "which --recipe timm-a2 stands for" + OUT,
    "train none --recipe timm-a2 --crop-padding 2": "--crop-padding does nothing with --crop "
    "original, which --recipe timm-a2 stands for" + OUT,
    "train none --data-dir files": "--data-dir does nothing with --data digits, whose files are "
    "shipped with us" + OUT,
    "gallery mixup --data-dir files": "--data-dir does nothing with --data digits",
    "gallery mixup --data folder:photos --data-dir files": "--data-dir does nothing with --data "
    "folder:photos, whose files lie where --data says" + OUT,
    "train none --skip-unreadable": "--skip-unreadable does nothing with --data digits",
    "theory mixup --skip-unreadable": "--skip-unreadable does nothing with --data digits",
    "compare none --mix-off-epochs 1": "--mix-off-epochs does nothing where nothing is mixed" + OUT,
    "compare none --equal-time": "--equal-time does nothing where no method is compared with none",
    "gallery mixup --model resnet8": "--model does nothing here, since none of these methods looks",
    "theory cutmix --model resnet8": "--model does nothing here, since none of these methods looks",
    "bench mixup --step-models resnet20": "--step-models does nothing without --training",
    "bench mixup --precision bf16": "--precision does nothing without --training",
    "evaluate torch.nn:Flatten --data digits --weights ema": "--weights ema does nothing here",
}


@pytest.mark.parametrize("words", REFUSED)
def test_an_option_that_does_nothing_is_refused(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mixwright {words.split()[0]}: {REFUSED[words]}")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_options_counts_as_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("options.yaml").write_text("crop_scale: 0.5\n")
    assert main(["train", "none", "--config", "options.yaml"]) == 2
    assert "--crop-scale does nothing with --crop shift" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "--recipe automix-cifar --model resnet8 --epochs 2 --batch-size 10",
        "--optimizer adamw",  # momentum has its default, which nobody wrote
        "--crop resized --crop-scale 0.3",
        "--erase 0.5 --erase-mode rand",
        "--freeze backbone",
    ],
)
def test_what_nobody_wrote_is_not_refused(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["--train-size", "20", "--out", str(tmp_path / "run"), "--dry-run"]
    assert main(["train", "cutmix", *words.split(), *short]) == 0
    assert "does nothing" not in capsys.readouterr().err


def test_recipes_with_such_values_load_as_before() -> None:
    for preset in PRESETS.values():
        Recipe(**{**preset.fields, "momentum": 0.8, "erase_mode": "rand", "crop_scale": 0.3})
    odd = Recipe(optimizer="adamw", momentum=0.5, crop="resized", crop_padding=40)
    assert Recipe.from_json(odd.to_json()) == odd
