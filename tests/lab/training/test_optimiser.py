"""Who is optimised, and how."""

import math

import pytest
import torch
from torch import nn

from lab.training.tiny import recipe, tiny_net
from mixwright.lab.training.optimiser import Optimisers, build_optimizer, set_rates


def test_weight_decay_pulls_at_all_or_at_matrices_only():
    net = tiny_net()
    (everything,) = build_optimizer(recipe(), model=net).param_groups
    assert len(everything["params"]) == len(list(net.parameters()))
    decayed, flat = build_optimizer(recipe(decay_norms=False), model=net).param_groups
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in flat["params"]} == {1}
    assert (decayed["weight_decay"], flat["weight_decay"]) == (5e-4, 0.0)


def by_hand(progress, highest, lowest, warmup):
    done = (progress - warmup) / (1 - warmup)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * done)) / 2


def test_each_group_has_a_highest_and_a_lowest_rate_of_its_own():
    stated = [
        {"lr": 0.05},
        {"lr": 0.2, "min_lr": 0.1},
        {"lr": 0.001},  # below the model's floor
        {"warmup": False, "min_lr": 0.0},
    ]
    extra = [{"params": iter([nn.Parameter(torch.zeros(2))]), **group} for group in stated]
    optimizer = build_optimizer(recipe(lr=0.1, min_lr=0.01), model=tiny_net(), extra=extra)
    bounds = [(0.1, 0.01), (0.05, 0.01), (0.2, 0.1), (0.001, 0.001), (0.1, 0.0)]
    for progress in (0.25, 0.5, 0.9):
        first = set_rates(optimizer, progress, step=0.1, warmup=0.2)
        expected = [by_hand(progress, *both, 0.2) for both in bounds[:4]]
        expected.append(by_hand(progress, *bounds[4], 0.0))
        assert [g["lr"] for g in optimizer.param_groups] == pytest.approx(expected)
        assert first == pytest.approx(expected[0])
    set_rates(optimizer, 0.0, step=0.1, warmup=0.2)  # half of the way up, but for the last
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx(
        [0.05, 0.025, 0.1, 0.0005, 0.1]
    )


def two_kinds(**options):
    other = nn.Parameter(torch.ones(1))
    net = nn.Linear(1, 1, bias=False)
    nn.init.ones_(net.weight)
    group = {"params": [other], "name": "other", **options}
    return net.weight, other, build_optimizer(recipe(lr=0.1), model=net, extra=[group])


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_a_group_of_another_kind_steps_by_its_own_rule(kind):
    """Each weight moves as it would by an optimiser of its own, momentum and decay included."""
    settings = {"weight_decay": 0.3, "lr": 0.02}
    if kind == "adamw":
        own = {"betas": (0.5, 0.9), "eps": 1e-3}
        optimiser = torch.optim.AdamW
    else:
        own = {"momentum": 0.5, "nesterov": False}
        optimiser = torch.optim.SGD
    weight, other, together = two_kinds(optimizer=kind, **settings, **own)
    copies = [nn.Parameter(one.detach().clone()) for one in (weight, other)]
    model = {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
    apart = [
        torch.optim.SGD([copies[0]], lr=0.1, **model),
        optimiser([copies[1]], **settings, **own),
    ]
    assert isinstance(together, Optimisers) == (kind == "adamw")
    assert [g["lr"] for g in together.param_groups] == [0.1, 0.02]
    for gradient in (2.0, -0.5, 0.7):
        for one in (weight, other, *copies):
            one.grad = torch.full_like(one, gradient)
        together.step()
        for one in apart:
            one.step()
    together.zero_grad()
    assert (weight.item(), other.item()) == (copies[0].item(), copies[1].item())
    assert (weight.grad, other.grad) == (None, None)


def test_two_kinds_continue_from_their_state():
    def steps(weight, other, optimizer, gradients):
        for gradient in gradients:
            for one in (weight, other):
                one.grad = torch.full_like(one, gradient)
            optimizer.step()
        return weight.item(), other.item()

    weight, other, straight = two_kinds(optimizer="adamw")
    expected = steps(weight, other, straight, (1.0, -2.0, 0.5, 0.1))
    weight, other, first = two_kinds(optimizer="adamw")
    steps(weight, other, first, (1.0, -2.0))
    state, values = first.state_dict(), (weight.item(), other.item())
    weight, other, second = two_kinds(optimizer="adamw")
    weight.data.fill_(values[0])
    other.data.fill_(values[1])
    second.load_state_dict(state)
    assert steps(weight, other, second, (0.5, 0.1)) == expected
    with pytest.raises(ValueError, match=r"shorter|longer"):
        second.load_state_dict({"parts": state["parts"][:1]})


def test_what_counts_for_one_kind_only_is_left_aside_by_the_other():
    net = nn.Linear(1, 1)
    extra = [{"params": [nn.Parameter(torch.zeros(1))], "momentum": 0.3, "betas": (0.1, 0.2)}]
    (_, group) = build_optimizer(recipe(), model=net, extra=extra).param_groups
    assert group["momentum"] == 0.3
    assert "betas" not in group
    (_, group) = build_optimizer(recipe(optimizer="adamw"), model=net, extra=extra).param_groups
    assert group["betas"] == (0.1, 0.2)
    assert "momentum" not in group


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"wd": 0.1}, "parameter group 1: it states 'wd'; expected params and any of name, opt"),
        ({"wd": 0.1, "name": "mixer"}, "parameter group 'mixer': it states 'wd'"),
        ({"params": None}, "parameter group 1: it has no 'params'"),
        ({"lr": -1.0}, "parameter group 1: lr is -1.0; expected a finite number at least 0"),
        ({"lr": 0.1, "min_lr": 0.2}, "parameter group 1: min_lr is 0.2; .* at most 0.1"),
        ({"optimizer": "adam"}, "parameter group 1: optimizer is 'adam'; .* 'sgd', 'adamw'"),
        ({"warmup": 5}, "parameter group 1: warmup is 5; expected one of True, False"),
        ({"lr": 3e38}, r"parameter group 1: lr is 3e\+38; .* at least 0 and at most 1e\+06"),
        ({"weight_decay": float("nan")}, "parameter group 1: weight_decay is nan"),
        ({"weight_decay": 1e7}, "parameter group 1: weight_decay is 10000000.0; .* at most 1e"),
        ({"momentum": 1.5}, "parameter group 1: momentum is 1.5"),
        ({"betas": (0.5, 2.0)}, "parameter group 1: betas is 2.0"),
        ({"eps": -1e-8}, "parameter group 1: eps is -1e-08"),
        ({"nesterov": 1.5}, "parameter group 1: nesterov is 1.5"),
    ],
)
def test_a_bad_group_is_named(group, message):
    fine = {"params": [nn.Parameter(torch.zeros(1))]}
    bad = {"params": [nn.Parameter(torch.zeros(1))], **group}
    bad = {key: value for key, value in bad.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        build_optimizer(recipe(), model=tiny_net(), extra=[fine, bad])


def test_a_parameter_of_two_groups_is_refused():
    net = tiny_net()
    group = {"params": [net[0].weight], "optimizer": "adamw"}
    with pytest.raises(ValueError, match=r"group 1 .* holds a parameter twice, or one of an"):
        build_optimizer(recipe(), model=net, extra=[group])
    own = nn.Parameter(torch.zeros(1))
    extra = [{"params": [own, own], "name": "twice"}]
    with pytest.raises(ValueError, match=r"group 'twice' .* holds a parameter twice"):
        build_optimizer(recipe(), model=net, extra=extra)


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
