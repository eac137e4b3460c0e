"""Rates that fall towards the first layer, and layers that are not trained."""

from typing import Any

import pytest
import torch
from torch import nn

from lab.training.tiny import Blend, recipe, run, tiny_net
from mixwright.checkpoint import load_checkpoint
from mixwright.lab.models import Normalised, build_model
from mixwright.lab.training.layers import depths, freeze
from mixwright.lab.training.optimiser import build_optimizer, set_rates
from mixwright.lab.training.recipe import RecipeError


def by_name(model: nn.Module) -> dict[str, int]:
    names = [name for name, _ in model.named_parameters()]
    return dict(zip(names, (depth for _, depth in depths(model)), strict=True))


def test_layers_of_a_transformer_are_timms():
    """timm's rule for ViT: patches and positions 0, block k is k + 1, a norm after it too, head 7.

    timm 1.0.31 gives these numbers for its own ViT, and for Swin, ConvNeXt, ResNet, EfficientNet.
    """
    model = Normalised(build_model("smallvit", num_classes=3, image_size=8), [0.5] * 3, [0.2] * 3)
    for name, depth in by_name(model).items():
        inner = name.removeprefix("model.")
        if inner.startswith("blocks."):
            assert depth == int(inner.split(".")[1]) + 1
        elif inner.startswith(("norm", "fc")):
            assert depth == (6 if inner.startswith("norm") else 7)
        else:
            assert inner.startswith(("cls_token", "pos_embed", "patch_embed"))
            assert depth == 0


def test_layers_of_a_resnet_are_its_blocks():
    found = by_name(build_model("resnet20", num_classes=3, image_size=8))
    wanted = {"conv1": 0, "bn1": 0, "fc": 10}
    for name, depth in found.items():
        first, second = name.split(".")[:2]
        if first in wanted:
            assert depth == wanted[first]
        else:
            assert depth == 3 * (int(first[-1]) - 1) + int(second) + 1


def test_what_lies_between_blocks_goes_with_the_next():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(2, 2), nn.Linear(2, 2)

    class Stage(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.merge = nn.Linear(2, 2)
            self.blocks = nn.Sequential(Block(), Block())

    model = nn.Module()
    model.stem = nn.Linear(2, 2)
    model.stages = nn.Sequential(Stage(), Stage())
    model.head = nn.Linear(2, 2)
    found = by_name(model)
    assert found["stem.weight"] == found["stages.0.merge.weight"] == 0  # before the first block
    assert found["stages.0.blocks.1.two.bias"] == 2
    assert found["stages.1.merge.weight"] == found["stages.1.blocks.0.one.weight"] == 3
    assert found["head.weight"] == 5


def test_without_blocks_each_part_is_a_layer():
    model = Normalised(build_model("smallconv", num_classes=3, image_size=8), [0.5] * 3, [0.2] * 3)
    for name, depth in by_name(model).items():
        inner = name.removeprefix("model.")
        assert depth == (4 if inner.startswith("fc") else int(inner[5]) - 1)


def test_rates_fall_by_the_factor_from_layer_to_layer():
    model = build_model("smallvit", num_classes=3, image_size=8)
    of = recipe(lr=0.1, min_lr=0.02, layer_decay=0.5, decay_norms=False, warmup_epochs=0)
    optimizer = build_optimizer(of, model=model)
    rate_of = {
        id(p): (group["highest"], group["lowest"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert len(rate_of) == len(list(model.parameters()))
    depth_of = by_name(model)
    for name, parameter in model.named_parameters():
        factor = 0.5 ** (7 - depth_of[name])
        decay = 5e-4 if parameter.ndim > 1 else 0.0
        assert rate_of[id(parameter)] == pytest.approx((0.1 * factor, 0.02 * factor, decay))
    assert set_rates(optimizer, 0.0, step=0.1, warmup=0.0) == 0.1  # what records call the rate
    set_rates(optimizer, 1.0, step=0.1, warmup=0.0)
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.01)


def test_without_decay_groups_are_as_before():
    model = tiny_net()
    (group,) = build_optimizer(recipe(), model=model).param_groups
    assert all(a is b for a, b in zip(group["params"], model.parameters(), strict=True))


def test_a_frozen_backbone_learns_a_linear_layer_alone(tmp_path: Any):
    net = tiny_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    result = run(tmp_path, recipe(epochs=2, freeze="backbone"), model=net)
    after = load_checkpoint(tmp_path / "last.pt")["weights"]
    for column in ("raw", "ema"):
        for name, value in after[column].items():
            same = torch.equal(value, before[name])
            assert same == (not name.startswith("6.")), (column, name)  # running statistics too
    assert all(p.grad is None for name, p in net.named_parameters() if name[0] != "6")
    assert result.parameters == 24 * 3 + 3


def test_the_optimiser_holds_no_frozen_parameter_and_resuming_is_exact(tmp_path: Any):
    from lab.training.test_resume import KilledError, kill_at, left

    of = recipe(epochs=2, freeze="0|1", layer_decay=0.5)
    run(tmp_path / "straight", of)
    with pytest.raises(KilledError):
        run(tmp_path / "killed", of, on_progress=kill_at(2, 1), objective=Blend())
    run(tmp_path / "killed", of)
    assert left(tmp_path / "killed") == left(tmp_path / "straight")
    state = load_checkpoint(tmp_path / "straight" / "last.pt")["optimizer"]
    held = sum(len(group["params"]) for group in state["param_groups"])
    assert held == 2 + 1  # of the last layer, and of the objective


def test_names_are_matched_from_the_start_to_a_dot():
    model = Normalised(build_model("resnet20", num_classes=3, image_size=8), [0.5] * 3, [0.2] * 3)
    still = freeze(model, r"conv1|bn1|layer[12]", last="model.fc")
    names = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert "model.conv1.weight" in names
    assert "model.layer2.0.conv1.weight" in names
    assert not any(name.startswith(("model.layer3", "model.fc")) for name in names)
    assert len(still) == 1 + 6 * 2 + 1  # of the stem, two a block, one shortcut


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("layer9", r"freeze is 'layer9', which fits no parameter .*some of its layers: 0, 1, 6\."),
        (".*", r"freeze is '\.\*', which fits all parameters of this model"),
        ("(", r"freeze is '\(', which is no regular expression"),
    ],
)
def test_what_cannot_be_frozen_is_refused(what: str, message: str):
    with pytest.raises(RecipeError, match=message):
        freeze(tiny_net(), what, last="6")
    assert all(p.requires_grad for p in tiny_net().parameters())
