"""Games between players who share one backward: who gets which gradient, and with which sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

GameName = Literal["official", "paper", "averaged", "cooperative"]


# One backward, and not one for each player: the mixture's graph is the expensive part, and all
# losses share it. Factors on the edges between the players set what each of them minimises.
class _ScaledGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied on its way back."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0] * ctx.factor, None


def scale_grad(value: Tensor, factor: float) -> Tensor:
    """Return the value as it is, and multiply the gradient that comes back through it.

    So several players take part in one backward: with 1 they pull together, with -1 what lies
    before follows the opposite of what lies behind (gradient reversal), with 0 it learns nothing,
    and is detached, so that no work is done for it.

    Example:
        >>> x = torch.ones((), requires_grad=True)
        >>> (3 * scale_grad(x, -1.0)).backward()
        >>> x.grad
        tensor(-3.)

    Source: Ganin and Lempitsky 2015, arXiv:1409.7495.
    """
    if factor == 0:
        return value.detach()
    return _ScaledGradient.apply(value, factor)


@dataclass(frozen=True)
class Game:
    """What AdAutoMix's generator follows: factors of the quantities that it minimises."""

    shared: bool  # whether generator and student look at one mixed image; else each at its own
    student: float  # of the student's loss on the mixed image; -1 makes it an adversary
    even: tuple[float, float]  # of the teacher's loss and of the cosine, in steps 0, 2, 4, ...
    odd: tuple[float, float]  # likewise, in steps 1, 3, 5, ...

    @classmethod
    def named(cls, name: GameName, beta: float) -> Game:
        """Return one of the four games by its name, with beta in [0, 1].

        ``official`` is what the authors' code does and all their published curves come from: in
        even steps it raises the teacher's loss by ``beta`` and lowers the cosine by ``1 - beta``,
        in odd steps it lowers the teacher's loss; the student is not asked. ``paper`` is
        Eq. 11-16: the student's loss up, the teacher's loss down by ``beta`` and the cosine up by
        ``1 - beta``, in every step. ``averaged`` does in every step what ``official`` does in the
        mean of two. ``cooperative`` is AutoMix's: the teacher's loss down.

        Example:
            >>> Game.named("official", 0.3).even
            (-0.3, 0.7)
        """
        rest = 1 - beta
        if name == "official":
            return cls(shared=False, student=0.0, even=(-beta, rest), odd=(1.0, 0.0))
        if name == "paper":
            return cls(shared=True, student=-1.0, even=(beta, -rest), odd=(beta, -rest))
        if name == "averaged":
            mean = (rest / 2, rest / 2)
            return cls(shared=False, student=0.0, even=mean, odd=mean)
        return cls(shared=False, student=0.0, even=(1.0, 0.0), odd=(1.0, 0.0))

    def factors(self, step: int) -> tuple[float, float]:
        """Return the factors of the teacher's loss and of the cosine in a step, from 0."""
        return self.odd if step % 2 else self.even
