"""What a search learns: weights of pairs of operations, their chances and levels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from mixwright.objectives.dada.found import SubPolicy, sub_policies
from mixwright.objectives.dada.operations import NAMES, operate
from mixwright.objectives.dada.relax import Noise, Values, chosen, passed

PAIRS = tuple(itertools.combinations(range(len(NAMES)), 2))
_CHANCE = (0.01, 0.99)  # where both outcomes keep a finite score


class Policy(nn.Module):
    """Weights (logits) of all 105 pairs of operations, chances and levels of their parts in [0, 1].

    ``control`` is the control variate, a choice and its two chances to one number.
    """

    def __init__(self) -> None:
        super().__init__()
        count = len(PAIRS)
        self.weights = nn.Parameter(torch.full((count,), 1e-3))
        self.chances = nn.Parameter(torch.full((count, 2), 0.5))
        self.levels = nn.Parameter(torch.full((count, 2), 0.5))
        self.control = nn.Sequential(nn.Linear(3 * count, 100), nn.Tanh(), nn.Linear(100, 1))

    @property
    def values(self) -> Values:
        """Weights and chances, which ``relax`` differentiates by."""
        return Values(self.weights, self.chances)

    @torch.no_grad()
    def tidy(self) -> None:
        """Bring chances and levels back into their ranges."""
        self.chances.clamp_(*_CHANCE)
        self.levels.clamp_(0, 1)

    @torch.no_grad()
    def draw(self, *, generator: Generator) -> Draw:
        """Draw one pair, and for each of its operations whether it is done."""
        noise = Noise.draw(len(PAIRS), generator=generator)
        pair = int(chosen(self.values, noise))
        gates: list[bool] = (passed(self.values, noise)[pair] > 0).tolist()
        levels: list[float] = self.levels[pair].tolist()
        return Draw(
            noise=noise, pair=pair, done=(gates[0], gates[1]), levels=(levels[0], levels[1])
        )

    @torch.no_grad()
    def best(self, count: int) -> tuple[SubPolicy, ...]:
        """Return the sub-policies of the largest weights, the largest first."""
        order = self.weights.argsort(descending=True, stable=True)[:count]
        pairs = [PAIRS[pair] for pair in order.tolist()]
        return sub_policies(pairs, self.chances[order], self.levels[order])


@dataclass(frozen=True, slots=True)
class Draw:
    """One sub-policy, drawn for a whole batch."""

    noise: Noise  # what it was drawn from
    pair: int  # row of ``PAIRS``
    done: tuple[bool, bool]  # which of the two operations are done
    levels: tuple[float, float]  # how strongly

    def images(self, images: Tensor, *, generator: Generator) -> Tensor:
        """Do the drawn operations to every image of a batch."""
        for name, done, level in zip(PAIRS[self.pair], self.done, self.levels, strict=True):
            if done:
                each = torch.full((len(images),), level, device=images.device)
                images = operate(NAMES[name], images, each, generator=generator)
        return images
