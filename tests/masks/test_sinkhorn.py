"""Entropic transport, against scaling written out in float64 and an exact assignment."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mixwright.masks.sinkhorn import square_distances, transport
from mixwright.sampling import normal, stream


def _points(count: int, places: int, width: int, *, seed: int, scale: float = 1.0) -> Tensor:
    like = torch.zeros(())
    return scale * normal((count, places, width), device=like.device, generator=stream(seed))


def _scaled_by_hand(cost: Tensor, eps: float, iters: int) -> Tensor:
    """Scale the rows and columns of exp(-cost / eps) in turn, without logarithms."""
    kernel = (-cost.double() / eps).exp()
    height, width = kernel.shape
    row = torch.ones(height, dtype=torch.float64)
    column = torch.ones(width, dtype=torch.float64)
    for _ in range(iters):
        for q in range(width):
            column[q] = (height / width) / sum(kernel[p, q] * row[p] for p in range(height))
        for p in range(height):
            row[p] = 1 / sum(kernel[p, q] * column[q] for q in range(width))
    return row[:, None] * kernel * column


def test_distances_are_those_of_all_pairs() -> None:
    first, second = _points(2, 5, 7, seed=1), _points(2, 4, 7, seed=2)
    by_hand = (first[:, :, None] - second[:, None]).square().sum(dim=3)
    torch.testing.assert_close(square_distances(first, second), by_hand)
    assert square_distances(first, first).diagonal(dim1=1, dim2=2).max() < 1e-5
    # Far away float32 would have no digits left for distances of about 10.
    torch.testing.assert_close(
        square_distances(first + 1000, second + 1000), by_hand, atol=1e-2, rtol=0
    )
    assert square_distances(first.bfloat16(), second.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(("places", "others", "iters"), [(4, 4, 1), (5, 5, 30), (3, 6, 30)])
def test_transport_scales_rows_and_columns(places: int, others: int, iters: int) -> None:
    cost = square_distances(
        _points(2, places, 3, seed=3, scale=0.3), _points(2, others, 3, seed=4, scale=0.3)
    )
    shares = transport(cost, eps=0.1, iters=iters)
    assert shares.dtype == torch.float32
    for one, of in zip(shares, cost, strict=True):
        by_hand = _scaled_by_hand(of, 0.1, iters).float()
        torch.testing.assert_close(one, by_hand, atol=1e-5, rtol=1e-4)


def test_rows_and_columns_add_up_after_fifty_iterations() -> None:
    first, second = (_points(8, 16, 64, seed=seed, scale=0.1).relu() for seed in (5, 6))
    shares = transport(square_distances(first, second), eps=0.1, iters=50)
    assert (shares >= 0).all()
    torch.testing.assert_close(shares.sum(dim=2), torch.ones(8, 16))
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(8, 16), atol=1e-2, rtol=0)


def test_rows_add_up_however_far_the_columns_are_from_it() -> None:
    cost = square_distances(_points(4, 9, 32, seed=7, scale=5), _points(4, 9, 32, seed=8, scale=5))
    assert cost.mean() > 1000 * 0.1
    shares = transport(cost, eps=0.1, iters=2)
    assert shares.isfinite().all()
    torch.testing.assert_close(shares.sum(dim=2), torch.ones(4, 9))


def test_small_eps_gives_the_cheapest_assignment() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    cost = square_distances(_points(6, 7, 3, seed=9), _points(6, 7, 3, seed=10))
    shares = transport(cost, eps=0.05, iters=400)
    for one, of in zip(shares, cost, strict=True):
        rows, columns = optimize.linear_sum_assignment(of.numpy())
        best = of.numpy()[rows, columns].sum()
        assert best - 0.05 <= float((one * of).sum()) <= best + 0.05 * 7 * math.log(7)


def test_cost_in_half_precision_and_under_autocast_is_handled_in_float32() -> None:
    cost = square_distances(_points(1, 5, 3, seed=11), _points(1, 5, 3, seed=12)).bfloat16()
    plain = transport(cost.float(), eps=0.1, iters=9)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(transport(cost, eps=0.1, iters=9), plain)
        first, second = _points(1, 5, 3, seed=11), _points(1, 5, 3, seed=12)
        assert square_distances(first, second).dtype == torch.float32


@pytest.mark.parametrize(
    ("shape", "eps", "iters", "said"),
    [
        ((3, 3), 0.1, 5, r"cost has shape \(3, 3\)"),
        ((1, 3, 3), 0.0, 5, "eps is 0.0"),
        ((1, 3, 3), math.inf, 5, "eps is inf"),
        ((1, 3, 3), 0.1, 0, "iters 0"),
    ],
)
def test_bad_arguments_are_named(shape: tuple[int, ...], eps: float, iters: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        transport(torch.zeros(shape), eps=eps, iters=iters)
