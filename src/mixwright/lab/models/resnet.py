"""Residual networks for small images: ResNet-18/34/50 and ResNeXt-50, ResNet-20 and ResNet-56."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.lab.models.convolution import conv, initialise, stage
from mixwright.lab.models.drop_path import drop_path

Shortcut = Callable[[int, int, int], nn.Module]
"""What stands on the side path when the shape changes: of inputs, outputs and stride."""


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return the learned shortcut, a 1x1 convolution with normalisation (option B)."""
    return nn.Sequential(
        conv(inputs, outputs, size=1, stride=stride),
        nn.BatchNorm2d(outputs),
    )


class Padding(nn.Module):
    """The shortcut without parameters: every other pixel, new channels zero (option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.missing = outputs - inputs
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, outputs, H / stride, W / stride)``."""
        kept = features[:, :, :: self.stride, :: self.stride]
        before = self.missing // 2
        return F.pad(kept, (0, 0, 0, 0, before, self.missing - before))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(
        self, inputs: int, width: int, *, stride: int, shortcut: Shortcut = projection
    ) -> None:
        super().__init__()
        self.drop_path = 0.0  # see ``set_drop_path``
        self.conv1 = conv(inputs, width, size=3, stride=stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, size=3)
        self.bn2 = nn.BatchNorm2d(width)
        same = stride == 1 and inputs == width
        self.downsample = nn.Identity() if same else shortcut(inputs, width, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, width, H / stride, W / stride)``, at least 0."""
        inner = F.relu(self.bn1(self.conv1(features)), inplace=True)
        inner = self.bn2(self.conv2(inner))
        inner = drop_path(inner, self.drop_path, training=self.training)
        return F.relu(inner + self.downsample(features), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; grouped, it is ResNeXt's block."""

    expansion = 4

    def __init__(
        self, inputs: int, width: int, *, stride: int, groups: int = 1, group_width: int = 64
    ) -> None:
        super().__init__()
        self.drop_path = 0.0
        inner = width * group_width // 64 * groups
        outputs = width * self.expansion
        self.conv1 = conv(inputs, inner, size=1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = conv(inner, inner, size=3, stride=stride, groups=groups)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = conv(inner, outputs, size=1)
        self.bn3 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.downsample = nn.Identity() if same else projection(inputs, outputs, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, 4 width, H / stride, W / stride)``, at least 0."""
        inner = F.relu(self.bn1(self.conv1(features)), inplace=True)
        inner = F.relu(self.bn2(self.conv2(inner)), inplace=True)
        inner = self.bn3(self.conv3(inner))
        inner = drop_path(inner, self.drop_path, training=self.training)
        return F.relu(inner + self.downsample(features), inplace=True)


BlockMaker = Callable[..., BasicBlock | Bottleneck]
RESNEXT_32X4D: BlockMaker = partial(Bottleneck, groups=32, group_width=4)


class ResNet(nn.Module):
    """Four stages of residual blocks behind a 3x3 stem, for images of about 32 pixels.

    The ImageNet network with a 3x3 stride-1 convolution for its 7x7 stem and without its pooling:
    a 32x32 image gives feature maps of 32, 16, 8 and 4 pixels, at ``layer1`` to ``layer4``. With
    ``zero_last`` each block starts as the identity (last scale 0); the mixup papers' code does not,
    OpenMixup's AutoMix recipes and timm do.

    Source: He et al. 2016, arXiv:1512.03385; Xie et al. 2017, arXiv:1611.05431.
    """

    def __init__(
        self,
        block: BlockMaker,
        expansion: int,
        depths: Sequence[int],
        *,
        num_classes: int,
        channels: int = 3,
        zero_last: bool = False,
    ) -> None:
        super().__init__()
        make = partial(stage, block, expansion=expansion)
        self.conv1 = conv(channels, 64, size=3)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = make(depths[0], 64, 64, stride=1)
        self.layer2 = make(depths[1], 64 * expansion, 128, stride=2)
        self.layer3 = make(depths[2], 128 * expansion, 256, stride=2)
        self.layer4 = make(depths[3], 256 * expansion, 512, stride=2)
        self.fc = nn.Linear(512 * expansion, num_classes)
        initialise(self)
        if zero_last:
            for module in self.modules():
                if isinstance(module, BasicBlock):
                    nn.init.zeros_(module.bn2.weight)
                elif isinstance(module, Bottleneck):
                    nn.init.zeros_(module.bn3.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` of ``(B, channels, H, W)``."""
        features = F.relu(self.bn1(self.conv1(images)), inplace=True)
        features = self.layer2(self.layer1(features))
        features = self.layer4(self.layer3(features))
        return self.fc(features.mean(dim=(2, 3)))


class ThinResNet(nn.Module):
    """Three stages of 16, 32 and 64 channels: the networks made for CIFAR, of ``6 n + 2`` layers.

    Source: He et al. 2016, arXiv:1512.03385, section 4.2.

    Departs from the paper, which pads with zeros on CIFAR (option A: 269,722 and 853,018
    parameters at 20 and 56 layers, 10 classes). Most networks under these names that others
    compare with project instead (272,474 and 855,770), and so do we by default.
    """

    def __init__(
        self,
        depth: int,
        *,
        num_classes: int,
        channels: int = 3,
        shortcut: Shortcut = projection,
    ) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(
                f"ThinResNet: depth is {depth}; expected 6 n + 2 with n at least 1, such as 20, "
                "32, 44 or 56."
            )
        count = (depth - 2) // 6
        block = partial(BasicBlock, shortcut=shortcut)
        self.conv1 = conv(channels, 16, size=3)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(block, count, 16, 16, stride=1)
        self.layer2 = stage(block, count, 16, 32, stride=2)
        self.layer3 = stage(block, count, 32, 64, stride=2)
        self.fc = nn.Linear(64, num_classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` of ``(B, channels, H, W)``."""
        features = F.relu(self.bn1(self.conv1(images)), inplace=True)
        features = self.layer3(self.layer2(self.layer1(features)))
        return self.fc(features.mean(dim=(2, 3)))
