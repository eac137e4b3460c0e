"""Trained mixers whose encoder has a name: in files, in runs, and as a METHOD."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lab.training.tiny import tiny_data
from mixwright.checkpoint import load_checkpoint, save_checkpoint
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.experiments.methods import Method, MethodPart, parse_method
from mixwright.lab.experiments.trained import Trained
from mixwright.lab.models.build import build_model
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.training.learner import build_criterion
from mixwright.lab.training.loop import train
from mixwright.lab.training.recipe import Recipe
from mixwright.masknets import MaskGenerator, MaskNet
from mixwright.mixers import OneOf, Sometimes
from mixwright.mixers.learned import LearnedMixer, load_mixer, save_mixer
from mixwright.objectives.criteria import CrossEntropy
from mixwright.objectives.mixed import Mixed
from mixwright.sampling import stream

SCALE = {"mean": [0.3, 0.3, 0.3], "std": [0.2, 0.2, 0.2]}
HOW = {"name": "smallconv", "num_classes": 3, "image_size": 8, "channels": 3, **SCALE}


def encoder(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    net = build_model("smallconv", num_classes=3, image_size=8)
    nn.init.uniform_(net.layer1.bn.running_var, 0.5, 2.0)  # pyright: ignore
    return Normalised(net, SCALE["mean"], SCALE["std"])


def learned(network: MaskNet | None = None, **changes: Any) -> LearnedMixer:
    net = encoder()
    network = MaskGenerator(32, encode_lam=True) if network is None else network
    for weight in network.parameters():
        nn.init.normal_(weight)
    given: dict[str, Any] = {"layer": "layer2", "sources": (2, 3), "per": "sample", "alpha": 0.7}
    return LearnedMixer(net, network, **(given | changes))


def same(one: LearnedMixer, other: LearnedMixer, **more: Any) -> None:
    """Fail unless two mixers give the same plans, bit for bit, and say the same of themselves."""
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    for seed in range(4):
        mine = one.plan(images, generator=stream(seed), **more)
        theirs = other.plan(images, generator=stream(seed), **more)
        assert torch.equal(mine.mask, theirs.mask)
        assert torch.equal(mine.weight, theirs.weight)
        assert torch.equal(mine.index, theirs.index)
        assert float(mine.mask.std()) > 1e-3  # made by the network, not the fallback of one half
    assert repr(one) == repr(other)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of a run that learned a mixer and of one that learned none."""
    home = tmp_path_factory.mktemp("runs")
    for method in ("automix:layer=layer2", "mixup"):
        recipe = Recipe(model="smallconv", method=method, epochs=1, batch_size=20, seed=3)
        folder = home / method.partition(":")[0]
        objective = parse_method(method).objective(build_criterion(recipe))
        given: dict[str, Any] = {"data": tiny_data(), "evaluate": evaluate, "folder": folder}
        train(recipe, model=encoder(), objective=objective, **given)
    return home


# ------------------------------------------------------------------ files


def test_a_file_gives_the_same_plans_bit_for_bit(tmp_path: Path) -> None:
    mixer = learned(margin=0.1, margin_of="first")
    save_mixer(mixer, tmp_path / "one.pt", encoder=HOW)
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    read = load_mixer(str(tmp_path / "one.pt"))
    assert torch.equal(torch.random.get_rng_state(), state)  # reading draws nothing
    same(mixer, read)
    assert read.about == {"encoder": HOW}
    assert not any(one.requires_grad for one in read.parameters())
    save_mixer(read, tmp_path / "two.pt")  # it knows now how its encoder is rebuilt
    same(mixer, load_mixer(tmp_path / "two.pt"))


def test_a_file_that_holds_an_older_name_of_its_network_is_read(tmp_path: Path) -> None:
    mixer, path = learned(), tmp_path / "one.pt"
    save_mixer(mixer, path, encoder=HOW)
    state = load_checkpoint(path)
    state["network"]["class"] = "mixwright.masknets.generator:Generator"  # its name until 0.2
    save_checkpoint(path, state)
    same(mixer, load_mixer(path))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({**HOW, "num_classes": 4}, "do not fit the encoder built from"),
        ({**HOW, "name": "smalconv"}, "smallconv"),
        ({"name": "smallconv"}, "encoder has name; expected name, num_classes"),
        ({**HOW, "side": 8}, "expected name, num_classes"),
        ({key: value for key, value in HOW.items() if key != "std"}, "mean and std"),
        ({key: value for key, value in HOW.items() if key not in SCALE}, "do not fit"),
    ],
)
def test_a_file_that_could_not_be_read_is_not_written(
    tmp_path: Path, how: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError) as caught:
        save_mixer(learned(), tmp_path / "one.pt", encoder=how)
    assert words in str(caught.value)
    assert "save_mixer" in str(caught.value)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ runs


