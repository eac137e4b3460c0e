"""A small network, a batch, and fixed draws, for the objectives whose mixer learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.objectives import learning
from mixwright.objectives.learning import Learning

CLASSES, SIDE = 4, 8


class Small(nn.Module):
    """Two stages with batch normalisation, pooled into a Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6))
        self.two = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8))
        self.fc = nn.Linear(8, CLASSES)

    def pooled(self, images: Tensor) -> Tensor:
        return self.two(self.one(images).relu()).relu().mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.pooled(images))


def batch(count: int = 6, kind: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    images = torch.rand(count, 3, SIDE, SIDE, generator=generator, dtype=kind)
    return images, torch.arange(count) % CLASSES


def built(
    objective: Learning, *, seed: int = 0, kind: torch.dtype = torch.float64, spread: float = 0.3
) -> tuple[Learning, Small]:
    """Build for ``Small``; weights that begin near 0 are spread, so that masks are not flat."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Small().to(kind)
        objective.build(model, CLASSES)
        objective.to(kind)
        players = objective.players()
        for player in (players.network, players.head, players.teacher):
            for parameter in player.parameters():
                parameter.data += spread * torch.randn_like(parameter)
    return objective, model


def fix_draws(monkeypatch: pytest.MonkeyPatch, *draws: tuple[Tensor, Tensor]) -> None:
    """Let the next draws be these, again and again."""
    turns = list(draws)

    def drawn(*_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        turns.append(turns.pop(0))
        return turns[-1]

    monkeypatch.setattr(learning, "draw_sources", drawn)


def draws(sources: int, seed: int, count: int = 6) -> tuple[Tensor, Tensor]:
    """Draw rows and shares as the references do: permutations, one set of shares a batch."""
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(count, generator=generator) for _ in range(sources)]
    if sources == 2:
        orders[0] = torch.arange(count)
    shares = torch.rand(sources, generator=generator) * 0.5 + 0.3
    return torch.stack(orders, dim=1), (shares / shares.sum()).expand(count, sources)


def mixed_loss(logits: Tensor, labels: Tensor, index: Tensor, lam: Tensor) -> Tensor:
    """The mixed cross-entropy, source by source."""
    total = torch.zeros((), dtype=logits.dtype)
    for n in range(index.shape[1]):
        each = F.cross_entropy(logits, labels[index[:, n]], reduction="none")
        total = total + (lam[:, n] * each).mean()
    return total


def blended(images: Tensor, index: Tensor, mask: Tensor) -> Tensor:
    """Mix source by source."""
    total = torch.zeros_like(images)
    for n in range(index.shape[1]):
        total = total + mask[:, n : n + 1] * images[index[:, n]]
    return total


def gradients(module: nn.Module) -> list[Tensor | None]:
    return [None if p.grad is None else p.grad.clone() for p in module.parameters()]
