"""A mixer that times itself: the plan it draws, and the images that the plan mixes."""

from __future__ import annotations

from torch import Generator, Tensor
from torch.nn import Module

from mixwright.bench.timing import Timer
from mixwright.mixers.mixer import Mixer
from mixwright.plan import MixPlan


class Clocked:
    """Another mixer, with a clock.

    Args:
        mixer: what plans.
        timer: makes a call and gives its seconds.

    Attributes:
        seconds: spent so far in drawing plans and in mixing images by them; set it to 0 at will.
    """

    def __init__(self, mixer: Mixer, timer: Timer) -> None:
        self.mixer, self.timer = mixer, timer
        self.seconds = 0.0

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
        self.seconds += self.timer(
            lambda: drawn.append(self.mixer.plan(images, labels, generator=generator, model=model))
        )
        return _ClockedPlan.of(drawn[-1], self)


class _ClockedPlan(MixPlan):
    """The same plan, whose mixing of images is timed."""

    clock: Clocked

    @classmethod
    def of(cls, plan: MixPlan, clock: Clocked) -> _ClockedPlan:
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
        self.clock.seconds += self.clock.timer(lambda: mixed.append(plain(images)))
        return mixed[-1]
