"""Fine-tuning: one run's weights as the start of another, by path or by pattern."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.training.tiny import tiny_data
from mixwright.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from mixwright.lab.data import Augment, Dataset, ResizedCrop
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.experiments.comparing import compare_runs
from mixwright.lab.experiments.defaults import recipe_defaults
from mixwright.lab.experiments.finetune import find_start, resolve_init
from mixwright.lab.experiments.grid import plan_runs
from mixwright.lab.experiments.methods import parse_method, parse_methods
from mixwright.lab.experiments.run import new_model
from mixwright.lab.training.learner import build_criterion
from mixwright.lab.training.loop import train
from mixwright.lab.training.recipe import Recipe, RecipeError, recipe_hash
from mixwright.lab.training.schedule import learning_rate
from mixwright.lab.training.session import augmentation

TINY: dict[str, Any] = {"model": "smallconv", "epochs": 1, "batch_size": 20, "warmup_epochs": 0}


def data_of(classes: int) -> Dataset:
    """Three classes that the sources know, or four that they do not."""
    data = tiny_data()
    return data if classes == 3 else replace(data, classes=(*data.classes, "grey"))


def carry_out(recipe: Recipe, folder: Path, *, classes: int = 3) -> None:
    data = data_of(classes)
    train(
        recipe,
        model=new_model(recipe, data),
        objective=parse_method(recipe.method).objective(build_criterion(recipe)),
        data=data,
        evaluate=evaluate,
        folder=folder,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods times two seeds, pre-trained on three classes."""
    out = tmp_path_factory.mktemp("pre")
    for planned in plan_runs(parse_methods(["none", "mixup"]), TINY, seeds=2, out=out):
        carry_out(planned.recipe, planned.folder)
    return out / "runs"


def started(runs: Path, *, classes: int, seed: int = 0, method: str = "none", **more: Any):
    """A recipe that starts from the run of its method and seed, and its network."""
    settings = {**TINY, "init": str(runs / "{method}-s{seed}-*"), **more}
    fields = resolve_init(settings, method=method, seed=seed)
    recipe = Recipe.from_fields({**fields, "seed": seed})
    return recipe, new_model(recipe, data_of(classes)).state_dict()


def test_all_but_the_last_layer_is_the_runs(runs: Path):
    for method in ("none", "mixup"):
        recipe, state = started(runs, classes=4, method=method)
        source = load_checkpoint(Path(str(recipe.init)) / "last.pt")["weights"]["raw"]
        fresh = new_model(Recipe(**TINY), data_of(4)).state_dict()
        for name, value in state.items():
            wanted = fresh if name.startswith("model.fc.") else source
            assert torch.equal(value, wanted[name]), name
    other = started(runs, classes=4, seed=1)[1]
    assert not torch.equal(state["model.fc.weight"], other["model.fc.weight"])


def test_the_last_layer_stays_where_the_classes_do(runs: Path):
    recipe, state = started(runs, classes=3)
    source = load_checkpoint(Path(str(recipe.init)) / "last.pt")["weights"]["raw"]
    assert all(torch.equal(value, source[name]) for name, value in state.items())


def test_the_last_layer_follows_the_names_of_classes(runs: Path):
    """In another order of classes, each class keeps its own row."""
    recipe, _ = started(runs, classes=3)
    turned = replace(data_of(3), classes=("blue", "red", "green"))
    state = new_model(recipe, turned).state_dict()
    source = load_checkpoint(Path(str(recipe.init)) / "last.pt")["weights"]["raw"]
    for name, value in state.items():  # red, green, blue there
        wanted = source[name][[2, 0, 1]] if name.startswith("model.fc.") else source[name]
        assert torch.equal(value, wanted), name


def test_averaged_weights(runs: Path):
    recipe, state = started(runs, classes=3, init_weights="ema")
    source = load_checkpoint(Path(str(recipe.init)) / "last.pt")
    weights = source["weights"]
    assert all(torch.equal(value, weights["ema"][name]) for name, value in state.items())
    assert not torch.equal(state["model.fc.weight"], weights["raw"]["model.fc.weight"])
    with pytest.raises(CheckpointError, match="no teacher of its own; expected --init-weights raw"):
        started(runs, classes=3, init_weights="teacher")


def test_each_method_and_seed_has_its_own_start(runs: Path, tmp_path: Path):
    settings = {**TINY, "init": str(runs / "{method}-s{seed}-*"), "mix_off_epochs": 1}
    methods = parse_methods(["none", "mixup"])
    planned = plan_runs(methods, settings, seeds=2, out=tmp_path)
    starts = [str(one.recipe.init) for one in planned]
    assert [Path(start).name.rpartition("-")[0] for start in starts] == [
        *("none-s0", "mixup-s0", "none-s1", "mixup-s1"),
    ]
    assert len({one.recipe.init_digest for one in planned}) == 4
    carry_out(planned[1].recipe, planned[1].folder, classes=4)
    assert Recipe.from_json((planned[1].folder / "recipe.json").read_text()).init == starts[1]


