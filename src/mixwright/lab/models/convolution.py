"""The convolution and the stages that our networks share, and how their weights start."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def conv(inputs: int, outputs: int, *, size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a convolution without bias that keeps the image's side when ``stride`` is 1."""
    return nn.Conv2d(
        inputs, outputs, size, stride=stride, padding=size // 2, groups=groups, bias=False
    )


def stage(
    block: Callable[..., nn.Module],
    depth: int,
    inputs: int,
    width: int,
    *,
    stride: int,
    expansion: int = 1,
) -> nn.Sequential:
    """Return ``depth`` blocks of ``width * expansion`` channels; the first takes the stride."""
    first = block(inputs, width, stride=stride)
    rest = [block(width * expansion, width, stride=1) for _ in range(depth - 1)]
    return nn.Sequential(first, *rest)


def initialise(model: nn.Module) -> None:
    """Draw the convolutions' weights by He's rule; the rest keeps torch's start.

    Convolutions are normal with variance ``2 / (kernel area * output channels)``, drawn from
    torch's global generator.

    Source: He et al. 2015, arXiv:1502.01852, in the ``fan_out`` form of the ResNet code.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
