"""Sizes, shapes, starts and gradients of our own networks."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.lab.models import MODELS, build_model
from mixwright.lab.models.preact import PreActBlock, PreActBottleneck, WideResNet
from mixwright.lab.models.resnet import (
    RESNEXT_32X4D,
    BasicBlock,
    Bottleneck,
    Padding,
    ResNet,
    ThinResNet,
)

# (name, classes, parameters): torchvision's networks with the small stem; kuangliu/pytorch-cifar
# for PreActResNet-18; Zagoruyko's WRN-28-10; pytorchcv's ResNet-20 and -56.
PUBLISHED = (
    ("resnet18_cifar", 100, 11_220_132),
    ("resnet34_cifar", 100, 21_328_292),
    ("resnet50_cifar", 100, 23_705_252),
    ("resnext50_cifar", 100, 23_177_124),
    ("resnet18_cifar", 10, 11_173_962),
    ("preactresnet18", 10, 11_171_146),
    ("wrn28_2", 10, 1_467_610),
    ("wrn28_10", 10, 36_479_194),
    ("wrn28_10", 100, 36_536_884),
    ("resnet20", 10, 272_474),
    ("resnet56", 10, 855_770),
)
SMALL = ("smallconv", "resnet20", "wrn28_2", "resnet18_cifar", "preactresnet18")


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def without_weights(name: str, **options: int) -> nn.Module:
    """A network of shapes only: the meta device computes nothing."""
    with torch.device("meta"):
        return build_model(name, **{"num_classes": 10, "image_size": 32, **options})


@pytest.mark.parametrize(("name", "classes", "count"), PUBLISHED)
def test_parameter_counts_are_the_published_ones(name: str, classes: int, count: int) -> None:
    assert parameters(without_weights(name, num_classes=classes)) == count


def test_thin_networks_of_the_paper_have_its_parameter_counts() -> None:
    # He et al. print 0.27 M and 0.85 M; akamaster/pytorch_resnet_cifar10 counts the same networks.
    for depth, count in ((20, 269_722), (56, 853_018)):
        with torch.device("meta"):
            assert parameters(ThinResNet(depth, num_classes=10, shortcut=Padding)) == count


@pytest.mark.parametrize("name", [n for n in MODELS if n not in ("smallvit", "efficientnet_lite0")])
@pytest.mark.parametrize(("side", "channels"), [(32, 3), (64, 1)])
def test_logits_and_last_maps_have_their_shapes(name: str, side: int, channels: int) -> None:
    model = without_weights(name, num_classes=7, image_size=side, channels=channels)
    stages = [module for key, module in model.named_children() if key.startswith("layer")]
    maps: list[torch.Size] = []
    for stage in stages:
        stage.register_forward_hook(lambda _m, _i, out: maps.append(out.shape))
    logits = model(torch.empty(2, channels, side, side, device="meta"))
    assert logits.shape == (2, 7)
    assert isinstance(model.fc, nn.Linear)
    assert model.fc.out_features == 7
    assert len(maps) in (3, 4)
    expected = side // 4 if len(maps) == 3 else side // 8
    if name == "smallconv":
        assert maps[1][-1] == maps[2][-1] == side // 4
    assert maps[-1] == (2, model.fc.in_features, expected, expected)


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, num_classes=5, image_size=16)
    images, labels = torch.randn(4, 3, 16, 16), torch.arange(4)
    F.cross_entropy(model(images), labels).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.count_nonzero() > 0, key


@pytest.mark.parametrize("name", ["resnet50_cifar", "resnext50_cifar", "preactresnet18", "wrn28_2"])
def test_weights_start_by_he_and_scales_as_the_identity(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, num_classes=10, image_size=32)
    seen = 0
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 20_000:
            seen += 1
            outputs, _, size, _ = module.weight.shape
            expected = math.sqrt(2 / (outputs * size * size))
            assert module.weight.std().item() == pytest.approx(expected, rel=0.03)
            assert abs(module.weight.mean().item()) < 0.03 * expected
            assert module.bias is None
        elif isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())
            assert bool((module.bias == 0).all())
    assert seen > 3


def test_blocks_may_start_as_the_identity() -> None:
    for block, expansion in ((BasicBlock, 1), (Bottleneck, 4)):
        model = ResNet(block, expansion, (1, 1, 1, 1), num_classes=2, zero_last=True)
        last = "bn2" if expansion == 1 else "bn3"
        features = torch.rand(2, 256 * expansion, 4, 4)
        second = ResNet(block, expansion, (1, 1, 2, 1), num_classes=2, zero_last=True).layer3[1]
        torch.testing.assert_close(second(features), features)
        assert not getattr(model.layer4[0], last).weight.any()
        ordinary = ResNet(block, expansion, (1, 1, 1, 1), num_classes=2)
        assert bool(getattr(ordinary.layer4[0], last).weight.all())


@pytest.mark.parametrize("name", ["smallconv", "resnet20", "preactresnet18", "wrn28_2"])
def test_memory_format_and_half_precision_change_nothing_but_rounding(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, num_classes=10, image_size=16).eval()
    images = torch.randn(2, 3, 16, 16)
    plain = model(images)
    stages = [module for key, module in model.named_children() if key.startswith("layer")]
    maps: list[Tensor] = []
    stages[-1].register_forward_hook(lambda _m, _i, out: maps.append(out))
    model = model.to(memory_format=torch.channels_last)
    last = model(images.contiguous(memory_format=torch.channels_last))
    assert maps[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last, plain, rtol=1e-3, atol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(images)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), plain, rtol=0.1, atol=0.1 * plain.abs().max().item())


@pytest.mark.parametrize("name", ["resnet18_cifar", "preactresnet18", "wrn28_2", "smallconv"])
def test_stages_can_be_hooked_both_ways(name: str) -> None:
    model = build_model(name, num_classes=3, image_size=8)
    seen: dict[str, Tensor] = {}
    for key, module in model.named_children():
        if key.startswith("layer"):
            module.register_forward_hook(lambda _m, _i, out, key=key: seen.update({key: out * 1}))
            module.register_full_backward_hook(
                lambda _m, _i, out, key=key: seen.update({f"{key} gradient": out[0]})
            )
    model(torch.randn(4, 3, 8, 8, requires_grad=True)).sum().backward()
    assert len(seen) in (6, 8)
    assert all(value.ndim == 4 for value in seen.values())


def shaken(block: nn.Module) -> nn.Module:
    """A block in evaluation mode whose normalisations do something."""
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
    return block.eval()


def bn(layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
    mean, var = layer.running_mean[:, None, None], layer.running_var[:, None, None]
    return (x - mean) / (var + 1e-5).sqrt() * layer.weight[:, None, None] + layer.bias[
        :, None, None
    ]


def relu(x: Tensor) -> Tensor:
    return x.clamp(min=0)


@torch.no_grad()
def test_residual_blocks_follow_their_formulas() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 64, 8, 8)

    b = shaken(BasicBlock(64, 32, stride=2))
    own = F.conv2d(
        relu(bn(b.bn1, F.conv2d(x, b.conv1.weight, stride=2, padding=1))), b.conv2.weight, padding=1
    )
    side = bn(b.downsample[1], F.conv2d(x, b.downsample[0].weight, stride=2))
    torch.testing.assert_close(b(x), relu(bn(b.bn2, own) + side), rtol=1e-4, atol=1e-4)

    b = shaken(RESNEXT_32X4D(64, 64, stride=2))
    assert b.conv2.weight.shape == (128, 4, 3, 3)
    own = relu(bn(b.bn1, F.conv2d(x, b.conv1.weight)))
    own = relu(bn(b.bn2, F.conv2d(own, b.conv2.weight, stride=2, padding=1, groups=32)))
    own = bn(b.bn3, F.conv2d(own, b.conv3.weight))
    side = bn(b.downsample[1], F.conv2d(x, b.downsample[0].weight, stride=2))
    torch.testing.assert_close(b(x), relu(own + side), rtol=1e-4, atol=1e-4)

    b = shaken(BasicBlock(64, 64, stride=1))
    own = F.conv2d(
        relu(bn(b.bn1, F.conv2d(x, b.conv1.weight, padding=1))), b.conv2.weight, padding=1
    )
    torch.testing.assert_close(b(x), relu(bn(b.bn2, own) + x), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_pre_activation_blocks_follow_their_formulas() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 64, 8, 8)

    b = shaken(PreActBlock(64, 64, stride=1))
    own = F.conv2d(relu(bn(b.bn1, x)), b.conv1.weight, padding=1)
    own = F.conv2d(relu(bn(b.bn2, own)), b.conv2.weight, padding=1)
    torch.testing.assert_close(b(x), own + x, rtol=1e-4, atol=1e-4)

    b = shaken(PreActBottleneck(64, 32, stride=2))
    active = relu(bn(b.bn1, x))
    own = relu(bn(b.bn2, F.conv2d(active, b.conv1.weight)))
    own = relu(bn(b.bn3, F.conv2d(own, b.conv2.weight, stride=2, padding=1)))
    own = F.conv2d(own, b.conv3.weight)
    side = F.conv2d(active, b.downsample.weight, stride=2)
    torch.testing.assert_close(b(x), own + side, rtol=1e-4, atol=1e-4)


def test_the_shortcut_without_parameters_keeps_pixels_and_adds_zeros() -> None:
    features = torch.arange(2 * 4 * 4, dtype=torch.float32).view(1, 2, 4, 4)
    shown = Padding(2, 4, 2)(features)
    assert shown.shape == (1, 4, 2, 2)
    assert shown[0, 0].tolist() == shown[0, 3].tolist() == [[0, 0], [0, 0]]
    assert shown[0, 1].tolist() == [[0, 2], [8, 10]]
    model = ThinResNet(8, num_classes=2, shortcut=Padding)
    assert model(torch.randn(2, 3, 8, 8)).shape == (2, 2)


@pytest.mark.parametrize(
    "make", [lambda: ThinResNet(21, num_classes=2), lambda: WideResNet(27, 2, num_classes=2)]
)
def test_impossible_depths_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"depth is 2[17]; expected 6 n"):
        make()


def test_state_dicts_are_tidy() -> None:
    keys = set(without_weights("resnet18_cifar").state_dict())
    assert {
        "conv1.weight",
        "layer2.0.downsample.0.weight",
        "layer4.1.bn2.running_var",
        "fc.bias",
    } <= keys
    assert {key.split(".")[0] for key in keys} == {
        "conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc",
    }  # fmt: skip


def test_the_small_net_learns_in_seconds() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 4
    images = torch.rand(40, 3, 32, 32, generator=generator) * 0.5
    for corner in range(4):
        rows, columns = slice(16 * (corner // 2), 16 * (corner // 2) + 16), 16 * (corner % 2)
        images[labels == corner, :, rows, columns : columns + 16] += 0.2
    model = build_model("smallconv", num_classes=4, image_size=32)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    for _ in range(30):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    assert (model.eval()(images).argmax(1) == labels).float().mean() > 0.9
