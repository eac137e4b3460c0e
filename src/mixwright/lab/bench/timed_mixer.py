"""A mixer that times itself: the plan it draws, and the images that the plan mixes."""

from __future__ import annotations

from collections.abc import Callable

from torch import Generator, Tensor
from torch.nn import Module

from mixwright.lab.bench.timing import Meter
from mixwright.mixers.mixer import Mixer
from mixwright.plan import MixPlan


class TimedMixer:
    """Another mixer, with a clock.

    Args:
        mixer: what plans.
        meter: makes a call and gives what tells its seconds.

    Attributes:
        parts: for each plan that was drawn, and each time images were mixed by one, what tells its
            seconds.
    """

    def __init__(self, mixer: Mixer, meter: Meter) -> None:
        self.mixer, self.meter = mixer, meter
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
        self.parts.append(
            self.meter(
                lambda: drawn.append(
                    self.mixer.plan(images, labels, generator=generator, model=model)
                )
            )
        )
        return _ClockedPlan.of(drawn[-1], self)


class _ClockedPlan(MixPlan):
    """The same plan, whose mixing of images is timed."""

    clock: TimedMixer

    @classmethod
    def of(cls, plan: MixPlan, clock: TimedMixer) -> _ClockedPlan:
        """Give the plan a clock."""
        own = cls(
            index=plan.index,
            mask=plan.held,
            weight=plan.weight,
            pool=plan.pool,
            warp=plan.warp,
            fill=plan.fill,
            lam=plan.lam,
            own=plan.own,
        )
        object.__setattr__(own, "clock", clock)
        return own

    def images(self, images: Tensor) -> Tensor:
        """See ``MixPlan.images``."""
        mixed: list[Tensor] = []
        plain = super().images
        self.clock.parts.append(self.clock.meter(lambda: mixed.append(plain(images))))
        return mixed[-1]
