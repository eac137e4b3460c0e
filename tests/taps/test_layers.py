"""Layers by name, by place, and as maps."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor, nn

from mixwright.lab.models.build import build_model
from mixwright.lab.models.normalised import Normalised
from mixwright.taps import as_map, bare, classifier, last_map, named_layer, stages
from mixwright.taps import layers as layers_module
from mixwright.taps.sites import example_images


@pytest.mark.parametrize(
    ("name", "last", "trunk"),
    [
        ("smallconv", "layer4", ["layer1", "layer2", "layer3", "layer4"]),
        ("resnet8", "layer3", ["layer1", "layer2", "layer3"]),
        ("wrn28_2", "relu", ["layer1", "layer2", "layer3"]),
    ],
)
def test_our_networks_show_their_stages_and_last_map(name, last, trunk):
    model = build_model(name, num_classes=5, image_size=16)
    images = torch.rand(3, 3, 16, 16)
    assert last_map(model, images) == last
    assert list(stages(model, images)) == trunk
    wrapped = Normalised(model, [0.5] * 3, [0.5] * 3)
    assert last_map(wrapped, images) == f"model.{last}"
    assert classifier(wrapped) is model.fc


class Pooled(nn.Module):
    """Pools with a module, so that the last map before the Linear has one place only."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 4, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.other = nn.Linear(4, 4)  # registered before, run never
        self.fc = nn.Linear(4, 7)
        self.after = nn.Unflatten(1, (7, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        logits = self.fc(self.pool(self.second(self.first(images))).flatten(1))
        return self.after(logits).flatten(1)


def test_a_map_is_preferred_to_a_pooled_one_and_to_what_follows_the_classifier():
    model = Pooled().train()
    assert last_map(model, torch.rand(1, 3, 8, 8)) == "second"
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_a_map_that_has_only_one_place_is_still_the_one_of_the_classifiers_width():
    model = build_model("smallconv", num_classes=5, image_size=8)
    assert last_map(model, torch.rand(2, 3, 8, 8)) == "layer4"  # 1 x 1 there, 2 x 2 in layer3


def test_images_of_whole_numbers_are_traced_too():
    model = build_model("smallconv", num_classes=5, image_size=8)
    assert last_map(model, torch.zeros(2, 3, 16, 16, dtype=torch.uint8)) == "layer4"


def test_the_trace_is_made_once_and_forgotten_with_the_model():
    model = build_model("smallconv", num_classes=5, image_size=16)
    images = torch.rand(2, 3, 16, 16)
    runs = []
    model.register_forward_hook(lambda *_: runs.append(1))
    last_map(model, images)
    stages(model, images)
    assert len(runs) == 1
    gc.collect()
    before = len(layers_module._traces)
    del model
    gc.collect()
    assert len(layers_module._traces) == before - 1


def test_models_without_maps_or_classifier_say_so():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match="no layer of Sequential gives a map"):
        last_map(flat, torch.rand(2, 3, 2, 2))
    with pytest.raises(ValueError, match="shows no stages"):
        stages(flat, torch.rand(2, 3, 2, 2))
    with pytest.raises(ValueError, match="has no Linear"):
        classifier(nn.Conv2d(3, 3, 1))


def test_messages_name_the_network_behind_what_normalises_for_it():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    wrapped = Normalised(flat, [0.5] * 3, [0.5] * 3)
    with pytest.raises(ValueError, match="no layer of Sequential gives a map"):
        last_map(wrapped, torch.rand(2, 3, 2, 2))
    with pytest.raises(ValueError, match="Sequential shows no stages"):
        stages(wrapped, torch.rand(2, 3, 2, 2))
    with pytest.raises(ValueError, match="Sequential does not run on blank images"):
        example_images(wrapped)


def test_layers_are_found_by_name_and_the_nearest_is_named():
    model = Normalised(build_model("smallconv", num_classes=5, image_size=16), [0.5] * 3, [0.5] * 3)
    assert named_layer(model, "layer2") is named_layer(model, "model.layer2")
    with pytest.raises(ValueError, match=r"no layer 'layr2'; the nearest are model\.layer2"):
        named_layer(model, "layr2")
    with pytest.raises(ValueError, match="no layer ''"):
        named_layer(model, "")


def test_wrappers_are_looked_through():
    model = nn.Linear(2, 2)
    assert bare(nn.DataParallel(model)) is model
    assert bare(torch.compile(nn.DataParallel(model), backend="eager")) is model


def test_what_layers_give_becomes_a_map():
    values = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    tokens = values.flatten(2).transpose(1, 2)
    assert torch.equal(as_map(values), values)
    assert torch.equal(as_map(values.permute(0, 2, 3, 1), width=3), values)
    assert torch.equal(as_map(values, width=3), values)
    assert torch.equal(as_map(tokens), values)
    with_class = torch.cat([torch.full((2, 1, 3), -1.0), tokens], dim=1)
    assert torch.equal(as_map(with_class), values)
    assert torch.equal(as_map(with_class, prefix=1), values)
    for wrong in (torch.zeros(2, 3), torch.zeros(2, 3, 4, 4, 4)):
        with pytest.raises(ValueError, match="expected a map"):
            as_map(wrong)
    with pytest.raises(ValueError, match="expected a map"):
        as_map(torch.zeros(2, 11, 3), prefix=1)


def test_a_layer_that_runs_twice_is_no_stage():
    shared = nn.ReLU()
    parts = nn.Conv2d(3, 4, 3), shared, nn.Conv2d(4, 4, 3), shared, nn.Flatten(), nn.Linear(64, 5)
    assert stages(nn.Sequential(*parts), torch.rand(2, 3, 8, 8)) == ("0", "2")


def test_two_blocks_are_stages_although_other_parts_stand_alone():
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Flatten(2))
            self.blocks = nn.ModuleList(
                nn.TransformerEncoderLayer(8, 2, 8, batch_first=True) for _ in range(2)
            )
            self.head = nn.Linear(8, 2)

        def forward(self, images: Tensor) -> Tensor:
            tokens = self.patches(images).mT
            for block in self.blocks:
                tokens = block(tokens)
            return self.head(tokens.mean(dim=1))

    assert stages(Tokens(), torch.rand(2, 3, 16, 16)) == ("blocks.0", "blocks.1")
