"""A policy: what a search learns, what it has found, and what that does to a batch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Generator, Tensor, nn

from mixwright import sampling
from mixwright.arguments import check_choice, check_number
from mixwright.objectives.dada.operations import NAMES, OPERATIONS, operate
from mixwright.objectives.dada.relax import Noise, Values, chosen, passed

PAIRS = tuple(itertools.combinations(range(len(NAMES)), 2))
_CHANCE = (0.01, 0.99)  # where both outcomes keep a finite score


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """One operation of a sub-policy."""

    operation: str  # one of ``OPERATIONS``
    chance: float  # how often it is done, in [0, 1]
    level: float  # how strongly, in [0, 1] of its range

    def __str__(self) -> str:
        """Say it in words."""
        operation = OPERATIONS[self.operation]
        what = operation.words.format(operation.value(self.level))
        return f"{what} ({self.chance:.0%})"


SubPolicy = tuple[PolicyStep, PolicyStep]
"""Two operations, done one after the other, each by its own chance."""


def sub_policies(
    pairs: Sequence[Sequence[int]], chances: Tensor, levels: Tensor
) -> tuple[SubPolicy, ...]:
    """Make one sub-policy of each pair of numbers of operations; chances and levels ``(n, 2)``."""
    rows = zip(pairs, chances.tolist(), levels.tolist(), strict=True)
    return tuple(
        (PolicyStep(NAMES[a], chance[0], level[0]), PolicyStep(NAMES[b], chance[1], level[1]))
        for (a, b), chance, level in rows
    )


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


class FoundPolicy(nn.Module):
    """The sub-policies that a search has found, as buffers, so that they are saved with a run.

    Attributes:
        operations: ``(count, 2)`` int64, numbers of operations; -1 before a search. ``chances`` and
            ``levels`` likewise.
        policy: the same, read from the buffers whenever they change; empty before a search.
    """

    operations: Tensor
    chances: Tensor
    levels: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("operations", torch.full((count, 2), -1))
        self.register_buffer("chances", torch.zeros(count, 2))
        self.register_buffer("levels", torch.zeros(count, 2))
        self.policy: tuple[SubPolicy, ...] = ()
        self.register_load_state_dict_post_hook(_loaded)

    def __len__(self) -> int:
        """How many there are to be."""
        return len(self.operations)

    def __repr__(self) -> str:
        """Say how many were found."""
        return f"FoundPolicy({len(self.policy)} of {len(self)})"

    def keep(self, policy: Sequence[SubPolicy]) -> None:
        """Take a policy; see ``DADA.use``."""
        if len(policy) != len(self):
            raise ValueError(
                f"DADA.use: {len(policy)} sub-policies; expected {len(self)}, as many "
                f"as policies says. Build DADA(policies={len(policy)})."
            )
        steps = [step for pair in policy for step in pair]
        for step in steps:
            check_choice("DADA.use", "operation", step.operation, NAMES)
            check_number("DADA.use", "chance", step.chance, high=1.0)
            check_number("DADA.use", "level", step.level, high=1.0)
        rows = torch.tensor([[NAMES.index(s.operation), s.chance, s.level] for s in steps])
        for k, buffer in enumerate((self.operations, self.chances, self.levels)):
            buffer.copy_(rows[:, k].view(-1, 2))
        self.read()

    def equalise(self) -> None:
        """Take what rank 0 has, where there are several processes."""
        if dist.is_available() and dist.is_initialized():
            for buffer in (self.operations, self.chances, self.levels):
                dist.broadcast(buffer, 0)
            self.read()

    def read(self) -> None:
        """Read ``policy`` from the buffers."""
        known = (self.operations >= 0).all(dim=1)
        pairs: list[list[int]] = self.operations[known].tolist()
        self.policy = sub_policies(pairs, self.chances[known], self.levels[known])


def _loaded(found: FoundPolicy, _: object) -> None:
    found.read()


def augmented(images: Tensor, policy: Sequence[SubPolicy], *, generator: Generator) -> Tensor:
    """Change each image in [0, 1] by a sub-policy of its own draw, all as likely; no gradient."""
    # Drawn on the host, which then knows without asking the device who meets which operation: a
    # batch needs at most 15 calls a turn, and the device waits for nothing.
    count = len(images)
    which = sampling.choices([1.0] * len(policy), count, generator=generator)
    coins: list[list[float]] = torch.rand(count, 2, generator=generator).tolist()
    pixels = images.detach().to(torch.promote_types(images.dtype, torch.float32), copy=True)
    for turn in (0, 1):
        todo: dict[str, list[tuple[int, float]]] = {}
        for row, (number, coin) in enumerate(zip(which, coins, strict=True)):
            step = policy[number][turn]
            if coin[turn] < step.chance:
                todo.setdefault(step.operation, []).append((row, step.level))
        for name, each in todo.items():
            rows = torch.tensor([row for row, _ in each]).to(images.device, non_blocking=True)
            level = torch.tensor([level for _, level in each]).to(images.device, non_blocking=True)
            part = operate(name, pixels.index_select(0, rows), level, generator=generator)
            pixels.index_copy_(0, rows, part)
    return pixels.to(images.dtype)
