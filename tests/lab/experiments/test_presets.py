"""Published recipes: values against their sources, what beside them wins, what methods get."""

from pathlib import Path
from typing import Any

import pytest

from mixwright.lab.data.policies import RandAugment, parse_policy
from mixwright.lab.experiments.grid import learns_mixer, plan_runs
from mixwright.lab.experiments.methods import parse_method, parse_methods
from mixwright.lab.experiments.presets import PRESETS, fill, find_preset, shown
from mixwright.lab.training.recipe import Recipe


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_recipe_with_a_source(name: str):
    preset = PRESETS[name]
    recipe = Recipe.from_fields({**preset.fields, **preset.learned})
    assert all(
        getattr(recipe, key) == value for key, value in {**preset.fields, **preset.learned}.items()
    )
    assert preset.title
    assert "arXiv:" in preset.source
    assert "method" not in preset.fields
    assert "seed" not in preset.fields
    if preset.methods:
        parse_method(preset.methods)
    if recipe.augment:
        parse_policy(recipe.augment)


def test_the_values_of_the_papers():
    """Written down again from tables of the papers, not from the presets."""
    automix = Recipe.from_fields(find_preset("automix-cifar").fields)
    assert (automix.batch_size, automix.weight_decay, automix.lr) == (100, 1e-4, 0.1)
    assert (automix.momentum, automix.nesterov, automix.warmup_epochs) == (0.9, False, 0)
    assert (automix.crop_padding, automix.crop_padding_mode) == (4, "reflect")
    assert (automix.min_lr, find_preset("automix-cifar").learned) == (0, {"min_lr": 0.05})
    a2 = Recipe.from_fields(find_preset("timm-a2").fields)
    assert (a2.optimizer, a2.lr, a2.weight_decay, a2.batch_size) == ("lamb", 5e-3, 0.02, 2048)
    assert (a2.epochs, a2.warmup_epochs, a2.drop_path, a2.loss) == (300, 5, 0.05, "bce")
    assert (a2.label_smoothing, a2.erase, a2.image_size, a2.crop) == (0, 0, 224, "original")
    assert a2.augment is not None
    assert parse_policy(a2.augment) == RandAugment(layers=2, magnitude=7, std=0.5)
    tuned = Recipe.from_fields(find_preset("finetune").fields)
    assert (tuned.model, tuned.pretrained) == ("efficientnet_lite0", True)
    assert (tuned.lr, tuned.epochs, tuned.image_size, tuned.batch_size) == (0.03, 60, 64, 50)


def test_what_is_given_wins_and_is_named():
    fields, changed = fill(PRESETS["automix-cifar"], {"lr": 0.05, "epochs": 200, "train_size": 9})
    assert (fields["lr"], fields["epochs"], fields["batch_size"]) == (0.05, 200, 100)
    assert fields["train_size"] == 9
    assert changed == ["--lr 0.05 in place of its 0.1"]
    _, changed = fill(PRESETS["automix-cifar"], {"min_lr": 0.0})
    assert changed == ["--min-lr 0 in place of its 0 (0.05 with learned mixers)"]
    assert fill(PRESETS["automix-cifar"], {})[1] == []


def test_a_warm_up_keeps_its_share_of_the_run():
    fields, changed = fill(PRESETS["timm-a2"], {"epochs": 60})
    assert fields["warmup_epochs"] == 1
    assert changed[1] == "a warm-up of 1 epoch in place of its 5"
    fields, changed = fill(PRESETS["timm-a2"], {"epochs": 60, "warmup_epochs": 5.0})
    assert fields["warmup_epochs"] == 5
    assert len(changed) == 1


def test_a_start_of_ones_own_takes_the_place_of_published_weights():
    fields, changed = fill(PRESETS["finetune"], {"init": "runs/x"})
    assert fields["pretrained"] is False
    assert changed == ["--init in place of its published weights"]


def test_methods_that_learn_a_mixer_have_fields_of_their_own(tmp_path: Path):
    preset = find_preset("automix-cifar")
    methods = parse_methods(["none", "mixup", "automix", "adautomix", "decoupledmix", "samix"])
    assert [m.text for m in methods if learns_mixer(m)] == ["automix", "adautomix", "samix"]
    runs = plan_runs(methods, preset.fields, seeds=2, out=tmp_path, learned=preset.learned)
    for run in runs:
        learned = run.method.text in ("automix", "adautomix", "samix")
        assert run.recipe.min_lr == (0.05 if learned else 0.0)
        assert run.recipe.batch_size == 100
    plain = plan_runs(methods, preset.fields, seeds=2, out=tmp_path)
    assert {run.recipe.min_lr for run in plain} == {0.0}


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r'no such recipe\. Did you mean "automix-cifar"\?'):
        find_preset("automix-cifer")


def test_options_as_one_would_write_them():
    fields: dict[str, Any] = {"min_lr": 0.05, "flip": True, "crop_scale": (0.08, 0.5)}
    assert shown(fields) == "--min-lr 0.05 --flip true --crop-scale 0.08;0.5"


@pytest.mark.parametrize("name", PRESETS)
def test_the_page_shows_every_value(name: str):
    page = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text()
    flat, preset = " ".join(page.split()), PRESETS[name]
    assert f"## {name} " in flat
    assert shown(preset.fields) in flat
    assert f"Source: {preset.source}." in flat
    assert f"Departs: {' '.join(preset.departs)}" in flat
    assert not preset.learned or f"Learned: `{shown(preset.learned)}`." in flat
    assert preset.methods in flat
