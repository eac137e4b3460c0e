"""What is measured: the floors, and mixers in their parts."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mixwright.adapters.mix import Mix
from mixwright.bench.timing import Call
from mixwright.mixers import MIXERS
from mixwright.mixers.mixer import Mixer
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

    Args:
        mixers: by the name that the record gives them.
        images: a batch.
        labels: its class indices.
    """
    return list(
        itertools.chain.from_iterable(
            _of_mixer(name, mixer, images, labels) for name, mixer in mixers.items()
        )
    )


def default_mixers() -> dict[str, Mixer]:
    """Give every mixer with its defaults, and drawing once a batch where it can."""
    chosen: dict[str, Mixer] = {}
    for name, kind in MIXERS.items():
        chosen[name] = kind()
        if "per" in inspect.signature(kind).parameters:
            chosen[f"{name}:per=batch"] = kind(per="batch")
    return chosen


def _of_mixer(name: str, mixer: Mixer, images: Tensor, labels: Tensor) -> Iterator[Candidate]:
    generator = stream(0)
    ahead = [mixer.plan(images, labels, generator=generator) for _ in range(_PLANS)]
    plans = itertools.cycle(ahead)
    mix = Mix(mixer, num_classes=CLASSES, seed=0)

    def whole() -> Tensor:
        return mixer.plan(images, labels, generator=generator).images(images)

    yield Candidate("mixwright", name, "all", whole)
    yield Candidate(
        "mixwright", name, "plan", lambda: mixer.plan(images, labels, generator=generator)
    )
    yield Candidate("mixwright", name, "apply", lambda: next(plans).images(images))
    yield Candidate("mixwright", name, "with targets", lambda: mix(images, labels))
