"""A mixer that times itself: the plan it draws, and the images that the plan mixes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import Generator, Tensor
from torch.nn import Module

from mixwright.lab.bench.timing import PartTimer
from mixwright.mixers.mixer import Mixer
from mixwright.plan import MixPlan


class TimedMixer:
    """A mixer whose plans, and whose mixing of images, are timed by ``time_part``.

    Attributes:
        parts: for each plan that was drawn, and each time images were mixed by one, a callable that
            returns its seconds.
    """

    def __init__(self, mixer: Mixer, time_part: PartTimer) -> None:
        self.mixer, self.time_part = mixer, time_part
        self.parts: list[Callable[[], float]] = []

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """See ``Mixer.plan``; everything goes to the mixer."""
        drawn: list[MixPlan] = []

        def draw() -> None:
            drawn.append(self.mixer.plan(images, labels, generator=generator, model=model))

        self.parts.append(self.time_part(draw))
        return _TimedPlan.of(drawn[-1], self)


class _TimedPlan(MixPlan):
    """The same plan, whose mixing of images is timed."""

    timed_mixer: TimedMixer

    @classmethod
    def of(cls, plan: MixPlan, timed_mixer: TimedMixer) -> _TimedPlan:
        """Copy a plan, and time its mixing of images for ``timed_mixer``."""
        timed = object.__new__(cls)
        for part in dataclasses.fields(plan):
            object.__setattr__(timed, part.name, getattr(plan, part.name))
        object.__setattr__(timed, "timed_mixer", timed_mixer)  # plans are frozen
        return timed

    def images(self, images: Tensor) -> Tensor:
        """See ``MixPlan.images``."""
        mixed: list[Tensor] = []
        plain = super().images
        timed = self.timed_mixer
        timed.parts.append(timed.time_part(lambda: mixed.append(plain(images))))
        return mixed[-1]
