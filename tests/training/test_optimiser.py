"""Who is optimised, and how."""

import pytest
import torch
from torch import nn

from mixwright.training.optimiser import build_optimizer, set_rate
from training.tiny import recipe, tiny_net


def test_weight_decay_pulls_at_all_or_at_matrices_only():
    net = tiny_net()
    (everything,) = build_optimizer(recipe(), model=net).param_groups
    assert len(everything["params"]) == len(list(net.parameters()))
    decayed, flat = build_optimizer(recipe(decay_norms=False), model=net).param_groups
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in flat["params"]} == {1}
    assert (decayed["weight_decay"], flat["weight_decay"]) == (5e-4, 0.0)


def test_groups_keep_their_proportion():
    own = nn.Parameter(torch.zeros(2))
    group = {"params": iter([own]), "lr": 0.05, "weight_decay": 0.0}
    optimizer = build_optimizer(recipe(lr=0.1), model=tiny_net(), extra=[group])
    set_rate(optimizer, 0.04)
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.04, 0.02])
    assert optimizer.param_groups[1]["params"] == [own]


def test_frozen_parameters_are_left_out():
    net = tiny_net()
    net[0].requires_grad_(False)
    (group,) = build_optimizer(recipe(), model=net).param_groups
    assert len(group["params"]) == len(list(net.parameters())) - 1
    with pytest.raises(ValueError, match="no parameter requires a gradient"):
        build_optimizer(recipe(), model=net.requires_grad_(False))


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_one_step_by_hand(kind):
    net = nn.Linear(1, 1, bias=False)
    nn.init.ones_(net.weight)
    settings = {"weight_decay": 0.5, "lr": 0.1, "momentum": 0.5}
    optimizer = build_optimizer(recipe(optimizer=kind, **settings), model=net)
    net.weight.grad = torch.tensor([[2.0]])
    optimizer.step()
    # SGD: g = 2 + 0.5 * 1; buffer = g; Nesterov: g + 0.5 * buffer = 3.75; w = 1 - 0.375.
    # AdamW: w = 1 * (1 - 0.1 * 0.5) - 0.1 * sign(g).
    expected = {"sgd": 0.625, "adamw": 0.85}[kind]
    assert net.weight.item() == pytest.approx(expected, abs=1e-6)
