"""A network that learns a small data set in seconds on one CPU core."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.lab.models.convolution import conv, initialise


class SmallConv(nn.Module):
    """Four 3x3 convolutions with batch normalisation and ReLU, pooled into one Linear layer.

    Made for the shipped digits, 8x8 brought to 32x32: two strides at once take the maps back to
    8x8, where one more layer learns what the digits are made of. Maps of 16, 8, 8 and 4 pixels;
    ``width`` channels, then twice and four times as many.
    """

    def __init__(self, *, num_classes: int, channels: int = 3, width: int = 16) -> None:
        super().__init__()
        self.layer1 = _Layer(channels, width, stride=2)
        self.layer2 = _Layer(width, 2 * width, stride=2)
        self.layer3 = _Layer(2 * width, 2 * width, stride=1)
        self.layer4 = _Layer(2 * width, 4 * width, stride=2)
        self.fc = nn.Linear(4 * width, num_classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` of ``(B, channels, H, W)``."""
        features = self.layer2(self.layer1(images))
        features = self.layer4(self.layer3(features))
        return self.fc(features.mean(dim=(2, 3)))


class _Layer(nn.Module):
    """Convolution, normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv = conv(inputs, outputs, size=3, stride=stride)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, outputs, H / stride, W / stride)``, at least 0."""
        return F.relu(self.bn(self.conv(features)), inplace=True)
