"""The tasks that scenarios are made of: data sets that differ in the size of objects alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mixwright.lab.data.sets import Dataset, ImageSet
from mixwright.lab.data.statistics import channel_statistics
from mixwright.lab.data.subset import stratified_rows
from mixwright.lab.theory.scenarios.crops import cropped, shrunk
from mixwright.lab.theory.scenarios.sprites import (
    OUTLINES,
    TEXTURES,
    Sprites,
    draw_sprites,
    render_sprites,
    sprite_sides,
)
from mixwright.sampling import Stream, stream

DatasetKind = Literal["sprites", "cifar"]
DATASET_KINDS: tuple[DatasetKind, ...] = ("sprites", "cifar")
Size = Literal["small", "large"]
SIZES: tuple[Size, ...] = ("small", "large")

SPRITE_SIDES: dict[Size, tuple[int, int]] = {"small": (8, 10), "large": (26, 30)}
"""Smallest and largest side of a sprite's box, of 32 pixels."""
SHRUNK_SIDE = 0.5
"""Side that a photograph is reduced to where objects are small, as a share of its own."""
ZOOMED_AREA = (0.25, 0.390625)
"""Share of a photograph that is enlarged where objects are large: sides of 16 to 20 in 32."""

_SIDE = 32
_TRAIN, _TEST = 0, 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A task in both sizes: images for each, with the same labels in the same order.

    ``object_share`` is the mean share of a training image that the object's box covers.
    """

    name: str
    data: dict[Size, Dataset]
    object_share: dict[Size, float]


def sprite_tasks(*, train_size: int, test_size: int, seed: int) -> list[Task]:
    """Make two tasks over the same sprites: classify their texture, and classify their outline."""
    train = draw_sprites(train_size, size=_SIDE, generator=stream(seed, Stream.SPRITES, _TRAIN))
    test = draw_sprites(test_size, size=_SIDE, generator=stream(seed, Stream.SPRITES, _TEST))
    pictures = {
        size: [render_sprites(part, sides=SPRITE_SIDES[size])[0] for part in (train, test)]
        for size in SIZES
    }
    share: dict[Size, float] = {
        size: float((sprite_sides(train, SPRITE_SIDES[size]) / _SIDE).square().mean())
        for size in SIZES
    }
    kinds: dict[str, tuple[tuple[str, ...], Callable[[Sprites], Tensor]]] = {
        "texture": (tuple(TEXTURES), lambda sprites: sprites.texture),
        "outline": (tuple(OUTLINES), lambda sprites: sprites.outline),
    }
    tasks: list[Task] = []
    for name, (classes, label) in kinds.items():
        data: dict[Size, Dataset] = {
            size: dataset(
                f"sprites-{name}-{size}",
                ImageSet(pictures[size][0], label(train)),
                ImageSet(pictures[size][1], label(test)),
                classes,
                mirrored=False,
            )
            for size in SIZES
        }
        tasks.append(Task(name=name, data=data, object_share=share))
    return tasks


def cifar_task(data: Dataset, *, train_size: int, test_size: int, seed: int) -> Task:
    """Make a task of photographs reduced onto a background, and of their enlarged middles.

    Of ``data``, square images such as CIFAR-10, a fixed choice of each class is taken; ``seed`` is
    that of positions and backgrounds.
    """
    train, test, size = _chosen(data, train_size=train_size, test_size=test_size)
    side = max(1, round(SHRUNK_SIDE * size))
    reduced = [
        ImageSet(
            shrunk(part.images, side=side, generator=stream(seed, Stream.SPRITES, word)),
            part.labels,
        )
        for word, part in ((_TRAIN, train), (_TEST, test))
    ]
    enlarged = _cropped(train, test, area=ZOOMED_AREA, size=size, seed=seed)
    return Task(
        name=data.name,
        data={
            "small": _like(data, "small", reduced),
            "large": _like(data, "large", enlarged),
        },
        object_share={"small": (side / size) ** 2, "large": sum(ZOOMED_AREA) / 2},
    )


def dataset(
    name: str, train: ImageSet, test: ImageSet, classes: tuple[str, ...], *, mirrored: bool
) -> Dataset:
    """Return a data set of images in memory, with the statistics of its training images."""
    mean, std = channel_statistics(train)
    return Dataset(
        name=name,
        train=train,
        test=test,
        classes=classes,
        mean=mean,
        std=std,
        note=f"{name}, made for two scenarios of object size.",
        mirrored=mirrored,
    )


def _like(data: Dataset, size: Size, parts: Sequence[ImageSet]) -> Dataset:
    train, test = parts
    return dataset(f"{data.name}-{size}", train, test, data.classes, mirrored=data.mirrored)


def _cropped(
    train: ImageSet, test: ImageSet, *, area: tuple[float, float], size: int, seed: int
) -> list[ImageSet]:
    drawn = cropped(
        train.images, area=area, size=size, generator=stream(seed, Stream.SPRITES, _TRAIN)
    )
    middle = cropped(test.images, area=area, size=size)
    return [ImageSet(drawn, train.labels), ImageSet(middle, test.labels)]


def _chosen(data: Dataset, *, train_size: int, test_size: int) -> tuple[ImageSet, ImageSet, int]:
    """A fixed choice of each class, in memory, and the side of the images."""
    _, height, width = data.train.shape
    if height != width:
        raise ValueError(
            f"scenarios: images of {data.name} are {height} by {width}; expected square ones. "
            "Load them with an image_size."
        )
    parts: list[ImageSet] = []
    for images, wanted in ((data.train, train_size), (data.test, test_size)):
        rows = stratified_rows(images.labels, min(wanted, len(images)))
        pixels = torch.cat(list(images.stream(rows.split(256))))
        parts.append(ImageSet(pixels, images.labels[rows]))
    return parts[0], parts[1], height
