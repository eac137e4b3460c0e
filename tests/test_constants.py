"""Tensors that are made once: they serve every mode, and no mode leaves its own behind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from mixwright.constants import once, steps


@once
def _row(count: int, device: torch.device) -> Tensor:
    return torch.ones(count, device=device)


CPU = torch.device("cpu")


def test_a_constant_is_made_once() -> None:
    assert _row(3, CPU) is _row(3, CPU)
    assert _row(4, CPU).tolist() == [1.0] * 4
    assert steps(3, CPU).tolist() == [0, 1, 2]


def test_a_constant_made_in_inference_mode_serves_in_a_later_backward() -> None:
    with torch.inference_mode():
        made = _row(5, CPU)
    weight = torch.ones(5, requires_grad=True)
    (weight * made).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [1.0] * 5


@pytest.mark.parametrize("before", [False, True])
def test_a_mode_sees_its_own_tensors_and_leaves_none(before: bool) -> None:
    count = 7 + before
    if before:
        _row(count, CPU)
    with FakeTensorMode():
        assert isinstance(_row(count, CPU) + torch.ones(count), FakeTensor)
    assert not isinstance(_row(count, CPU), FakeTensor)


def test_compiled_code_makes_its_own() -> None:
    def double(values: Tensor) -> Tensor:
        return values + _row(values.shape[0], values.device)

    compiled = torch.compile(double, backend="eager", fullgraph=True)
    assert compiled(torch.zeros(6)).tolist() == [1.0] * 6
