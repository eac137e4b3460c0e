"""Several batches in one forward, against forwards of their own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from mixwright.objectives.grouped import grouped_norm


def net(dims: int = 2, **norm: object) -> nn.Sequential:
    if dims == 1:
        return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4, **norm), nn.ReLU(inplace=True))
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4, **norm),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 2, 3),
        nn.BatchNorm2d(2, **norm),
    )


def batches(dims: int = 2, count: int = 3, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    shape = (4, 5) if dims == 1 else (4, 3, 6, 6)
    return [torch.randn(shape, dtype=dtype) * (1 + i) + i for i in range(count)]


def both(model: nn.Module, parts: list[Tensor]) -> tuple[nn.Module, Tensor, Tensor]:
    """Run batches one by one through a copy, and together."""
    other = copy.deepcopy(model)
    apart = torch.cat([other(part) for part in parts])
    with grouped_norm(model, len(parts)):
        together = model(torch.cat(parts))
    return other, apart, together


def same_buffers(one: nn.Module, two: nn.Module, atol: float = 1e-12) -> None:
    for (name, a), (_, b) in zip(one.named_buffers(), two.named_buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol, msg=name)


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize(
    "norm", [{}, {"momentum": None}, {"track_running_stats": False}, {"affine": False}]
)
def test_outputs_gradients_and_running_statistics_are_those_of_separate_passes(dims, norm):
    torch.manual_seed(0)
    model = net(dims, **norm).double()
    parts = batches(dims)
    other, apart, together = both(model, parts)
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)
    same_buffers(model, other)
    weight = torch.randn_like(apart)
    (apart * weight).sum().backward()
    (together * weight).sum().backward()
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-10, atol=1e-10)
    ungrouped = copy.deepcopy(model)(torch.cat(parts))
    assert (ungrouped - together).abs().max() > 0.1  # groups do matter here


def test_sums_of_sequences_and_synchronised_norms_are_grouped_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(4), nn.SyncBatchNorm(4)).double()
    other, apart, together = both(model, [torch.randn(3, 4, 7).double() * (1 + i) for i in (0, 1)])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)
    same_buffers(model, other)


def test_under_autocast_and_in_channels_last():
    torch.manual_seed(0)
    model = net().to(memory_format=torch.channels_last)
    parts = [
        part.contiguous(memory_format=torch.channels_last) for part in batches(dtype=torch.float32)
    ]
    with torch.autocast("cpu", torch.bfloat16):
        other, apart, together = both(model, parts)
    assert together.dtype == apart.dtype == torch.bfloat16
    assert together.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(together, apart, rtol=2e-2, atol=2e-2)
    same_buffers(model, other, atol=1e-3)
    _, apart, together = both(model, parts)
    torch.testing.assert_close(together, apart, rtol=0, atol=2e-6)


def test_norms_in_evaluation_mode_use_their_running_statistics():
    torch.manual_seed(0)
    model = net().double()
    model(batches()[0])
    model[1].eval()
    before = model[1].running_mean.clone()
    other, apart, together = both(model, batches())
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)
    same_buffers(model, other)
    assert torch.equal(model[1].running_mean, before)


def test_forwards_come_back_also_after_an_error():
    model = net()

    def own(features: Tensor) -> Tensor:
        return nn.BatchNorm2d.forward(model[4], features)

    model[4].forward = own
    with grouped_norm(model, 2):
        assert model[4].forward is not own
        assert "forward" in vars(model[1])
    assert model[4].forward is own
    assert "forward" not in vars(model[1])
    with (
        pytest.raises(ValueError, match="batch of 5 rows is to be cut into 2 equal"),
        grouped_norm(nn.DataParallel(model), 2),
    ):
        model(torch.randn(5, 3, 6, 6))
    assert model[4].forward is own
    assert "forward" not in vars(model[1])
    with pytest.raises(ValueError, match="groups is 0; expected a whole number, at least 1"):
        grouped_norm(model, 0).__enter__()


def test_one_group_and_other_norms_change_nothing():
    model = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    x = torch.randn(6, 5)
    with grouped_norm(model, 4):  # 6 rows: nobody cuts
        assert torch.equal(model(x), model(x))
    normed = net()
    with grouped_norm(normed, 1):
        assert not any("forward" in vars(module) for module in normed.modules())


@pytest.mark.parametrize("in_place", [True, False])
def test_models_that_are_already_compiled_are_grouped_too(in_place):
    torch.manual_seed(0)
    model = net(1).double()
    other = copy.deepcopy(model)
    torch._dynamo.reset()
    if in_place:
        model.compile(backend="eager")
    compiled = model if in_place else torch.compile(model, backend="eager")
    parts = batches(1, 2)
    for one in (compiled, other):
        one(parts[0])
    apart = torch.cat([other(part) for part in parts])
    with grouped_norm(compiled, 2):
        together = compiled(torch.cat(parts))
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)
    same_buffers(model, other)
    torch.testing.assert_close(compiled(parts[1]), other(parts[1]))