def test_folders_of_different_starts_never_mix(runs: Path, tmp_path: Path):
    place = tmp_path / "pre"
    shutil.copytree(next(runs.glob("none-s0-*")), place)
    before = Recipe.from_fields(resolve_init({**TINY, "init": str(place)}, method="none", seed=0))
    state = load_checkpoint(place / "last.pt")
    state["weights"]["raw"]["model.fc.bias"] += 1
    save_checkpoint(place / "last.pt", state)
    after = Recipe.from_fields(resolve_init({**TINY, "init": str(place)}, method="none", seed=0))
    assert recipe_hash(before) != recipe_hash(after)
    with pytest.raises(CheckpointError, match="another training has replaced those this run"):
        new_model(before, data_of(4))
    new_model(after, data_of(4))


def test_a_recipe_without_a_start_is_left_alone():
    assert resolve_init(TINY, method="none", seed=0) == TINY


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("{method}-s{seed}", "none-s0 does not exist; expected a run folder"),
        ("{method}-s*", "fits 2 runs, none-s0-.* and none-s1-.*narrower"),
        ("{model}-s{seed}-*", "{model} is not known; expected {method}, {seed}"),
    ],
)
def test_patterns_that_are_refused(runs: Path, pattern: str, says: str):
    with pytest.raises(CheckpointError, match=says):
        find_start(str(runs / pattern), method="none", seed=0)


def test_starts_that_are_refused(runs: Path, tmp_path: Path):
    start = str(next(runs.glob("none-s0-*")))
    with pytest.raises(CheckpointError, match=r"its network is smallconv, not resnet8.*Give --mod"):
        resolve_init({**TINY, "model": "resnet8", "init": start}, method="none", seed=0)
    with pytest.raises(CheckpointError, match="its network is smallconv, not resnet8"):
        new_model(Recipe(**{**TINY, "model": "resnet8", "init": start}), data_of(3))
    (tmp_path / "other.pt").write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=r"other.pt cannot be read"):
        resolve_init({**TINY, "init": str(tmp_path / "other.pt")}, method="none", seed=0)
    save_checkpoint(tmp_path / "bare.pt", {"kind": "mixer"})
    with pytest.raises(CheckpointError, match=r"has no recipe, weights, ema_updates, classes"):
        resolve_init({**TINY, "init": str(tmp_path / "bare.pt")}, method="none", seed=0)
    with pytest.raises(RecipeError, match="pretrained is True; expected false where init is"):
        Recipe(init=start, pretrained=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda weights: weights.pop("model.layer1.conv.weight"), "lack model.layer1.conv.weight"),
        (lambda weights: weights.update(extra=torch.zeros(1)), "lack none and have extra beside"),
        (
            lambda weights: weights.update({"mean": torch.zeros(1, 1, 1, 1)}),
            r"mean has the shape \(1, 1, 1, 1\) there and \(1, 3, 1, 1\) here",
        ),
    ],
)
def test_weights_that_do_not_fit(runs: Path, tmp_path: Path, change: Any, says: str):
    state = load_checkpoint(next(runs.glob("none-s0-*")) / "last.pt")
    change(state["weights"]["raw"])
    save_checkpoint(tmp_path / "odd.pt", state)
    with pytest.raises(CheckpointError, match=says):
        new_model(Recipe(**TINY, init=str(tmp_path / "odd.pt")), data_of(4))


def test_a_comparison_tells_no_start_that_its_runs_do_not_share(runs: Path, tmp_path: Path):
    settings = {**TINY, "init": str(runs / "{method}-s{seed}-*")}
    planned = plan_runs(parse_methods(["none", "mixup"]), settings, seeds=1, out=tmp_path)
    for one in planned:
        carry_out(one.recipe, one.folder, classes=4)
    findings, _ = compare_runs(planned, [], data=data_of(4), command="", parallel=1, out=tmp_path)
    recipe = findings.about.recipe
    assert recipe is not None
    assert "init" not in recipe
    assert "init_digest" not in recipe
    assert recipe["init_weights"] == "raw"


@pytest.mark.parametrize("mirrored", [True, False])
def test_training_crops_as_the_recipe_says(mirrored: bool):
    resized = Recipe(crop="resized", crop_scale=0.3)
    assert augmentation(resized, mirrored=mirrored) == ResizedCrop(scale=0.3, flip=mirrored)
    assert augmentation(Recipe(crop_padding=2), mirrored=mirrored) == Augment(2, flip=mirrored)


@pytest.mark.parametrize("data", ["cub200", "aircraft", "cars"])
def test_fine_grained_recipes(data: str):
    recipe = Recipe.from_fields({"data": data, **recipe_defaults(data)})
    assert (recipe.lr, recipe.momentum, recipe.nesterov) == (1e-3, 0.9, False)
    assert (recipe.weight_decay, recipe.batch_size, recipe.epochs) == (5e-4, 16, 200)
    assert (recipe.crop, recipe.crop_scale, recipe.pretrained) == ("resized", 0.5, True)
    step = 1 / (200 * 375)  # 5,994 images of CUB
    rates = [
        learning_rate(
            epoch / 200, step=step, highest=recipe.lr, lowest=recipe.min_lr,
            warmup=recipe.warmup_epochs / 200,
        )
        for epoch in (0, 100, 200)
    ]  # fmt: skip
    assert rates == pytest.approx([1e-3, 5e-4, 0.0], abs=1e-9)
