"""A subject of few small images for evaluations that mix."""

from __future__ import annotations

import torch
from torch import nn

from mixwright.lab.data.sets import Dataset, ImageSet
from mixwright.lab.evaluation.subject import Subject
from mixwright.sampling import stream

CLASSES = 4


def small_subject(*, mixer, size=16, test=40, coloured=False, batch_size=16):
    """A linear model of random weights, or one that reads the colours in which classes are lit."""
    rng = stream(5)
    labels = torch.arange(test) % CLASSES
    channels = CLASSES if coloured else 3
    images = torch.randint(256, (test, channels, size, size), generator=rng, dtype=torch.uint8)
    if coloured:
        images = torch.zeros_like(images)
        images[torch.arange(test), labels] = 255
        model = nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, CLASSES))
        nn.init.zeros_(model[1].bias)
        lit = torch.eye(CLASSES).repeat_interleave(size * size, dim=1)
        model[1].weight.data.copy_(lit)
    else:
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * size * size, 8), nn.ReLU(), nn.Linear(8, CLASSES)
        )
    images = ImageSet(images, labels)
    data = Dataset(
        name="small",
        train=images,
        test=images,
        classes=tuple("abcd"),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        note="",
    )
    return Subject(
        model=model, data=data, ids=torch.arange(test), batch_size=batch_size, mixer=mixer
    )
