"""Normalisation as the first layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mixwright.lab.models import Normalised, build_model


def test_each_channel_is_centred_and_scaled() -> None:
    net = Normalised(nn.Identity(), mean=(0.5, 0.25), std=(0.5, 0.125))
    images = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    assert net(images).flatten().tolist() == [-1.0, 6.0]
    assert net(images.double()).dtype == torch.float64


def test_statistics_travel_with_the_weights_and_the_device() -> None:
    net = Normalised(build_model("smallconv", num_classes=2, image_size=32), (0.1,) * 3, (0.2,) * 3)
    state = net.state_dict()
    assert state["mean"].shape == (1, 3, 1, 1)
    assert {key.split(".")[0] for key in state} == {"mean", "std", "model"}
    other = Normalised(
        build_model("smallconv", num_classes=2, image_size=32), (0.0,) * 3, (1.0,) * 3
    )
    other.load_state_dict(state)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(net.eval()(images), other.eval()(images))
    assert net.to("meta").mean.device.type == "meta"


def test_pixels_get_gradients_and_the_input_is_not_written() -> None:
    net = Normalised(nn.Identity(), mean=(0.5,), std=(0.25,))
    images = torch.rand(2, 1, 4, 4).contiguous(memory_format=torch.channels_last)
    before = images.clone()
    images.requires_grad_(True)
    net(images).sum().backward()
    assert images.grad is not None
    assert torch.equal(images.grad, torch.full_like(images, 4.0))
    assert torch.equal(images.detach(), before)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.5, 0.5), (0.25,), "2 means and 1 standard deviations"),
        ((), (), "0 means"),
        ((0.5,), (0.0,), "every standard deviation above 0"),
        ((float("nan"),), (1.0,), "mean is nan; expected a finite number\\."),
    ],
)
def test_statistics_that_cannot_be_used(mean, std, message) -> None:
    with pytest.raises(ValueError, match=message):
        Normalised(nn.Identity(), mean, std)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 4, 4, dtype=torch.uint8),
        torch.zeros(2, 1, 4, 4),
        torch.zeros(3, 4, 4),
    ],
)
def test_images_that_do_not_fit(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected floating \(B, 3, H, W\) in \[0, 1\]"):
        Normalised(nn.Identity(), (0.5,) * 3, (0.5,) * 3)(images)
