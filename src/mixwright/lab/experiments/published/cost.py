"""About what the trainings of a published item take here, without training anything.

Epochs, images and steps are counted, the floating-point operations of each network's forward pass
are known, passes of a method through the model are those of its card, and how fast this machine
multiplies is measured in a second. That is right within a factor of two or three: enough to tell
minutes from weeks. ``--dry-run`` measures real training steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixwright.lab.experiments.defaults import recipe_defaults
from mixwright.lab.experiments.grid import learns_mixer
from mixwright.lab.experiments.methods import Method, parse_methods
from mixwright.lab.experiments.presets import PRESETS
from mixwright.lab.experiments.published.commands import Command, commands
from mixwright.lab.experiments.published.item import PublishedItem

COUNTED = (
    "Times are counted, not measured: epochs times images times the floating-point operations of "
    "the network there and back, by the passes of each method, as fast as this machine did one "
    "convolution just now, with all its cores; test images are counted too, evaluations, pictures "
    "and benches are not. They are right within a factor of two or three; mixwright reproduce ITEM "
    "--dry-run measures training steps."
)

_AT_32 = {
    "smallconv": 0.0026,
    "resnet8": 0.025,
    "resnet20": 0.0816,
    "resnet56": 0.2515,
    "smallvit": 0.0966,
    "wrn28_2": 0.4287,
    "resnet18_cifar": 1.1109,
    "resnext50_cifar": 2.6883,
    "preactresnet18": 1.1109,
    "preactresnet34": 2.3189,
    "preactresnet50": 2.596,
    "convnext_tiny": 0.182,
}
_AT_224 = {
    "resnet18": 3.6272,
    "resnet34": 7.3266,
    "resnet50": 8.1747,
    "resnext50_32x4d": 8.4573,
    "swin_tiny_patch4_window7_224": 8.9798,
    "deit_tiny_patch16_224": 2.507,
    "deit_small_patch16_224": 9.1971,
}
FORWARD = _AT_32 | _AT_224
"""GFLOP of a forward pass of one image of 32 or of 224 pixels (a multiplication and an addition are
two), by torch's ``FlopCounterMode``."""

_IMAGES: dict[str, tuple[int, int, int]] = {
    "digits": (60, 797, 32),
    "cifar10": (50_000, 10_000, 32),
    "cifar100": (50_000, 10_000, 32),
    "tiny-imagenet": (100_000, 10_000, 64),
    "imagenet": (1_281_167, 50_000, 224),
    "cub200": (5_994, 5_794, 224),
    "aircraft": (6_667, 3_333, 224),
    "cars": (8_144, 8_041, 224),
    "medmnist": (89_996, 7_180, 32),
    "eurosat": (21_600, 5_400, 64),
    "parquet": (50_000, 10_000, 32),
    "elpv": (2_099, 525, 64),
}
"""Images to train and to test on, and their side, by kind of data."""


@dataclass(frozen=True)
class Speed:
    """What this machine does: GFLOP/s of training with all its cores, and seconds of a step's
    fixed part on one of ``together`` that run at a time.
    """

    gflops: float
    step: float
    together: int


def measure_speed(device: str) -> Speed:
    """Time a convolution there and back, and a step of nearly nothing, for about a second."""
    import torch
    from torch import nn

    place = torch.device(device)
    wide = nn.Sequential(*(nn.Conv2d(64, 64, 3, padding=1) for _ in range(3))).to(place)
    tiny = nn.Sequential(*(nn.Conv2d(2, 2, 1) for _ in range(20))).to(place)
    with torch.random.fork_rng(devices=[]):
        images, few = torch.rand(32, 64, 32, 32), torch.rand(2, 2, 4, 4)

    def train(model: nn.Module, batch: torch.Tensor) -> Callable[[], None]:
        batch = batch.to(place)

        def step() -> None:
            model(batch).square().mean().backward()
            if place.type == "cuda":
                torch.cuda.synchronize(place)

        return step

    operations = 3 * 3 * 2 * 64 * 64 * 9 * 32 * 32 * 32 / 1e9
    cores = 1 if place.type == "cuda" else torch.get_num_threads()
    return Speed(
        gflops=operations / _least(train(wide, images)),
        step=_STEPS * _least(train(tiny, few)),
        together=cores,
    )


_STEPS = 8.0
"""A training step of a small network, with its augmentation, optimiser and averages, in times that
a pass there and back through twenty convolutions of nearly nothing takes."""


def _least(step: Callable[[], None]) -> float:
    taken: list[float] = []
    while sum(taken) < 0.4 or len(taken) < 3:
        began = time.perf_counter()
        step()
        taken.append(time.perf_counter() - began)
    return min(taken)


def item_seconds(item: PublishedItem, speed: Speed) -> float | None:
    """Return about how long the comparisons of an item take; None for a network or data of the
    user's own, of which nothing is known.
    """
    total = 0.0
    for command in commands(item, Path("out")):
        if command.command in ("compare", "train"):
            seconds = _comparison(command, speed)
            if seconds is None:
                return None
            total += seconds
    return total


def _comparison(command: Command, speed: Speed) -> float | None:
    options = command.options
    preset = PRESETS.get(str(options.get("recipe", "")))
    named: dict[str, Any] = {**(preset.fields if preset else {}), **options}
    recipe = recipe_defaults(command.data, named.get("model")) | named
    kind, model = command.data.partition(":")[0], str(recipe["model"])
    if kind not in _IMAGES or model not in FORWARD:
        return None
    train, test, side = _IMAGES[kind]
    train = int(recipe.get("train_size") or train)
    side = int(recipe.get("image_size") or side)
    native = 32 if model in _AT_32 else 224
    forward = FORWARD[model] * (side / native) ** 2
    epochs, batch = int(recipe["epochs"]), int(recipe["batch_size"])
    evaluated = test * epochs / int(recipe.get("eval_every", 1))
    total = 0.0
    for method in parse_methods(command.words):
        passes, weights = _passes(method), 6 if learns_mixer(method) else 2
        work = 3 * forward * train * epochs * passes + forward * evaluated * weights
        steps = epochs * math.ceil(train / batch) * passes
        total += work / speed.gflops + steps * speed.step / speed.together
    return total * int(options.get("seeds", 3 if command.command == "compare" else 1))


def _passes(method: Method) -> float:
    """A step of a method in plain steps, by the cards of its parts."""
    from mixwright.mixers import CARDS
    from mixwright.objectives import OBJECTIVE_CARDS

    cards = [{**CARDS, **OBJECTIVE_CARDS}.get(part.name) for part in method.parts]
    times = [1.0 if card is None else card.times for card in cards]
    return sum(times) / len(times) if times else 1.0
