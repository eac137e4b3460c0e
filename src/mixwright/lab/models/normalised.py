"""Normalisation as the first layer of a network, so that everything outside speaks pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from mixwright.arguments import check_number, shown


class Normalised(nn.Module):
    """A network that takes images in [0, 1] and normalises them itself.

    Attacks, corruptions, fills and pictures then work on pixels, and the statistics travel with
    the weights: ``mean`` and ``std`` are buffers of the checkpoint.

    Args:
        model: network for normalised images ``(B, C, H, W)``.
        mean: one value per channel, in the scale of the images.
        std: one value per channel, above 0.

    Raises:
        ValueError: ``mean`` and ``std`` differ in length or are empty, or a value cannot be used.

    Example:
        >>> net = Normalised(nn.Flatten(), mean=[0.5], std=[0.25])
        >>> net(torch.tensor([[[[0.0, 0.5, 1.0]]]]))
        tensor([[-2.,  0.,  2.]])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"Normalised: model is {shown(model)}; expected a torch.nn.Module.")
        for argument, values in (("mean", mean), ("std", std)):
            if isinstance(values, str) or not isinstance(values, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueError(
                    f"Normalised: {argument} is {shown(values)}; expected one number a channel."
                )
            for value in values:
                check_number("Normalised", argument, value, low=-math.inf)
        means = torch.tensor(tuple(mean), dtype=torch.float32)
        stds = torch.tensor(tuple(std), dtype=torch.float32)
        if len(means) != len(stds) or len(means) == 0:
            raise ValueError(
                f"Normalised: {len(means)} means and {len(stds)} standard deviations; expected "
                "one of each per channel."
            )
        if not bool(means.isfinite().all() and stds.isfinite().all() and (stds > 0).all()):
            raise ValueError(
                f"Normalised: mean {tuple(mean)} and std {tuple(std)}; expected finite numbers "
                "and every standard deviation above 0. A channel that never changes needs std=1."
            )
        self.register_buffer("mean", means.view(1, -1, 1, 1))
        self.register_buffer("std", stds.view(1, -1, 1, 1))
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Return the model's logits for images in [0, 1].

        Args:
            images: floating ``(B, C, H, W)`` in [0, 1].

        Raises:
            ValueError: the images are integers, or have another number of channels.
        """
        channels = self.mean.shape[1]
        if images.ndim != 4 or images.shape[1] != channels or not images.is_floating_point():
            raise ValueError(
                f"Normalised: images have shape {tuple(images.shape)} and dtype {images.dtype}; "
                f"expected floating (B, {channels}, H, W) in [0, 1]. Bytes become that by "
                "images.float() / 255."
            )
        return self.model((images - self.mean) / self.std)


def normalised(model: nn.Module, mean: Sequence[float], std: Sequence[float]) -> Normalised:
    """Wrap a network for images in [0, 1], unless it is wrapped with its own statistics already."""
    return model if isinstance(model, Normalised) else Normalised(model, mean, std)
