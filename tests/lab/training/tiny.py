"""A net, images and an objective that train in milliseconds."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mixwright.lab.data.sets import Dataset, ImageSet
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.training.loop import train
from mixwright.lab.training.recipe import Recipe
from mixwright.lab.training.result import Result
from mixwright.objectives.objective import Losses, Objective

CLASSES = 3


def tiny_data(train: int = 40, test: int = 23) -> Dataset:
    """Images of 8x8, brighter in the channel of their class."""

    def images(count: int, seed: int) -> ImageSet:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(CLASSES, (count,), generator=generator)
        noise = torch.randint(150, (count, 3, 8, 8), generator=generator)
        noise[torch.arange(count), labels] += 60
        return ImageSet(noise.to(torch.uint8), labels)

    return Dataset(
        name="tiny",
        train=images(train, 1),
        test=images(test, 2),
        classes=("red", "green", "blue"),
        mean=(0.3, 0.3, 0.3),
        std=(0.2, 0.2, 0.2),
        note="made up",
    )


def tiny_net(*, norm: bool = True, dropout: float = 0.2) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, bias=not norm),
            nn.BatchNorm2d(6) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(24, CLASSES),
        )


class Blend(Objective):
    """Mixes by a share of its own drawing, learns a scale, counts its steps."""

    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.scale: nn.Parameter | None = None
        self.calls: list[dict[str, Any]] = []
        self.on_start: Callable[[], None] | None = None

    def build(self, model: nn.Module, num_classes: int) -> None:
        self.scale = nn.Parameter(torch.randn(num_classes) * 0.1 + 1)

    def on_epoch_start(self, data: Any) -> None:
        if self.on_start is not None:
            self.on_start()

    def param_groups(self, recipe: Recipe) -> list[dict[str, Any]]:
        return [{"params": [self.scale], "lr": recipe.lr / 2, "weight_decay": 0.0}]

    def forward(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator,
        progress: float,
    ) -> Losses:
        assert self.scale is not None
        share = torch.rand(len(images), 1, 1, 1, generator=generator)
        other = torch.randperm(len(images), generator=generator)
        logits = model(torch.lerp(images[other], images, share)) * self.scale
        own = nn.functional.cross_entropy(logits.float(), labels, reduction="none")
        theirs = nn.functional.cross_entropy(logits.float(), labels[other], reduction="none")
        mix = torch.lerp(theirs, own, share.flatten()).mean()
        size = self.scale.square().mean() * 0.01
        self.calls.append(
            {
                "images": hashlib.sha256(images.numpy().tobytes()).hexdigest(),
                "share": share.flatten().tolist(),
                "progress": progress,
                "loss": float((mix + size).detach()),
                "count": len(images),
            }
        )
        return Losses(total=mix + size, terms={"mix": mix, "size": size}, logits=logits, plan=None)

    def after_step(self, model: nn.Module) -> None:
        self.steps += 1


class Turns(Objective):
    """Two players that learn by different rules and rest in every other step."""

    alternates = True
    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.players = nn.ParameterList()
        self.seen: list[list[list[float]]] = []

    def build(self, model: nn.Module, num_classes: int) -> None:
        self.players.extend([torch.ones(num_classes), torch.zeros(num_classes)])

    def param_groups(self, recipe: Recipe) -> list[dict[str, Any]]:
        scale, shift = self.players
        return [
            {"params": [scale], "name": "scale", "optimizer": "sgd", "weight_decay": 0.1},
            {
                "params": [shift],
                "name": "shift",
                "optimizer": "adamw",
                "lr": 0.02,
                "min_lr": 0.01,
                "warmup": False,
                "weight_decay": 0.1,
            },
        ]

    def forward(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator,
        progress: float,
    ) -> Losses:
        scale, shift = self.players
        self.seen.append([player.tolist() for player in self.players])
        out = model(images)
        # Both are in the logits, one alone is learned from: DDP must not wait for the other.
        logits = out * scale + shift
        even = bool(self.steps % 2 == 0)
        learned = out * scale + shift.detach() if even else out.detach() + shift
        total = nn.functional.cross_entropy(learned, labels)
        return Losses(total=total, terms={"loss": total.detach()}, logits=logits)

    def after_step(self, model: nn.Module) -> None:
        self.steps += 1


class Doubling(Blend):
    """Adds the negatives of all images at the second epoch, as dark as its scale is then."""

    epochs: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))
        self.added: Tensor | None = None
        self.grown: Dataset | None = None

    def on_epoch_start(self, data: Dataset) -> Dataset | None:
        super().on_epoch_start(data)
        self.epochs += 1
        own = data.train
        assert isinstance(own, ImageSet)
        assert self.scale is not None
        if self.epochs == 2:
            share = self.scale.detach().mean().clamp(0.1, 1.0)
            self.added = ((255 - own.images.float()) * share).to(torch.uint8)
        if self.added is not None and self.grown is None:
            images = torch.cat([own.images, self.added])
            self.grown = replace(data, train=ImageSet(images, own.labels.repeat(2)))
        return self.grown

    def get_extra_state(self) -> dict[str, Any]:
        return {"added": self.added}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.added = state["added"]


def recipe(**changes: Any) -> Recipe:
    small = {"epochs": 4, "batch_size": 10, "warmup_epochs": 0.5, "seed": 7, "crop_padding": 1}
    return Recipe(**{**small, **changes})


def run(folder: Path, of: Recipe, **changes: Any) -> Result:
    given: dict[str, Any] = {
        "model": tiny_net(),
        "objective": Blend(),
        "data": tiny_data(),
        "evaluate": evaluate,
        "folder": folder,
    }
    return train(of, **{**given, **changes})


def digest(state: Any) -> str:
    """Names the exact bits of nested tensors and values."""
    hashed = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            hashed.update(value.detach().cpu().contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key in value:
                hashed.update(str(key).encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            for one in value:
                add(one)
        else:
            hashed.update(repr(value).encode())

    add(state)
    return hashed.hexdigest()
