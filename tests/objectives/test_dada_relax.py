"""The estimator, on a toy whose expectation can be written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mixwright.objectives.dada.relax import Control, Noise, Values, chosen, passed, relax
from mixwright.sampling import stream

WEIGHTS = torch.tensor([0.3, -0.8, 0.9])
CHANCES = torch.tensor([[0.5, 0.2], [0.7, 0.9], [0.35, 0.6]])
# The value of each pair, by whether its first and second gate are open.
TABLE = torch.tensor(
    [[[1.0, -2.0], [0.5, 3.0]], [[0.0, 1.5], [-1.0, 2.0]], [[4.0, 1.0], [2.0, -3.0]]]
)


def expected(weights: Tensor, chances: Tensor) -> Tensor:
    total = torch.zeros(())
    for pair, share in enumerate(weights.softmax(dim=0)):
        for first in (0, 1):
            for second in (0, 1):
                a = chances[pair, 0] if first else 1 - chances[pair, 0]
                b = chances[pair, 1] if second else 1 - chances[pair, 1]
                total = total + share * a * b * TABLE[pair, first, second]
    return total


def control(kind: str) -> Control:
    if kind == "none":
        return lambda seen: 0 * seen.sum(dim=-1, keepdim=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(9, 16), nn.Tanh(), nn.Linear(16, 1))
    return lambda seen: 4 * net(seen)


def estimates(count: int, kind: str, seed: int) -> tuple[Values, Values]:
    noise = Noise.draw(count, 3, generator=stream(seed))
    many = Values(WEIGHTS.expand(count, 3), CHANCES.expand(count, 3, 2))
    pair, gates = chosen(many, noise), passed(many, noise).long()
    own = gates[torch.arange(count), pair]
    value = TABLE[pair, own[:, 0], own[:, 1]]
    return relax(value, many, noise, control(kind)), Values(pair, gates)


@pytest.mark.parametrize("kind", ["none", "net"])
def test_estimates_have_no_bias(kind):
    weights, chances = WEIGHTS.clone().requires_grad_(), CHANCES.clone().requires_grad_()
    truth = torch.autograd.grad(expected(weights, chances), (weights, chances))
    count = 100_000
    found, _ = estimates(count, kind, 0)
    for each, true in zip((found.weights, found.chances), truth, strict=True):
        each = each.detach().double()
        error = (each.mean(dim=0) - true).abs()
        assert (error <= 3 * each.std(dim=0) / count**0.5).all()
        assert (each.std(dim=0) / count**0.5 < 0.03).all()  # sharp enough to see a bias


def test_draws_have_their_chances():
    count = 40_000
    _, drawn = estimates(count, "none", 1)
    share = torch.bincount(drawn.weights, minlength=3) / count
    torch.testing.assert_close(share, WEIGHTS.softmax(dim=0), atol=0.01, rtol=0)
    torch.testing.assert_close(drawn.chances.float().mean(dim=0), CHANCES, atol=0.01, rtol=0)


def test_gates_of_other_pairs_get_nothing():
    found, drawn = estimates(50, "net", 2)
    other = torch.ones(50, 3, dtype=torch.bool)
    other[torch.arange(50), drawn.weights] = False
    assert (found.chances[other] == 0).all()
    assert (found.chances[~other] != 0).all()


def test_a_trained_control_variate_lowers_the_variance():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(9, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-2)
    noise = Noise.draw(500, 3, generator=stream(3))
    many = Values(WEIGHTS.expand(500, 3), CHANCES.expand(500, 3, 2))
    pair, gates = chosen(many, noise), passed(many, noise).long()
    own = gates[torch.arange(500), pair]
    value = TABLE[pair, own[:, 0], own[:, 1]]
    squares = []
    for _ in range(60):
        found = relax(value, many, noise, net)
        square = found.weights.square().sum() + found.chances.square().sum()
        optimizer.zero_grad()
        square.backward()
        optimizer.step()
        squares.append(float(square.detach()))
    assert squares[-1] < 0.75 * squares[0]