def test_the_mixer_of_a_run_is_what_the_run_has_learned(runs: Path, tmp_path: Path) -> None:
    folder = runs / "automix"
    mixer = load_mixer(folder)
    same(mixer, load_mixer(folder / "last.pt"))
    same(mixer, load_mixer(folder, encoder=encoder(seed=7)))
    state = load_checkpoint(folder / "last.pt")["objective"]
    kept = {name: value for name, value in state.items() if name.startswith("network.")}
    assert kept
    for name, value in mixer.network.state_dict().items():
        assert torch.equal(value, kept[f"network.{name}"])
    assert mixer.encoder is not None
    for name, value in mixer.encoder.state_dict().items():
        assert torch.equal(value, state[f"teacher.model.{name}"])
    save_mixer(mixer, tmp_path / "one.pt")
    read = load_mixer(tmp_path / "one.pt")
    same(mixer, read)
    assert Recipe.from_json(read.about["recipe"]).method == "automix:layer=layer2"


def test_a_run_that_learned_no_mixer_says_which_do(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"method is mixup, which learns no mixer.*: .*automix"):
        load_mixer(runs / "mixup")
    with pytest.raises(ValueError, match=r"has no objective.*best.pt holds weights alone"):
        load_mixer(runs / "automix" / "best.pt")
    with pytest.raises(ValueError, match="do not fit the smallconv"):
        load_mixer(runs / "automix", encoder=nn.Linear(2, 3))
    state = load_checkpoint(runs / "automix" / "last.pt")
    recipe = Recipe.from_json(state["recipe"])
    other = dataclasses.replace(recipe, model="nowhere")
    save_checkpoint(tmp_path / "last.pt", {**state, "recipe": other.to_json()})
    with pytest.raises(ValueError, match=r"encoder cannot be rebuilt.*encoder=net"):
        load_mixer(tmp_path)
    same(load_mixer(tmp_path, encoder=encoder()), load_mixer(runs / "automix"))
    assert load_mixer(tmp_path, encoder=encoder()).about["encoder"] is None


# ------------------------------------------------------------------ METHOD


def test_a_method_may_be_a_trained_mixer(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(runs / "automix", tmp_path / "a=run" / "x")
    monkeypatch.chdir(tmp_path)
    method = parse_method("trained:run=a=run//x/")
    assert method.text == "trained:run=a=run/x"
    assert parse_method(method.text) == method
    assert method.label == "Trained (run x)"
    mixer = method.mixer()
    assert isinstance(mixer, LearnedMixer)
    same(mixer, load_mixer("a=run/x"))
    assert method.mixer() is not mixer  # to move one moves no other
    objective = method.objective(CrossEntropy())
    assert isinstance(objective, Mixed)
    assert not [one for one in objective.parameters() if one.requires_grad]
    assert objective.param_groups(None) == []
    both = parse_method("mixup:alpha=0.2+trained:run=a=run/x")
    assert isinstance(both.mixer(), OneOf)
    assert both.label == "MixUp (alpha 0.2) + Trained (run x)"
    some = parse_method("trained:run=a=run/x,p=0.5,clean=1")
    assert some.text == "trained:clean=1,p=0.5,run=a=run/x"
    assert parse_method(some.text) == some
    sometimes = some.mixer()
    assert isinstance(sometimes, Sometimes)
    assert (sometimes.p, sometimes.per) == (0.5, "batch")  # as the authors train: one draw a batch
    assert isinstance(sometimes.mixer, LearnedMixer)


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "one.pt"
    save_mixer(learned(sources=2), path, encoder=HOW)
    method = parse_method(f"trained:run={path}")
    save_mixer(learned(sources=3), path, encoder=HOW)
    assert method.mixer().sources == 3  # pyright: ignore


def test_a_run_can_be_trained_with_it(runs: Path, tmp_path: Path) -> None:
    recipe = Recipe(
        model="smallconv", method=f"trained:run={runs / 'automix'}", epochs=1, batch_size=20
    )
    objective = parse_method(recipe.method).objective(build_criterion(recipe))
    given: dict[str, Any] = {"data": tiny_data(), "evaluate": evaluate, "folder": tmp_path}
    train(recipe, model=encoder(), objective=objective, **given)
    same(objective.mixer, load_mixer(runs / "automix"))  # pyright: ignore
    with pytest.raises(ValueError, match=r"method is trained:run=.*, which learns no mixer"):
        load_mixer(tmp_path)


def test_names_of_long_paths_differ() -> None:
    start = "runs/compare/with-a-rather-long-name-that-goes-on-and-on/automix-s"
    slugs = {
        Method((MethodPart("trained", Trained, {"run": Path(f"{start}{seed}")}, False),)).slug
        for seed in range(3)
    }
    assert len(slugs) == 3
    assert max(map(len, slugs)) <= 64


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trained", ["expected trained:run=PATH"]),
        ("trained:", ["expected trained:run=PATH"]),
        ("trained:path=x", ["expected trained:run=PATH"]),
        ("trained:run=a,b", ["expected trained:run=PATH", "neither a comma nor a +"]),
        ("trained:run=here/a+b-s0", ['no method "b-s0"', "neither a comma nor a +"]),
        ("trained:run=nowhere/x", ["load_mixer: there is no nowhere/x"]),
        ("trainde:run=x", ['Did you mean "trained"?', "trained:run=PATH"]),
    ],
)
def test_what_is_not_understood_is_named(text: str, words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        parse_method(text)
    for word in words:
        assert word in str(caught.value)
