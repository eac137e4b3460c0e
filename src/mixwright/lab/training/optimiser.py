"""The optimiser of a run: over the model's parameters, and those of the objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from torch import nn
from torch.optim import SGD, AdamW
from torch.optim import Optimizer as TorchOptimizer

from mixwright.arguments import HIGHEST_RATE, check_choice, check_number
from mixwright.lab.training.lamb import Lamb
from mixwright.lab.training.layers import layer_groups
from mixwright.lab.training.recipe import Optimizer as Kind
from mixwright.lab.training.recipe import Recipe
from mixwright.lab.training.schedule import learning_rate

_OF_KIND: dict[str, tuple[str, ...]] = {
    "sgd": ("momentum", "nesterov"),
    "adamw": ("betas", "eps"),
    "lamb": ("betas", "eps"),
}
_KNOWN = (
    *("params", "name", "optimizer", "lr", "min_lr", "warmup", "weight_decay"),
    *(key for keys in _OF_KIND.values() for key in keys),
)


class Optimisers:
    """Several optimisers that step as one; no parameter is in two of them.

    Example:
        >>> weights = nn.Linear(2, 1), nn.Linear(1, 2)
        >>> both = Optimisers([SGD(weights[0].parameters()), AdamW(weights[1].parameters())])
        >>> len(both.param_groups), len(both.state_dict()["parts"])
        (2, 2)
    """

    def __init__(self, parts: Sequence[TorchOptimizer]) -> None:
        self.parts = tuple(parts)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all of them, the very dictionaries."""
        return [group for part in self.parts for group in part.param_groups]

    def step(self) -> None:
        """Let each take its step."""
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The states of all, for ``load_state_dict``."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what ``state_dict`` gave."""
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)


