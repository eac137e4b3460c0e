"""What is measured: the floors, and mixers in their parts."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import Module

from mixwright.adapters.mix import Mix
from mixwright.lab.bench.timing import Call
from mixwright.lab.models.smallconv import SmallConv
from mixwright.mixers import CARDS, MIXERS
from mixwright.mixers.mixer import Mixer
from mixwright.plan import MixPlan
from mixwright.sampling import stream

Group = Literal["floor", "mixwright", "peer"]
Part = Literal["all", "plan", "apply", "with targets"]

LERP, COPY = "lerp of two batches", "copy of the batch"
CLASSES = 100
_PLANS = 5  # drawn ahead, so that applying is not measured on a single lucky draw


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One call to be timed.

    Attributes:
        group: whose it is.
        name: the METHOD, or what a peer calls it.
        part: all of it from images to mixed images, drawing the plan, applying it, or mixed
            images with dense targets.
        call: does it once.
    """

    group: Group
    name: str
    part: Part
    call: Call


def floors(images: Tensor) -> list[Candidate]:
    """Give what no mixing of two batches can be faster than: reading them and writing a third.

    Args:
        images: a batch.
    """
    other = images.flip(0).contiguous()
    return [
        Candidate("floor", LERP, "all", lambda: torch.lerp(images, other, 0.3)),
        Candidate("floor", COPY, "all", images.clone),
    ]


def of_mixers(mixers: Mapping[str, Mixer], images: Tensor, labels: Tensor) -> list[Candidate]:
    """Give each mixer as a whole, its two parts, and as users call it.

    Mixers that look through a model look through a small one, ``SmallConv``, so that what they
    do themselves is not lost in it; what the passes cost in training, ``steps`` measures.

    Args:
        mixers: by the name that the record gives them.
        images: a batch.
        labels: its class indices.
    """
    with torch.random.fork_rng(devices=[]):  # fresh weights come from the global generator
        model = SmallConv(num_classes=CLASSES, channels=images.shape[1]).to(images.device)
    return list(
        itertools.chain.from_iterable(
            _of_mixer(name, mixer, images, labels, model) for name, mixer in mixers.items()
        )
    )


def default_mixers() -> dict[str, Mixer]:
    """Give every mixer with its defaults, and drawing once a batch where it can.

    Those that look through a model are given once: their cost is that of looking.
    """
    chosen: dict[str, Mixer] = {}
    for name, kind in MIXERS.items():
        chosen[name] = kind()
        looks = name in CARDS and CARDS[name].needs == "model"
        if "per" in inspect.signature(kind).parameters and not looks:
            chosen[f"{name}:per=batch"] = kind(per="batch")
    return chosen


def _of_mixer(
    name: str, mixer: Mixer, images: Tensor, labels: Tensor, model: Module
) -> Iterator[Candidate]:
    generator = stream(0)

    def plan() -> MixPlan:
        return mixer.plan(images, labels, generator=generator, model=model)

    ahead = [plan() for _ in range(_PLANS)]
    plans = itertools.cycle(ahead)
    mix = Mix(mixer, num_classes=CLASSES, seed=0)

    def whole() -> Tensor:
        return plan().images(images)

    yield Candidate("mixwright", name, "all", whole)
    yield Candidate("mixwright", name, "plan", plan)
    yield Candidate("mixwright", name, "apply", lambda: next(plans).images(images))
    yield Candidate("mixwright", name, "with targets", lambda: mix(images, labels, model=model))
