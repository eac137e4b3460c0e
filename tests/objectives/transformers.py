"""Small transformers and batches, and learning them exactly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mixwright.lab.models.vit import SmallViT
from mixwright.objectives import Losses, Objective
from mixwright.sampling import stream, uniform

CLASSES = 3


def vit(*, sharp: float = 0.0, **options: Any) -> SmallViT:
    """A transformer of 16 tokens; ``sharp`` spreads its weights, so that attention is uneven."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        chosen = {"num_classes": CLASSES, "image_size": 16, "width": 16, "depth": 2, "heads": 2}
        model = SmallViT(**{**chosen, **options})
        if sharp:
            for parameter in model.parameters():
                nn.init.normal_(parameter, std=sharp)
    return model


def batch(count: int = 6, side: int = 16) -> tuple[Tensor, Tensor]:
    """Noise, in which each class lights a corner of its own."""
    images = (
        uniform((count, 3, side, side), device=torch.device("cpu"), generator=stream(1, count)) / 2
    )
    labels, half = torch.arange(count) % CLASSES, side // 2
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = divmod(label, 2)
        image[:, row * half : row * half + half, column * half : column * half + half] += 0.5
    return images, labels


def step(objective: Objective, model: nn.Module, *, seed: int = 3, count: int = 6) -> Losses:
    return objective(model, *batch(count), generator=stream(seed), progress=0.0)


def learned(objective: Objective, *, steps: int = 400) -> bool:
    """Train on six images until the model knows them all; False where it never does.

    Looked at now and then: after a fixed number of steps it depends on the last bits of the
    processor whether the newest mix has just upset one of them.
    """
    model, (images, labels) = vit(width=32, depth=1), batch()
    objective.build(model, CLASSES)
    weights = [*model.parameters(), *objective.parameters()]
    optimiser = torch.optim.AdamW([one for one in weights if one.requires_grad], 5e-3)
    generator = stream(0)
    for number in range(1, steps + 1):
        losses = objective(model, images, labels, generator=generator, progress=0.0)
        optimiser.zero_grad()
        losses.total.backward()
        optimiser.step()
        if number % 20 == 0 and model(images).argmax(dim=1).equal(labels):
            return True
    return False
