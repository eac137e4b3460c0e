"""``--recipe``: what it stands for, what is said, what is refused, what the report says."""

from pathlib import Path

import pytest

from mixwright.lab.cli.compare import _prepare  # pyright: ignore[reportPrivateUsage]
from mixwright.lab.cli.errors import UsageError
from mixwright.lab.cli.main import main
from mixwright.lab.cli.options import CompareOptions, TrainOptions
from mixwright.lab.cli.parser import parse
from mixwright.lab.cli.prepare import recipe_settings
from mixwright.lab.cli.presets import with_preset
from mixwright.lab.experiments.presets import PRESETS


def test_options_are_filled_in_as_if_they_had_been_written():
    options, learned, changed = with_preset(CompareOptions(recipe="automix-cifar", data="cifar100"))
    settings = recipe_settings(options)
    assert {k: settings[k] for k in PRESETS["automix-cifar"].fields} == dict(
        PRESETS["automix-cifar"].fields
    )
    assert (options.data, learned, changed) == ("cifar100", {"min_lr": 0.05}, "")


def test_what_stands_beside_it_wins_and_is_said():
    options, learned, changed = with_preset(
        TrainOptions(recipe="automix-cifar", lr=0.05, min_lr=0.01)
    )
    assert (options.lr, options.min_lr, learned) == (0.05, 0.01, {})
    assert changed == (
        "--recipe automix-cifar with --lr 0.05 in place of its 0.1, --min-lr 0.01 in place of its "
        "0 (0.05 with learned mixers)"
    )


def test_without_it_nothing_changes():
    assert with_preset(CompareOptions(lr=0.05)) == (CompareOptions(lr=0.05), {}, "")
    with pytest.raises(UsageError, match="--recipe nosuch: there is no such recipe"):
        with_preset(CompareOptions(recipe="nosuch"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train none --recipe nope", "--recipe nope: there is no such recipe. Known are automix-"),
        ("compare none automix --recipe automix-cifar --lr 0.01", "min_lr is 0.05; expected at"),
        (
            "train none --recipe finetune --model smallconv",
            "finetune starts from published weights",
        ),
        ("compare none automix --learned-min-lr 0.5", "min_lr is 0.5; expected at most lr, which"),
        ("compare none automix --learned-min-lr -1", "min_lr is -1.0; expected a number, at least"),
        ("compare none cutmix --learned-min-lr 0.01", "nothing where no method learns a mixer"),
        ("train none --augment randaugment:magnitude=99 --epochs 1", "magnitude is 99"),
        ("train none --freeze layer9 --epochs 1", "freeze is 'layer9', which fits no parameter"),
        ("train none --drop-path 0.1 --epochs 1", "model smallconv: drop_path is 0.1"),
        (
            "train none --crop-scale 0.5,0.1",
            "crop_scale is (0.5, 0.1); expected a share of the area",
        ),
        ("train none --crop-scale a,b", "--crop-scale is a,b; expected"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    command: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*command.split(), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("recipe", [[], ["--recipe", "automix-cifar"]])
def test_learned_mixers_may_end_at_a_rate_of_their_own(recipe: list[str], tmp_path: Path):
    words = ["none", "cutmix", "automix", "adautomix", "--seeds", "1", "--epochs", "1", *recipe]
    words += ["--learned-min-lr", "0.02", "--batch-size", "20", "--out", str(tmp_path / "out")]
    task = _prepare(parse(CompareOptions, words, prog="compare", about=""), "")
    rates = {run.method.text: run.recipe.min_lr for run in task.runs}
    assert rates == {"none": 0.0, "cutmix": 0.0, "automix": 0.02, "adautomix": 0.02}


def test_every_value_is_listed(capsys: pytest.CaptureFixture[str]):
    assert main(["list", "recipes"]) == 0
    flat = " ".join(capsys.readouterr().out.split())
    dense = flat.replace(" ", "")  # lines break at dashes too
    for name, preset in PRESETS.items():
        assert f" {name} " in flat
        assert preset.source.replace(" ", "") in dense
        for field in preset.fields:
            assert f"--{field.replace('_', '-')}" in dense
    assert "with methods that learn a mixer: --min-lr 0.05" in flat
    assert "METHOD mixup:alpha=0.1+cutmix@batch" in flat
