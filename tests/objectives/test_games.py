"""Games: gradients routed by signs, and the coefficients of the four of them."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from mixwright.objectives.games import Game, GameName, scale_grad


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.5, -2.0])
def test_gradients_are_scaled_and_values_are_not(factor: float) -> None:
    x = torch.tensor([2.0, 3.0], dtype=torch.float64, requires_grad=True)
    y = scale_grad(x * x, factor)
    assert y.tolist() == [4.0, 9.0]
    (y * torch.tensor([1.0, 10.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([4.0 * factor, 60.0 * factor])


def test_a_factor_of_nothing_detaches() -> None:
    x = torch.ones(2, requires_grad=True)
    assert not scale_grad(x * 2, 0.0).requires_grad


def test_two_players_in_one_backward_are_two_backwards() -> None:
    """A player who climbs what the other descends, in one pass through both."""
    torch.manual_seed(0)
    maker, judge = (torch.nn.Linear(4, 4, dtype=torch.float64) for _ in range(2))
    x = torch.rand(5, 4, dtype=torch.float64)
    judge(scale_grad(maker(x), -1.0)).square().sum().backward()
    once = [p.grad.clone() for p in (*maker.parameters(), *judge.parameters())]
    loss = judge(maker(x)).square().sum()
    up = torch.autograd.grad(-loss, tuple(maker.parameters()), retain_graph=True)
    down = torch.autograd.grad(loss, tuple(judge.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(once, (*up, *down), strict=True))


def test_the_table_of_signs() -> None:
    """What the generator minimises: factors of (student, teacher's loss, cosine)."""
    beta = 0.3
    rows = {
        name: [(Game.named(name, beta).student, *Game.named(name, beta).factors(k)) for k in (0, 1)]
        for name in get_args(GameName)
    }
    expected = {
        "official": [(0, -0.3, 0.7), (0, 1, 0)],
        "paper": [(-1, 0.3, -0.7), (-1, 0.3, -0.7)],
        "averaged": [(0, 0.35, 0.35), (0, 0.35, 0.35)],
        "cooperative": [(0, 1, 0), (0, 1, 0)],
    }
    for name, row in rows.items():
        assert row == [pytest.approx(one) for one in expected[name]]
    assert [Game.named(name, beta).shared for name in get_args(GameName)] == [
        False,
        True,
        False,
        False,
    ]
