"""Entropic transport, against scaling in float64, an exact assignment and the authors' loop."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mixwright.masks.sinkhorn import early_stopped_transport, square_distances, transport
from mixwright.sampling import normal, stream


def _points(count: int, places: int, width: int, *, seed: int, scale: float = 1.0) -> Tensor:
    like = torch.zeros(())
    return scale * normal((count, places, width), device=like.device, generator=stream(seed))


def _converged(cost: Tensor, eps: float) -> Tensor:
    """Scale the rows and columns of exp(-cost / eps) in turn in float64, 1,000 times."""
    logs = -cost.double() / eps
    wanted = math.log(cost.shape[1] / cost.shape[2])
    row, column = torch.zeros_like(logs[:, :, :1]), torch.zeros_like(logs[:, :1])
    for turn in range(1000):  # the first half of them with an eps that falls to what it should be
        grown = max(1.0, 1000 ** (1 - turn / 500))
        column = wanted * grown - grown * ((logs + row) / grown).logsumexp(dim=1, keepdim=True)
        row = -grown * ((logs + column) / grown).logsumexp(dim=2, keepdim=True)
    return (logs + row + column).exp()


def _features(kind: str) -> tuple[Tensor, Tensor]:
    """Two batches of places as networks give them: ReLU features, costs 50 to 15,000 times 0.1."""
    places, width, scale = {
        "small": (16, 64, 0.4), "usual": (16, 512, 1.0), "large": (16, 512, 3.0),
        "many": (49, 64, 1.0), "smooth": (49, 64, 3.0),
    }[kind]  # fmt: skip
    first, second = (_points(6, places, width, seed=seed, scale=scale) for seed in (21, 22))
    if kind == "smooth":  # neighbours are alike, as in maps after convolutions
        maps = torch.cat([first, second])[:, :9].transpose(1, 2).unflatten(2, (3, 3))
        grown = torch.nn.functional.interpolate(maps, size=(7, 7), mode="bilinear")
        first, second = grown.flatten(2).transpose(1, 2).chunk(2)
    return first.relu(), second.relu()


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


@pytest.mark.parametrize(("places", "others"), [(1, 1), (4, 4), (5, 5), (3, 6), (6, 4), (1, 5)])
def test_transport_scales_rows_and_columns(places: int, others: int) -> None:
    cost = square_distances(
        _points(2, places, 3, seed=3, scale=0.3), _points(2, others, 3, seed=4, scale=0.3)
    )
    shares = transport(cost, eps=0.1, iters=100)
    assert shares.dtype == torch.float32
    torch.testing.assert_close(shares, _converged(cost, 0.1).float(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("iters", [1, 2, 50])
@pytest.mark.parametrize("scale", [0.01, 1.0, 5.0, 3e3, 1e6])
@pytest.mark.parametrize("others", [9, 12])
def test_rows_and_columns_add_up_however_few_the_iterations(
    iters: int, scale: float, others: int
) -> None:
    cost = square_distances(
        _points(4, 9, 32, seed=7, scale=scale), _points(4, others, 32, seed=8, scale=scale)
    )
    shares = transport(cost, eps=0.1, iters=iters)
    assert (shares >= 0).all()
    torch.testing.assert_close(shares.sum(dim=2), torch.ones(4, 9), atol=1e-5, rtol=0)
    column = torch.full((4, others), 9 / others)
    torch.testing.assert_close(shares.sum(dim=1), column, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("kind", "off", "gap"),
    [("small", 0.02, 0.02), ("usual", 0.002, 0.002), ("large", 0.001, 0.001),
     ("many", 0.02, 0.005), ("smooth", 0.04, 0.005)],
)  # fmt: skip
def test_the_default_number_of_iterations_comes_near_the_converged_plan(
    kind: str, off: float, gap: float
) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    first, second = _features(kind)
    cost = square_distances(first, second)
    shares = transport(cost, eps=0.1, iters=100)
    moved, converged = shares @ second, _converged(cost, 0.1).float() @ second
    error = (moved - converged).flatten(1).norm(dim=1) / converged.flatten(1).norm(dim=1)
    assert error.mean() < off
    above = list[float]()
    for plan, table in zip(shares.double(), cost.double(), strict=True):
        rows, columns = optimize.linear_sum_assignment(table.numpy())
        best, usual = table.numpy()[rows, columns].sum(), float(table.mean()) * len(table)
        assert float((plan * table).sum()) >= best - 1e-3
        above.append((float((plan * table).sum()) - best) / (usual - best))
    assert sum(above) / len(above) < gap


def test_what_a_row_or_a_column_costs_alike_changes_nothing() -> None:
    cost = square_distances(_points(3, 9, 16, seed=13), _points(3, 9, 16, seed=14))
    more = 4096 * torch.arange(9.0)[:, None] + 8192 * torch.arange(9.0)
    shares = transport(cost, eps=0.1, iters=100)
    # What is left of the costs has the digits that float32 has at 100,000: about 0.01.
    torch.testing.assert_close(transport(cost + more, eps=0.5, iters=100),
                               transport(cost, eps=0.5, iters=100), atol=0.03, rtol=0)  # fmt: skip
    assert shares.amax(dim=2).mean() > 0.8


def test_small_eps_gives_the_cheapest_assignment() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    cost = square_distances(_points(6, 7, 3, seed=9), _points(6, 7, 3, seed=10))
    shares = transport(cost, eps=0.05, iters=100)
    for one, of in zip(shares, cost, strict=True):
        rows, columns = optimize.linear_sum_assignment(of.numpy())
        best = of.numpy()[rows, columns].sum()
        assert best - 1e-3 <= float((one * of).sum()) <= best + 0.05 * 7 * math.log(7)


# ------------------------------------------------------------------ as the authors stop


def _stopped_by_hand(cost: Tensor, eps: float, most: int, threshold: float) -> tuple[Tensor, int]:
    """The loop of AlignMix's authors in float64, with a sum a row and a real break."""
    count, height, width = cost.shape
    kernel = cost.double()
    row = torch.zeros(count, height, dtype=torch.float64)
    column = torch.zeros(count, width, dtype=torch.float64)
    done = 0
    for _ in range(most):
        before = row.clone()
        for p in range(height):
            prices = (column + before[:, p, None] - kernel[:, p]) / eps
            row[:, p] = eps * (math.log(1 / height + 1e-8) - prices.logsumexp(1)) + before[:, p]
        for q in range(width):
            prices = (row + column[:, q, None] - kernel[:, :, q]) / eps
            column[:, q] += eps * (math.log(1 / width + 1e-8) - prices.logsumexp(1))
        done += 1
        if sum(float((row[b] - before[b]).abs().sum()) for b in range(count)) / count < threshold:
            break
    return height * ((row[:, :, None] + column[:, None] - kernel) / eps).exp(), done


