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
from mixwright.mixers.combine import views_of
from mixwright.mixers.mixer import Mixer
from mixwright.plan import MixPlan
from mixwright.sampling import stream

Origin = Literal["floor", "mixwright", "peer"]
TimedPart = Literal["all", "plan", "apply", "targets", "with targets", "compiled"]

LERP, COPY = "lerp of two batches", "copy of the batch"
CLASSES = 100
_PLANS = 5  # drawn ahead, so that applying is not measured on a single lucky draw


@dataclass(frozen=True, slots=True, eq=False)
class Benchmark:
    """One call to be timed.

    ``name`` is its METHOD, or what another library calls it; ``part`` all of it from images to
    mixed images, drawing the plan, applying it, making dense targets of it, or mixed images with
    these targets, as it is or compiled.
    """

    group: Origin
    name: str
    part: TimedPart
    call: Call


def floor_benchmarks(images: Tensor) -> list[Benchmark]:
    """Return what no mixing of two batches can beat: reading them and writing a third."""
    other = images.flip(0).contiguous()
    return [
        Benchmark("floor", LERP, "all", lambda: torch.lerp(images, other, 0.3)),
        Benchmark("floor", COPY, "all", images.clone),
    ]


def mixer_benchmarks(
    mixers: Mapping[str, Mixer], images: Tensor, labels: Tensor
) -> list[Benchmark]:
    """Return each mixer as a whole, its three parts, and as users call it.

    Mixers that look through a model look through a small one, so that what they do themselves is
    not lost in it.
    """
    model = _small_model(images)
    return list(
        itertools.chain.from_iterable(
            _of_mixer(name, mixer, images, labels, model) for name, mixer in mixers.items()
        )
    )


def compiled_benchmarks(
    name: str, mixer: Mixer, images: Tensor, labels: Tensor, *, backend: bool | str
) -> tuple[Benchmark, Benchmark]:
    """Return a mixer as users call it: as it is, and compiled at the first call."""
    model, given = _small_model(images), _views(mixer, images, labels)
    return (
        Benchmark("mixwright", name, "with targets", _with_targets(mixer, *given, model)),
        Benchmark(
            "mixwright", name, "compiled", _with_targets(mixer, *given, model, backend=backend)
        ),
    )


def _small_model(images: Tensor) -> Module:
    with torch.random.fork_rng(devices=[]):  # fresh weights come from the global generator
        return SmallConv(num_classes=CLASSES, channels=images.shape[1]).to(images.device)


def default_mixers() -> dict[str, Mixer]:
    """Return every mixer with its defaults, and once a batch where it can and reads no model."""
    chosen: dict[str, Mixer] = {}
    for name, kind in MIXERS.items():
        chosen[name] = kind()
        looks = name in CARDS and CARDS[name].needs == "model"
        if "per" in inspect.signature(kind).parameters and not looks:
            chosen[f"{name}:per=batch"] = kind(per="batch")
    return chosen


def _of_mixer(
    name: str, mixer: Mixer, images: Tensor, labels: Tensor, model: Module
) -> Iterator[Benchmark]:
    generator = stream(0)
    images, labels = _views(mixer, images, labels)

    def plan() -> MixPlan:
        return mixer.plan(images, labels, generator=generator, model=model)

    plans = itertools.cycle([plan() for _ in range(_PLANS)])

    def whole() -> Tensor:
        return plan().images(images)

    yield Benchmark("mixwright", name, "all", whole)
    yield Benchmark("mixwright", name, "plan", plan)
    yield Benchmark("mixwright", name, "apply", lambda: next(plans).images(images))
    yield Benchmark("mixwright", name, "targets", lambda: next(plans).targets(labels, CLASSES))
    yield Benchmark("mixwright", name, "with targets", _with_targets(mixer, images, labels, model))


def _with_targets(
    mixer: Mixer, images: Tensor, labels: Tensor, model: Module, *, backend: bool | str = False
) -> Call:
    mix = Mix(mixer, num_classes=CLASSES, seed=0, compile=backend)
    return lambda: mix(images, labels, model=model)


def _views(mixer: Mixer, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    views = views_of(mixer)
    return torch.cat([images] * views), labels.repeat(views)
