"""Stochastic depth: what is dropped, how often, and that nothing changes without it."""

import pytest
import torch

from mixwright.lab.models import ModelError, build_model
from mixwright.lab.models.drop_path import drop_path, set_drop_path
from mixwright.lab.models.resnet import BasicBlock


def test_whole_images_are_dropped_and_the_mean_stays():
    torch.manual_seed(0)
    found = drop_path(torch.ones(4000, 2, 3), 0.25, training=True)
    kept = found.flatten(1)
    assert ((kept == 0).all(1) | (kept == 1 / 0.75).all(1)).all()
    assert (kept[:, 0] == 0).double().mean() == pytest.approx(0.25, abs=0.03)
    state = torch.random.get_rng_state()
    for rate, training in ((0.0, True), (0.25, False)):
        assert torch.equal(drop_path(torch.ones(3, 1), rate, training=training), torch.ones(3, 1))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet20", 9),
        ("preactresnet18", 8),
        ("wrn28_2", 12),
        ("smallvit", 6),
        ("resnet8", 3),
        ("efficientnet_lite0", 9),
    ],
)
def test_rates_grow_evenly_with_depth(name: str, count: int):
    model = build_model(name, num_classes=3, image_size=8, drop_path=0.3)
    rates = [m.drop_path for m in model.modules() if hasattr(m, "drop_path")]
    assert rates == pytest.approx([0.3 * k / (count - 1) for k in range(count)])
    again = build_model(name, num_classes=3, image_size=8)
    assert {m.drop_path for m in again.modules() if hasattr(m, "drop_path")} == {0.0}
    assert list(again.state_dict()) == list(model.state_dict())  # weights of both fit both


@pytest.mark.parametrize(
    "name", ["resnet8", "preactresnet18", "preactresnet50", "smallvit", "efficientnet_lite0"]
)
def test_a_dropped_block_is_its_shortcut(name: str):
    """With all blocks dropped what their layers hold does not matter; in evaluation it does."""
    torch.manual_seed(0)
    model = build_model(name, num_classes=3, image_size=8, drop_path=0.5)
    blocks = [m for m in model.modules() if hasattr(m, "drop_path")]
    for block in blocks:
        block.drop_path = 1 - 1e-7
    inner = [
        parameter
        for block in blocks
        for key, parameter in block.named_parameters()
        if "downsample" not in key and key.split(".")[0] not in ("bn1", "norm1", "norm2")
    ]
    images = torch.rand(2, 3, 8, 8)

    def both() -> list[torch.Tensor]:
        found: list[torch.Tensor] = []
        for training in (True, False):
            model.train(training)
            torch.manual_seed(1)
            found.append(model(images).detach())
        return found

    dropped, whole = both()
    with torch.no_grad():
        for parameter in inner:
            parameter.mul_(1.5)
    dropped_then, whole_then = both()
    assert torch.equal(dropped, dropped_then)
    assert not torch.allclose(whole, whole_then)


def test_a_block_by_hand():
    torch.manual_seed(0)
    block = BasicBlock(4, 4, stride=1).train()
    images = torch.rand(64, 4, 6, 6)
    plain = block(images)
    inner = block.bn2(block.conv2(block.bn1(block.conv1(images)).relu()))
    block.drop_path = 0.5
    found = block(images)
    assert torch.allclose(plain, (inner + images).relu(), atol=1e-5)
    kept = torch.isclose(found, (2 * inner + images).relu(), atol=1e-4).flatten(1).all(1)
    left = torch.isclose(found, images).flatten(1).all(1)
    assert (kept ^ left).all()
    assert 10 < left.sum() < 54


def test_networks_without_residual_blocks_refuse_it():
    with pytest.raises(ModelError, match=r"model smallconv: drop_path is 0\.1, but it has no"):
        build_model("smallconv", num_classes=3, image_size=8, drop_path=0.1)
    set_drop_path(torch.nn.Linear(1, 1), 0.0, name="mine")
