"""Networks of the user's in the commands: trained, read back with trust alone, looked through."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import torch
from torch import nn

import mixwright as mw
from lab.training.tiny import tiny_data
from mixwright.lab.cli import main
from mixwright.lab.data import load_data
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.experiments.defaults import recipe_defaults
from mixwright.lab.experiments.evaluations.models_to_evaluate import find_models, trust_references
from mixwright.lab.experiments.evaluations.parts import parse_parts
from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.experiments.run import new_model
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.training.learner import build_criterion
from mixwright.lab.training.loop import train
from mixwright.lab.training.recipe import Recipe

NETS = """
from torch import nn
from mixwright.lab.models import Normalised


class Staged(nn.Module):
    def __init__(self, num_classes, image_size, channels):
        super().__init__()
        self.size = image_size
        self.layer1 = nn.Sequential(nn.Conv2d(channels, 4, 3, stride=2), nn.ReLU())
        self.layer2 = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2), nn.ReLU())
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images):
        return self.fc(self.layer2(self.layer1(images)).mean((2, 3)))


def scaled(num_classes):
    return Normalised(Staged(num_classes, 0, 3), [0.25] * 3, [0.125] * 3)


def wide(num_classes):
    return Staged(2 * num_classes, 0, 3)
"""
SHORT = ["--epochs", "1", "--train-size", "20", "--batch-size", "10"]


@pytest.fixture(autouse=True)
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """A module ``staged_nets`` in the folder that we are in."""
    (tmp_path / "staged_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("staged_nets", None)


def test_a_run_of_a_network_of_the_users_is_evaluated_with_trust(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["train", "cutmix", "--model", "staged_nets:Staged", *SHORT, "--out", "run"]
    assert main(words) == 0
    assert json.loads(Path("run/recipe.json").read_text())["model"] == "staged_nets:Staged"
    sys.modules.pop("staged_nets")
    words = ["evaluate", "run", "--only", "accuracy", "--test-size", "20", "--out", "out"]
    assert main(words) == 2
    assert "run/last.pt names the module staged_nets, which is not" in capsys.readouterr().err
    assert "staged_nets" not in sys.modules
    (diversity,) = parse_parts("diversity:reference=run")
    trust_references([diversity])
    assert "staged_nets" in sys.modules
    sys.modules.pop("staged_nets")
    (raw,) = find_models("run", weights="raw", normalise="inside", trust=True)
    model = raw.load(load_data("digits", train_size=20))
    assert type(model.model).__name__ == "Staged"
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("staged_nets:wide", "it gives 20 logits an image, but there are 10 classes"),
        ("staged_nets:narrow", "module staged_nets has no narrow"),
        ("nowhere:net", "there is no module nowhere here"),
    ],
)
def test_what_cannot_be_trained_ends_the_command_before_anything_is_written(
    model: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "none", "--model", model, *SHORT, "--out", "run"]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said
    assert not Path("run").exists()


def test_a_network_may_bring_its_own_statistics() -> None:
    data = tiny_data()
    own = new_model(Recipe(model="staged_nets:scaled"), data)
    assert isinstance(own, Normalised)
    assert isinstance(own.model, nn.Module)
    assert not isinstance(own.model, Normalised)
    assert own.mean.flatten().tolist() == [0.25] * 3
    plain = new_model(Recipe(model="staged_nets:Staged"), data)
    assert plain.mean.flatten().tolist() == pytest.approx(data.mean)


def test_evaluate_calls_a_function_as_training_does() -> None:
    data = tiny_data()
    (found,) = find_models("staged_nets:Staged", weights="all", normalise="inside")
    model = found.load(data)
    assert model.size == data.image_size
    assert model.fc.out_features == data.num_classes


def test_defaults_of_fine_tuning_ask_a_function_for_no_published_weights() -> None:
    assert not recipe_defaults("cub200", "staged_nets:Staged")["pretrained"]
    assert recipe_defaults("cub200", "timm:resnet18")["pretrained"]
    assert recipe_defaults("cifar10", "timm:vit_tiny_patch16_224")["optimizer"] == "adamw"


def test_a_mixer_that_was_learned_beside_it_is_loaded_with_trust_or_with_the_network() -> None:
    data = tiny_data()
    recipe = Recipe(
        model="staged_nets:Staged", method="automix:layer=layer1", epochs=1, batch_size=20
    )
    train(
        recipe,
        model=new_model(recipe, data),
        objective=parse_method(recipe.method).objective(build_criterion(recipe)),
        data=data,
        evaluate=evaluate,
        folder=Path("run"),
    )
    known = sys.modules.pop("staged_nets")
    with pytest.raises(ValueError, match=r"names the module staged_nets.*encoder=net"):
        mw.load_mixer("run")
    net = Normalised(known.Staged(3, data.image_size, 3), data.mean, data.std)
    by_hand = mw.load_mixer("run", net)
    assert "staged_nets" not in sys.modules
    trusted = mw.load_mixer("run", trust=True)
    assert all(
        torch.equal(one, other)
        for one, other in zip(
            by_hand.encoder.parameters(), trusted.encoder.parameters(), strict=True
        )
    )
    mw.save_mixer(trusted, "mixer.pt")
    sys.modules.pop("staged_nets")
    with pytest.raises(ValueError, match=r"mixer.pt names the module staged_nets"):
        mw.load_mixer("mixer.pt")
    assert mw.load_mixer("mixer.pt", trust=True).layer == "layer1"


def test_methods_look_through_it(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["gallery", "saliencymix", "--train-size", "20", "--count", "1", "--out", "out"]
    assert main([*words, "--model", "staged_nets:Staged"]) == 0
    assert "training staged_nets:Staged on digits" in capsys.readouterr().err
    assert main([*words, "--model", "staged_nets:Staged", "--run", "run"]) == 2
    assert "--run run and --model staged_nets:Staged are both given" in capsys.readouterr().err
