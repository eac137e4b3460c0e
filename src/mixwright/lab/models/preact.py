"""Residual networks that normalise before they convolve: PreActResNet-18/34/50, wide ResNets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.lab.models.convolution import conv, initialise, stage
from mixwright.lab.models.drop_path import drop_path


class PreActBlock(nn.Module):
    """Two 3x3 convolutions, each after normalisation and ReLU, beside a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.drop_path = 0.0  # see ``set_drop_path``
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv(inputs, width, size=3, stride=stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, size=3)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, width, H / stride, W / stride)``."""
        active = F.relu(self.bn1(features), inplace=True)
        # A shortcut with weights starts from what was normalised, one without from the input.
        side = features if self.downsample is None else self.downsample(active)
        inner = self.conv1(active)
        inner = self.conv2(F.relu(self.bn2(inner), inplace=True))
        return drop_path(inner, self.drop_path, training=self.training) + side


class PreActBottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, each after normalisation and ReLU, beside a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.drop_path = 0.0
        outputs = width * self.expansion
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv(inputs, width, size=1)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, size=3, stride=stride)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, outputs, size=1)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, 4 width, H / stride, W / stride)``."""
        active = F.relu(self.bn1(features), inplace=True)
        side = features if self.downsample is None else self.downsample(active)
        inner = self.conv1(active)
        inner = self.conv2(F.relu(self.bn2(inner), inplace=True))
        inner = self.conv3(F.relu(self.bn3(inner), inplace=True))
        return drop_path(inner, self.drop_path, training=self.training) + side


class PreActResNet(nn.Module):
    """Four pre-activation stages behind a 3x3 stem, as mixup papers train them on CIFAR.

    Source: He et al. 2016, arXiv:1603.05027, in the form of kuangliu/pytorch-cifar
    (models/preact_resnet.py), from which the code of mixup and of its successors comes:
    11,171,146 parameters at 18 layers and 10 classes.

    Departs, as that code does, from He et al., who normalise once more after the last stage. The
    copy in facebookresearch/mixup-cifar10 also lets identity shortcuts start from the activated
    input; here they start from the input, as in the paper.
    """

    def __init__(
        self,
        block: type[PreActBlock] | type[PreActBottleneck],
        depths: Sequence[int],
        *,
        num_classes: int,
        channels: int = 3,
    ) -> None:
        super().__init__()
        grown = block.expansion
        make = partial(stage, block, expansion=grown)
        self.conv1 = conv(channels, 64, size=3)
        self.layer1 = make(depths[0], 64, 64, stride=1)
        self.layer2 = make(depths[1], 64 * grown, 128, stride=2)
        self.layer3 = make(depths[2], 128 * grown, 256, stride=2)
        self.layer4 = make(depths[3], 256 * grown, 512, stride=2)
        self.fc = nn.Linear(512 * grown, num_classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` of ``(B, channels, H, W)``."""
        features = self.layer2(self.layer1(self.conv1(images)))
        features = self.layer4(self.layer3(features))
        return self.fc(features.mean(dim=(2, 3)))


class WideResNet(nn.Module):
    """Three pre-activation stages, shallow and wide.

    The last map before the pooling is the output of ``relu``; ``layer3`` is not yet normalised.
    ``depth`` is ``6 n + 4``, usually 28; ``widen`` the factor on the widths 16, 32 and 64.

    Source: Zagoruyko and Komodakis 2016, arXiv:1605.07146; 36,479,194 parameters for 28 layers,
    ten times as wide, 10 classes. Dropout, which they try too, is left out.
    """

    def __init__(self, depth: int, widen: int, *, num_classes: int, channels: int = 3) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(
                f"WideResNet: depth is {depth}; expected 6 n + 4 with n at least 1, such as 16, "
                "28 or 40."
            )
        count = (depth - 4) // 6
        self.conv1 = conv(channels, 16, size=3)
        self.layer1 = stage(PreActBlock, count, 16, 16 * widen, stride=1)
        self.layer2 = stage(PreActBlock, count, 16 * widen, 32 * widen, stride=2)
        self.layer3 = stage(PreActBlock, count, 32 * widen, 64 * widen, stride=2)
        self.bn = nn.BatchNorm2d(64 * widen)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(64 * widen, num_classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` of ``(B, channels, H, W)``."""
        features = self.layer3(self.layer2(self.layer1(self.conv1(images))))
        return self.fc(self.relu(self.bn(features)).mean(dim=(2, 3)))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Conv2d | None:
    """Return the 1x1 convolution of the side path, or nothing where the shape stays."""
    if stride == 1 and inputs == outputs:
        return None
    return conv(inputs, outputs, size=1, stride=stride)
