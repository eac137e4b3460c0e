"""LAMB, the optimiser of "ResNet strikes back", as timm has it; torch has none."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Lamb(Optimizer):
    """Adam's step, scaled for each weight to the share of its norm that the rate says.

    All gradients together are first cut to ``max_norm``. A group without weight decay takes Adam's
    plain step, as in timm.

    Args:
        params: parameters, or groups of them.
        lr: share of a weight's norm that a step moves it by.
        betas: decay of the averages of gradients and of their squares.
        eps: added to the denominator.
        weight_decay: pulls at weights; see above.
        max_norm: largest norm of all gradients of a step.

    Source: You et al. 2019, arXiv:1904.00962, in the form of timm (timm/optim/lamb.py).
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        max_norm: float = 1.0,
    ) -> None:
        self.max_norm = max_norm
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take a step."""
        del closure
        held = [
            (parameter, group)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if not held:
            return
        norms = torch.stack([parameter.grad.norm() for parameter, _ in held])
        cut = (norms.norm() / self.max_norm).clamp_min(1.0)
        for parameter, group in held:
            self._move(parameter, parameter.grad / cut, group)

    def _move(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
        state["step"] += 1
        step, (first, second) = int(state["step"]), group["betas"]
        mean = state["mean"].mul_(first).add_(grad, alpha=1 - first)
        square = state["square"].mul_(second).addcmul_(grad, grad, value=1 - second)
        scale = square.sqrt().div_(math.sqrt(1 - second**step)).add_(group["eps"])
        update = (mean / (1 - first**step)).div_(scale)
        if group["weight_decay"]:
            update.add_(parameter, alpha=group["weight_decay"])
            own, moved = parameter.norm(), update.norm()
            known = (own > 0) & (moved > 0)
            update.mul_(torch.where(known, own / moved, 1.0))
        parameter.sub_(update, alpha=group["lr"])
