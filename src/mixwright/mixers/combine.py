"""Wrappers: one of several mixers, sometimes, or another one as training goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_choice, check_number
from mixwright.mixers.mixer import PERS, Mixer, Per, check_mixer
from mixwright.plan import MixPlan
from mixwright.saliency import sharing


@dataclass(frozen=True, init=False)
class OneOf:
    """Draw one of several mixers, for each sample or for each batch.

    ``OneOf(MixUp(), CutMix())`` is the field's "stochastic MixUp & CutMix".

    Args:
        *mixers: at least one.
        p: chance of each mixer, at least 0, not all 0; they are divided by their sum. None for
            equal chances.
        per: ``"sample"`` or ``"batch"`` (timm's ``switch_prob``). Per sample, each mixer that was
            drawn for any sample plans the whole batch and gives the rows it was drawn for.

    Raises:
        ValueError: no mixer, or chances that do not fit.

    Example:
        >>> from mixwright import CutMix, MixUp
        >>> mixer = OneOf(MixUp(), CutMix(), p=(0.2, 0.8), per="batch")
    """

    mixers: tuple[Mixer, ...]
    p: tuple[float, ...] | None
    per: Per

    def __init__(
        self, *mixers: Mixer, p: Sequence[float] | None = None, per: Per = "sample"
    ) -> None:
        if not mixers:
            raise ValueError("OneOf: no mixer given; expected at least one, OneOf(MixUp(), ...).")
        for mixer in mixers:
            check_mixer("OneOf", mixer)
        check_choice("OneOf", "per", per, PERS)
        if p is not None:
            given: Any = p
            if not isinstance(given, Sequence):
                raise ValueError(
                    f"OneOf: p is {p!r}; expected one chance for each of the {len(mixers)} mixers."
                )
            if len(p) != len(mixers):
                raise ValueError(
                    f"OneOf: p has {len(p)} chances for {len(mixers)} mixers; expected one each."
                )
            for chance in p:
                check_number("OneOf", "p", chance)
            if sum(p) <= 0:
                raise ValueError(f"OneOf: p is {tuple(p)}; expected at least one chance above 0.")
        object.__setattr__(self, "mixers", mixers)
        object.__setattr__(self, "p", None if p is None else tuple(p))
        object.__setattr__(self, "per", per)

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """See ``Mixer.plan``; labels and model go to the mixers."""
        chances = self.p or [1.0] * len(self.mixers)
        count = 1 if self.per == "batch" else _outputs(self, images)
        drawn = sampling.choices(chances, count, generator=generator)
        which = torch.tensor(drawn).to(images.device, non_blocking=True)
        plan: MixPlan | None = None
        with sharing():
            for k in sorted(set(drawn)):
                planned = self.mixers[k].plan(images, labels, generator=generator, model=model)
                plan = planned if plan is None else planned.where(which == k, plan)
        assert plan is not None
        return plan


@dataclass(frozen=True)
class Sometimes:
    """Mix only with chance ``p``; otherwise a sample, or a batch, stays as it is.

    Args:
        mixer: what happens with chance ``p``.
        p: chance in [0, 1].
        per: ``"sample"`` or ``"batch"``.

    Raises:
        ValueError: ``p`` is out of range.

    Example:
        >>> from mixwright import CutMix
        >>> mixer = Sometimes(CutMix(), p=0.5, per="batch")  # CutMix on CIFAR, as published
    """

    mixer: Mixer
    p: float
    per: Per = "sample"

    def __post_init__(self) -> None:
        check_mixer("Sometimes", self.mixer)
        check_number("Sometimes", "p", self.p, high=1.0)
        check_choice("Sometimes", "per", self.per, PERS)

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """See ``Mixer.plan``; labels and model go to the mixer."""
        outputs = _outputs(self.mixer, images)
        count = 1 if self.per == "batch" else outputs
        drawn = sampling.choices((self.p, 1 - self.p), count, generator=generator)
        if all(k == 1 for k in drawn):  # none is mixed: spare a model a pass
            return _untouched(images, outputs)
        plan = self.mixer.plan(images, labels, generator=generator, model=model)
        if all(k == 0 for k in drawn):
            return plan
        mixed = (torch.tensor(drawn) == 0).to(images.device, non_blocking=True)
        return plan.where(mixed, _untouched(images, len(plan)))


@dataclass
class Scheduled:
    """Use another mixer as training goes on.

    Args:
        at: gives the mixer at a progress in [0, 1].

    Attributes:
        progress: where training is; ``Mix`` and the training loop set and save it.

    Raises:
        ValueError: ``at`` cannot be called; when it is, gives no mixer.

    Example:
        >>> from mixwright import MixUp
        >>> mixer = Scheduled(lambda progress: MixUp(alpha=1 - progress))
    """

    at: Callable[[float], Mixer]
    progress: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if not callable(self.at):
            raise ValueError(
                f"Scheduled: at is {self.at!r}; expected a callable that takes the progress in "
                "[0, 1] and gives a mixer, such as lambda progress: MixUp(alpha=1 - progress)."
            )

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """See ``Mixer.plan``; everything goes to the mixer of now."""
        return _current(self).plan(images, labels, generator=generator, model=model)


def set_progress(mixer: Mixer, progress: float) -> None:
    """Tell every ``Scheduled`` inside a mixer how far training is, a share in [0, 1]."""
    check_number("set_progress", "progress", progress, high=1.0)
    if isinstance(mixer, Scheduled):
        mixer.progress = float(progress)
    elif isinstance(mixer, OneOf):
        for inner in mixer.mixers:
            set_progress(inner, progress)
    elif isinstance(mixer, Sometimes):
        set_progress(mixer.mixer, progress)


def _current(scheduled: Scheduled) -> Mixer:
    """Give the mixer of now; every ``Scheduled`` inside learns of the progress."""
    mixer = scheduled.at(scheduled.progress)
    check_mixer("Scheduled", mixer)
    set_progress(mixer, scheduled.progress)
    return mixer


def _untouched(images: Tensor, outputs: int) -> MixPlan:
    """Give the identity for a pool that may be larger than the plan's outputs."""
    return MixPlan.identity(images[:outputs]).replace(pool=len(images))


def _outputs(mixer: Mixer, images: Tensor) -> int:
    """Give the outputs of a plan: fewer than images where a mixer takes several views of each."""
    while isinstance(mixer, OneOf | Sometimes | Scheduled):
        if isinstance(mixer, OneOf):
            mixer = mixer.mixers[0]
        else:
            mixer = mixer.mixer if isinstance(mixer, Sometimes) else _current(mixer)
    return len(images) // int(getattr(mixer, "views", 1))
