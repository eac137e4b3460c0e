"""The optimiser of a run: the model's parameters, and those that the objective brings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from mixwright.training.recipe import Recipe


def build_optimizer(
    recipe: Recipe, *, model: nn.Module, extra: Sequence[dict[str, Any]] = ()
) -> Optimizer:
    """Build SGD or AdamW over the model's parameters and any further groups.

    Args:
        recipe: gives the kind and its numbers.
        model: its trainable parameters form the first group; the second holds those without
            weight decay where ``decay_norms`` is off.
        extra: groups as torch's optimisers take them, e.g. from ``Objective.param_groups``. What
            a group does not state is as for the model.

    Returns:
        The optimiser. Every group holds ``lr_scale``, its rate relative to the recipe's, by which
        ``set_rate`` keeps the groups in proportion.

    Raises:
        ValueError: a parameter is in two groups, or there is nothing to train.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    flat = [p for p in trained if p.ndim < 2 and not recipe.decay_norms]
    flat_ids = {id(p) for p in flat}
    groups: list[dict[str, Any]] = [{"params": [p for p in trained if id(p) not in flat_ids]}]
    if flat:
        groups.append({"params": flat, "weight_decay": 0.0})
    groups.extend({**group, "params": list(group["params"])} for group in extra)
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError(
            "build_optimizer: no parameter requires a gradient; expected a model that can be "
            "trained. Call model.requires_grad_(True)."
        )
    for group in groups:
        group["lr_scale"] = group.get("lr", recipe.lr) / recipe.lr
    return _of_kind(recipe, groups)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate, each group keeping its proportion to the recipe's."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]


def _of_kind(recipe: Recipe, groups: list[dict[str, Any]]) -> Optimizer:
    if recipe.optimizer == "adamw":
        return AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, foreach=True)
    return SGD(
        groups,
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        foreach=True,
    )
