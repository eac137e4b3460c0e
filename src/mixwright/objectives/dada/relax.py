"""The gradient of an expected value by the chances of what is drawn: RELAX.

One of n pairs is drawn, and each pair has two gates that open by chances of their own. The value
of a draw depends on the pair and on its own two gates, and has no gradient by any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

Control = Callable[[Tensor], Tensor]
"""The control variate: ``(..., 3n)`` to ``(..., 1)``."""


@dataclass(frozen=True, slots=True)
class Values:
    """What is differentiated by."""

    weights: Tensor  # (..., n) logits of the pairs
    chances: Tensor  # (..., n, 2) in (0, 1), of the gates


@dataclass(frozen=True, slots=True)
class Noise:
    """Uniform numbers in (0, 1): what a draw is made of, and its likes given the outcome."""

    pair: Tensor  # (..., n)
    gates: Tensor  # (..., n, 2)
    pair_again: Tensor  # (..., n), independent of the others
    gates_again: Tensor  # (..., n, 2), likewise

    @classmethod
    def draw(cls, *shape: int, generator: Generator) -> Self:
        """Draw for weights of a shape."""
        drawn = torch.rand(*shape, 6, generator=generator).clamp(1e-6, 1 - 1e-6)
        return cls(drawn[..., 0], drawn[..., 1:3], drawn[..., 3], drawn[..., 4:])


def chosen(values: Values, noise: Noise) -> Tensor:
    """Return the pair that is drawn, ``(...)`` int64."""
    return (values.weights + _gumbel(noise.pair)).argmax(dim=-1)


def passed(values: Values, noise: Noise) -> Tensor:
    """Return 1 for each gate that opens and 0 for the others, ``(..., n, 2)``."""
    return (noise.gates < values.chances).to(noise.gates.dtype)


def relax(
    value: Tensor, values: Values, noise: Noise, control: Control, *, temperature: float = 0.5
) -> Values:
    """Estimate the gradient of the expected value from one draw, without bias.

    ``(f - c(z')) grad log p(b) + grad c(z) - grad c(z')``: f is the value of the draw b, z the
    relaxed draw and z' another that gives the same b. It is made twice, for the pair with all
    gates held and for the gates with the pair held, so that gates of pairs that were not drawn
    get exactly 0 instead of noise. Leading dimensions are independent draws. Any ``control`` will
    do; a good guess of the value lowers the variance.

    Returns:
        An estimate for each of the values, with a graph to the parameters of ``control``.

    Source: Grathwohl et al. 2018, arXiv:1711.00123.
    """
    weights = values.weights.detach().requires_grad_()
    chances = values.chances.detach().requires_grad_()
    held = Values(weights, chances)
    # The plain score estimate f grad log p(b) is unbiased but so noisy that nothing is learned in a
    # thousand draws. c, which learns to guess f, takes off what it guesses; what that removes on
    # average comes back by the path through z and z', where c is differentiable. So the estimate
    # is unbiased whatever c says, and c may learn by making its own variance small.
    pair = F.one_hot(chosen(held, noise), weights.shape[-1]).to(weights.dtype)
    gates = passed(held, noise)

    soft, again = _soft_pairs(weights, pair, noise, temperature)
    guess, guess_again = _guess(control, soft, gates), _guess(control, again, gates)
    log_chance = (weights.log_softmax(dim=-1) * pair).sum()
    by_weights = _estimate(value, guess, guess_again, log_chance, weights)

    soft, again = _soft_gates(chances, gates, noise, temperature)
    guess, guess_again = _guess(control, pair, soft), _guess(control, pair, again)
    each = torch.where(gates > 0, chances, 1 - chances).log()
    by_chances = _estimate(value, guess, guess_again, (each * pair[..., None]).sum(), chances)
    return Values(by_weights, by_chances)


def _estimate(
    value: Tensor, guess: Tensor, guess_again: Tensor, log_chance: Tensor, by: Tensor
) -> Tensor:
    (score,) = torch.autograd.grad(log_chance, by)
    (path,) = torch.autograd.grad((guess - guess_again).sum(), by, create_graph=True)
    rest = value - guess_again
    return rest.view(*rest.shape, *([1] * (by.ndim - rest.ndim))) * score + path


def _guess(control: Control, pair: Tensor, gates: Tensor) -> Tensor:
    """What the control variate makes of a choice and the gates that go with it."""
    return control(torch.cat([pair, (pair[..., None] * gates).flatten(-2)], dim=-1))[..., 0]


def _soft_pairs(
    weights: Tensor, pair: Tensor, noise: Noise, temperature: float
) -> tuple[Tensor, Tensor]:
    logits = weights.log_softmax(dim=-1)
    first = logits + _gumbel(noise.pair)
    # The largest is a Gumbel draw of its own, and the others are cut off at it.
    top = _gumbel((noise.pair_again * pair).sum(dim=-1, keepdim=True))
    below = -torch.log(torch.exp(-logits) * -noise.pair_again.log() + torch.exp(-top))
    again = torch.where(pair > 0, top, below)
    return (first / temperature).softmax(dim=-1), (again / temperature).softmax(dim=-1)


def _soft_gates(
    chances: Tensor, gates: Tensor, noise: Noise, temperature: float
) -> tuple[Tensor, Tensor]:
    # A gate opens where 1 - noise is above 1 - chance; again anywhere on the same side of it.
    fresh = noise.gates_again
    same = torch.where(gates > 0, 1 - chances * fresh, (1 - chances) * fresh)
    same = same.clamp(1e-6, 1 - 1e-6)  # small products round to 1, whose logit is infinite
    odds = torch.logit(chances)
    first, again = odds + torch.logit(1 - noise.gates), odds + torch.logit(same)
    return torch.sigmoid(first / temperature), torch.sigmoid(again / temperature)


def _gumbel(uniform: Tensor) -> Tensor:
    return -torch.log(-torch.log(uniform))