def build_optimizer(
    recipe: Recipe, *, model: nn.Module, extra: Sequence[dict[str, Any]] = ()
) -> TorchOptimizer | Optimisers:
    """Build SGD, AdamW or LAMB over the model's parameters and any further groups.

    Args:
        recipe: gives the kind and its numbers.
        model: its trainable parameters form the first group; the second holds those without
            weight decay where ``decay_norms`` is off. With ``layer_decay`` below 1 both are one
            group a layer, the last layer first; see ``layers.depths``.
        extra: further groups, from ``Objective.param_groups``. Beside ``params``, a group may
            state ``name``, for messages; ``optimizer``, ``"sgd"``, ``"adamw"`` or ``"lamb"``;
            ``lr``, its highest rate, and ``min_lr``, what its cosine falls to; ``warmup``, whether
            it warms up with the model; ``weight_decay``; ``momentum`` and ``nesterov``, which count
            with SGD only; ``betas`` and ``eps``, with the others only. What it does not state is as
            for the model, and where the model has none as torch has it; a rate below the recipe's
            ``min_lr`` is its own floor.

    Returns:
        The optimiser; ``Optimisers`` where groups want another kind than the recipe's. Its groups
        hold ``highest``, ``lowest`` and ``warms``, which ``set_rates`` reads.

    Raises:
        ValueError: a group states something unknown or a value out of range, a parameter is in
            two groups, or there is nothing to train.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    flat = [p for p in trained if p.ndim < 2 and not recipe.decay_norms]
    flat_ids = {id(p) for p in flat}
    kinds = (([p for p in trained if id(p) not in flat_ids], {}), (flat, {"weight_decay": 0.0}))
    groups: list[dict[str, Any]] = []
    for parameters, stated in kinds:
        for of_layer, factor in layer_groups(parameters, model, recipe.layer_decay):
            # The floor too, as timm's scheduler has it: the ratio of two layers never changes.
            rates = {"lr": recipe.lr * factor, "min_lr": recipe.min_lr * factor}
            groups.append(_group(recipe, {"params": of_layer, **stated, **rates}))
    groups += [_group(recipe, stated, number) for number, stated in enumerate(extra)]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ValueError(
            "build_optimizer: no parameter requires a gradient; expected a model that can be "
            "trained. Call model.requires_grad_(True)."
        )
    _check_apart(groups)
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for group in groups:
        by_kind.setdefault(group.pop("optimizer"), []).append(group)
    parts = [_torch_optimizer(kind, of_kind) for kind, of_kind in by_kind.items()]
    return parts[0] if len(parts) == 1 else Optimisers(parts)


def set_rates(
    optimizer: TorchOptimizer | Optimisers, progress: float, *, step: float, warmup: float
) -> float:
    """Set each group's learning rate, from its own highest to its own lowest; return the first.

    ``progress``, ``step`` and ``warmup`` are shares of the run; see ``learning_rate``.
    """
    groups = optimizer.param_groups
    for group in groups:
        group["lr"] = learning_rate(
            progress,
            step=step,
            highest=group["highest"],
            lowest=group["lowest"],
            warmup=warmup if group["warms"] else 0.0,
        )
    return groups[0]["lr"]


def _group(recipe: Recipe, stated: Mapping[str, Any], number: int = 0) -> dict[str, Any]:
    """Return a group with all settings of its kind, checked."""
    group = f"parameter group {stated.get('name', number)!r}"
    unknown = [key for key in stated if key not in _KNOWN]
    if unknown or "params" not in stated:
        wrong = f"states {unknown[0]!r}" if unknown else "has no 'params'"
        raise ValueError(
            f"{group}: it {wrong}; expected params and any of {', '.join(_KNOWN[1:])}."
        )
    kind = stated.get("optimizer", recipe.optimizer)
    check_choice(group, "optimizer", kind, get_args(Kind))
    momentum = stated.get("momentum", recipe.momentum)
    highest = stated.get("lr", recipe.lr)
    check_number(group, "lr", highest, high=HIGHEST_RATE)  # before the floor is compared with it
    check_number(group, "momentum", momentum, high=1.0)
    numbers = {
        "min_lr": min(recipe.min_lr, highest),
        "weight_decay": recipe.weight_decay,
        "eps": 1e-8,
        **stated,
    }
    check_number(group, "min_lr", numbers["min_lr"], high=highest)
    check_number(group, "weight_decay", numbers["weight_decay"], high=HIGHEST_RATE)
    check_number(group, "eps", numbers["eps"])
    for beta in stated.get("betas", ()):
        check_number(group, "betas", beta, high=1.0)
    switches = {"warmup": True, "nesterov": recipe.nesterov and momentum > 0, **stated}
    for key in ("warmup", "nesterov"):
        check_choice(group, key, switches[key], (True, False))
    settings = {**stated, "momentum": momentum, "nesterov": switches["nesterov"]}
    return {
        **{key: settings[key] for key in ("name", *_OF_KIND[kind]) if key in settings},
        "params": list(stated["params"]),
        "optimizer": kind,
        "lr": highest,
        "weight_decay": numbers["weight_decay"],
        "highest": highest,
        "lowest": numbers["min_lr"],
        "warms": switches["warmup"],
    }


def _check_apart(groups: Sequence[dict[str, Any]]) -> None:
    """Refuse a parameter that two groups hold; torch looks within one optimiser only."""
    earlier: set[int] = set()
    for number, group in enumerate(groups):
        ids = [id(parameter) for parameter in group["params"]]
        if len({*ids} | earlier) < len(ids) + len(earlier):
            named = f"parameter group {group['name']!r}" if "name" in group else f"group {number}"
            raise ValueError(
                f"build_optimizer: {named} (the model's come first) holds a parameter twice, or "
                "one of an earlier group; expected each in one group. Leave it out of one."
            )
        earlier.update(ids)


def _torch_optimizer(kind: str, groups: list[dict[str, Any]]) -> TorchOptimizer:
    if kind == "lamb":
        return Lamb(groups)
    # Every group states its own numbers; lr here is only the default that torch requires.
    return (AdamW if kind == "adamw" else SGD)(groups, lr=groups[0]["lr"], foreach=True)
