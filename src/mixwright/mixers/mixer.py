"""What a mixer is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Generator, Tensor
from torch.nn import Module

from mixwright.plan import MixPlan


@runtime_checkable
class Mixer(Protocol):
    """Anything that turns a batch into a plan; nothing to inherit, nothing to register."""

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """Decide who is mixed, where, and how much of each label.

        Args:
            images: ``(B, C, *spatial)``; read for its shape and device, by some mixers for its
                pixels, never written.
            labels: ``(B,)`` or ``(B, K)``; needed by those mixers that say so.
            generator: CPU generator, the source of all randomness.
            model: the classifier, for mixers that look through it.

        Returns:
            The plan for this batch.
        """
        ...


def check_mixer(name: str, mixer: object) -> None:
    """Refuse what has no ``plan`` method, classes included.

    Raises:
        ValueError: ``mixer`` is no mixer.
    """
    if isinstance(mixer, type) or not isinstance(mixer, Mixer):
        raise ValueError(
            f"{name}: {mixer!r} is no mixer; expected an object with a plan(...) method, "
            "such as CutMix()."
        )
