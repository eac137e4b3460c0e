"""A small subject for the evaluations that look through a model: 12 px images of four classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mixwright.lab.data.sets import Dataset, ImageSet
from mixwright.lab.evaluation.subject import Subject

CLASSES = 4
MEAN = (0.4, 0.5, 0.6)
STD = (0.25, 0.2, 0.3)


def images_and_labels(count: int = 20, side: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, side, side), generator=generator).to(torch.uint8)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    return images, labels


class Small(nn.Module):
    """Two convolutions, batch norm, pooling, one Linear: smooth or of ReLUs."""

    def __init__(self, *, smooth: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.bn = nn.BatchNorm2d(6)
        self.act = nn.Softplus() if smooth else nn.ReLU()
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.act(self.conv2(self.act(self.bn(self.conv1(images)))))
        return self.fc(features.mean(dim=(2, 3)))


def small(*, smooth: bool = False, seed: int = 0) -> Small:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Small(smooth=smooth)
    with torch.no_grad():
        said = model.eval()(images_and_labels(64)[0].float() / 255)
        model.fc.bias -= said.mean(dim=0)  # so that guesses differ between images
        model.fc.weight *= 30
        model.fc.bias *= 30
    return model.train()


def subject(model: nn.Module, *, count: int = 20, side: int = 12, **changes: Any) -> Subject:
    images, labels = images_and_labels(count, side)
    both = ImageSet(images, labels)
    data = Dataset(
        name="made",
        train=both,
        test=both,
        classes=tuple("abcd"),
        mean=MEAN,
        std=STD,
        note="",
    )
    given: dict[str, Any] = {"batch_size": 7, "ids": torch.arange(count)}
    return Subject(model=model, data=data, **(given | changes))


class Counting:
    """A cache that keeps everything and says what it was asked to make."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.made: list[str] = []

    def get_or_compute(self, key: str, make: Any) -> Any:
        if key not in self.kept:
            self.made.append(key)
            self.kept[key] = make()
        return self.kept[key]
