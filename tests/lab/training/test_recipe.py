"""The recipe: checked, stable on paper, read without torch."""

import dataclasses
import json
import subprocess
import sys

import pytest

from mixwright.lab.settings import field_types, read_value
from mixwright.lab.training.recipe import Recipe, RecipeError, differences, recipe_hash


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 0, "epochs is 0; expected a whole number, at least 1"),
        ("epochs", 2.5, "epochs is 2.5; expected a whole number"),
        ("epochs", True, "epochs is True; expected a whole number"),
        ("batch_size", 0, "batch_size is 0"),
        ("batch_size", "50", "batch_size is '50'"),
        ("lr", 0, "lr is 0.0; expected a number above 0, at most 1e+06"),
        ("lr", 3e38, "lr is 3e+38; expected a number above 0, at most 1e+06"),
        ("lr", float("nan"), "lr is nan; expected a finite number"),
        ("lr", True, "lr is True"),
        ("momentum", 1.0, "momentum is 1.0; expected a number in [0, 1)"),
        ("momentum", 0.0, "set nesterov to false"),
        ("weight_decay", -1, "weight_decay is -1.0"),
        ("weight_decay", 3e300, "weight_decay is 3e+300; expected a number in [0, 1e+06]"),
        ("label_smoothing", 1, "label_smoothing is 1.0"),
        ("ema_decay", -0.1, "ema_decay is -0.1"),
        ("warmup_epochs", 21, "at most epochs, which is 20"),
        ("mix_off_epochs", 21, "at most epochs, which is 20"),
        ("min_lr", 0.2, "at most lr, which is 0.1"),
        (
            "optimizer",
            "adam",
            "optimizer is 'adam'; expected one of sgd, adamw, lamb. Did you mean",
        ),
        ("loss", "mse", "loss is 'mse'; expected one of ce, bce"),
        ("precision", "BF16", "Did you mean 'bf16'?"),
        ("accumulate", 3, "Take batch_size 48"),
        ("grad_clip", 0, "grad_clip is 0.0"),
        ("flip", 1, "flip is 1; expected true or false"),
        ("train_size", 0, "train_size is 0"),
        ("image_size", 1.5, "image_size is 1.5; expected a whole number or null"),
        ("crop_padding", -1, "crop_padding is -1"),
        ("seed", None, "seed is None; expected a whole number"),
        ("data", " ", "data is ' '; expected a name"),
    ],
)
def test_values_out_of_range_are_named(field, value, message):
    with pytest.raises(RecipeError) as caught:
        Recipe(**{field: value})
    assert message in str(caught.value)


def test_limits_are_allowed():
    Recipe(epochs=1, warmup_epochs=1, mix_off_epochs=1, min_lr=0.1, momentum=0, nesterov=False)
    Recipe(momentum=0, optimizer="adamw")
    Recipe(batch_size=50, accumulate=5, grad_clip=1, train_size=1, image_size=None)


def test_json_brings_every_field_back():
    recipe = Recipe(
        method="cutmix", lr=0.3, grad_clip=2.0, train_size=77, precision="bf16", loss="bce"
    )
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert list(json.loads(recipe.to_json())) == [f.name for f in dataclasses.fields(Recipe)]


def test_what_json_leaves_out_is_default_and_what_it_invents_is_refused():
    assert Recipe.from_json('{"epochs": 3}') == Recipe(epochs=3)
    with pytest.raises(RecipeError, match=r"'epoch' is not known. Did you mean 'epochs'?"):
        Recipe.from_json('{"epoch": 3}')
    with pytest.raises(RecipeError, match="not valid JSON"):
        Recipe.from_json("{")
    with pytest.raises(RecipeError, match="holds a list"):
        Recipe.from_json("[]")


OTHER = {
    "data": "cifar10",
    "model": "resnet20",
    "method": "mixup",
    "epochs": 21,
    "batch_size": 51,
    "optimizer": "adamw",
    "lr": 0.2,
    "momentum": 0.8,
    "nesterov": False,
    "weight_decay": 1e-4,
    "decay_norms": False,
    "warmup_epochs": 0,
    "min_lr": 1e-3,
    "loss": "bce",
    "label_smoothing": 0.1,
    "ema_decay": 0.99,
    "mix_off_epochs": 2,
    "precision": "bf16",
    "accumulate": 2,
    "grad_clip": 1.0,
    "drop_path": 0.1,
    "layer_decay": 0.75,
    "freeze": "backbone",
    "channels_last": True,
    "compile": True,
    "deterministic": True,
    "crop": "resized",
    "crop_padding": 2,
    "crop_padding_mode": "reflect",
    "crop_scale": (0.08, 0.5),
    "flip": False,
    "decoding": "fast",
    "augment": "trivialaugment",
    "erase": 0.25,
    "erase_mode": "const",
    "pretrained": True,
    "init": "runs/one",
    "init_weights": "ema",
    "init_digest": "0123abcd",
    "train_size": 100,
    "val_share": 0.1,
    "subset_seeds": True,
    "image_size": 64,
    "centre_crop": 0.2,
    "eval_every": 2,
    "seed": 1,
}


def test_each_field_changes_the_hash():
    assert list(OTHER) == [field.name for field in dataclasses.fields(Recipe)]
    changed = [Recipe(**{name: value}) for name, value in OTHER.items()]
    assert len({recipe_hash(one) for one in [Recipe(), *changed]}) == len(OTHER) + 1
    for name, one in zip(OTHER, changed, strict=True):
        assert differences(Recipe(), one) == {name: (getattr(Recipe(), name), OTHER[name])}


def test_a_crop_scale_is_one_number_or_two():
    one, two = Recipe(crop_scale=1), Recipe(crop_scale=(0.08, 0.9))
    assert (one.crop_scale, two.crop_scale) == (1.0, (0.08, 0.9))
    assert Recipe(crop_scale=(0.08, 1)) == Recipe(crop_scale=0.08)  # one run, one name
    assert Recipe.from_json(two.to_json()) == two
    assert len({recipe_hash(Recipe(crop_scale=scale)) for scale in (0.08, (0.08, 0.9), 0.5)}) == 3
    for wrong in ((0.5, 0.2), (0.0, 1.0), 1.5):
        with pytest.raises(RecipeError, match=r"crop_scale .*expected a share of the area in"):
            Recipe(crop_scale=wrong)
    with pytest.raises(RecipeError, match=r"crop_scale is \(0\.5, 0\.2\); expected"):
        Recipe(crop_scale=(0.5, 0.2))


@pytest.mark.parametrize("text", ["0.08,0.9", "0.08-0.9", "0.08;0.9"])
def test_both_ends_are_read_from_text(text: str):
    assert read_value(text, field_types(Recipe)["crop_scale"]) == (0.08, 0.9)
    assert read_value("0.25", field_types(Recipe)["crop_scale"]) == 0.25


def test_the_hash_is_pinned():
    # A change here orphans every run folder there is: add to the changelog.
    assert recipe_hash(Recipe()) == "79b14eb2"


def test_a_field_that_comes_later_gives_older_runs_no_new_names():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Later(Recipe):
        more: int = 0

    assert recipe_hash(Later()) == recipe_hash(Recipe()) != recipe_hash(Later(more=1))


def test_recipe_is_read_without_torch():
    code = (
        "import sys; from mixwright.lab.training import Recipe, recipe_hash; recipe_hash(Recipe());"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
