"""The pretended device sees what would make a host wait."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
)

from accelerator import CUDA, Accelerator
from mixwright.adapters.mix import Mix
from mixwright.mixers import CutMix
from mixwright.sampling import stream, uniform

# What fake tensors raise where the result would be a value.
NO_RESULT = (DataDependentOutputException, DynamicOutputShapeException)
WAITS: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x[0, 0]),
    "if": lambda x: 1 if (x > 0).any() else 0,
    "tolist": lambda x: x[0].tolist(),
    "cpu": lambda x: x.cpu(),
    "inference": torch.inference_mode()(lambda x: x.cpu()),
    "numbers of the host": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "tensor of the host": lambda x: torch.ones(3).to(x.device),
    "flags": lambda x: x[x[:, 0] > 0],
    "nonzero": lambda x: x.nonzero(),
    "index of the host": lambda x: x[torch.tensor([0, 1])],
    "equal": lambda x: torch.equal(x, x),
    "unique": lambda x: x.unique(),
    "repeats": lambda x: x.repeat_interleave((x[:, 0] > 0).long(), dim=0),
}
QUIET: dict[str, Callable[[Tensor], object]] = {
    "arithmetic": lambda x: (x + 1).exp().sum(dim=1).argsort(),
    "number of the host": lambda x: x * torch.tensor(2.0),
    "masked fill": lambda x: x.masked_fill(x > 0, 0),
    "where": lambda x: torch.where(x > 0, x, 0),
    "copy that nobody waits for": lambda x: torch.ones(3).to(x.device, non_blocking=True),
    "made there": lambda x: torch.full((3,), 2.0, device=x.device),
    "values of the host": lambda x: torch.ones(3).tolist(),
}


@pytest.mark.parametrize("call", WAITS.values(), ids=WAITS)
def test_each_wait_is_seen(call: Callable[[Tensor], object]) -> None:
    with Accelerator() as device:
        x = torch.rand(4, 3, device=CUDA)
        assert device.waits == []
        with contextlib.suppress(*NO_RESULT):
            call(x)
    assert device.waits
    assert "test_accelerator.py" in device.waits[0]


@pytest.mark.parametrize("call", QUIET.values(), ids=QUIET)
def test_what_waits_for_nothing_is_quiet(call: Callable[[Tensor], object]) -> None:
    with Accelerator() as device:
        call(torch.rand(4, 3, device=CUDA))
    assert device.waits == []


def test_tensors_of_two_devices_do_not_meet() -> None:
    with Accelerator(), pytest.raises(RuntimeError, match="same device"):
        torch.rand(3, device=CUDA) + torch.rand(3)


def test_a_generator_of_the_cpu_does_not_draw_on_the_device() -> None:
    with Accelerator() as device:
        assert uniform((3,), device=CUDA, generator=stream(0)).device == CUDA
        with pytest.raises(AssertionError, match="generator of the CPU"):
            torch.rand(3, device=CUDA, generator=stream(0))
    assert device.waits == []


def test_the_host_keeps_its_values() -> None:
    drawn = torch.rand(5, generator=stream(3)).tolist()
    with Accelerator():
        torch.rand(3, device=CUDA)
        assert torch.rand(5, generator=stream(3)).tolist() == drawn


def test_the_adapter_does_not_wait() -> None:
    mix = Mix(CutMix(), num_classes=5, seed=0)
    with Accelerator() as device:
        images = torch.rand(4, 3, 8, 6, device=CUDA)
        labels = torch.zeros(4, dtype=torch.int64, device=CUDA)
        mixed, targets = mix(images, labels)
    assert (mixed.device, targets.device) == (CUDA, CUDA)
    assert device.waits == []