@pytest.mark.parametrize(("scale", "stops"), [(0.02, 2), (0.1, 50), (1.0, 100)])
def test_the_official_solver_is_the_authors_loop(scale: float, stops: int) -> None:
    cost = square_distances(
        *(_points(3, 8, 12, seed=seed, scale=scale).relu() for seed in (15, 16))
    )
    by_hand, done = _stopped_by_hand(cost, 0.01, 100, 0.01)
    shares = early_stopped_transport(cost, eps=0.01, iters=100, threshold=0.01)
    assert done <= stops
    torch.testing.assert_close(shares, by_hand.float(), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(3, 8), atol=1e-3, rtol=0)


def test_the_official_solver_stops_before_features_are_matched() -> None:
    first, second = _features("large")
    shares = early_stopped_transport(square_distances(first, second), eps=0.1, iters=100)
    assert shares.sum(dim=2).min() < 0.5
    assert shares.sum(dim=2).max() > 1.9


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
    for solver in (transport, early_stopped_transport):
        with pytest.raises(ValueError, match=said):
            solver(torch.zeros(shape), eps=eps, iters=iters)


def test_the_host_reads_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(tensor: Tensor) -> None:
        raise AssertionError(f"read {tuple(tensor.shape)}")

    cost = square_distances(_points(2, 5, 3, seed=1), _points(2, 5, 3, seed=2))
    for name in ("item", "__bool__", "__float__", "tolist", "cpu"):
        monkeypatch.setattr(Tensor, name, read)
    for solver in (transport, early_stopped_transport):
        assert solver(cost, eps=0.1, iters=3).shape == (2, 5, 5)
