"""Wrappers: one of several mixers, sometimes, or another one as training goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, is_dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_arguments, check_number, check_settings
from mixwright.mixers.mixer import PERS, Mixer, Per, check_mixer, check_step
from mixwright.plan import MixPlan
from mixwright.saliency import sharing


@dataclass(frozen=True, init=False)
class OneOf:
    """Draw one of several mixers, for each sample or for each batch.

    ``OneOf(MixUp(), CutMix(), per="batch")`` is the field's "Stochastic MixUp & CutMix", one of
    both for all images of a step, as Park et al. 2022 (arXiv:2208.09913) compare it. By default
    each sample has a draw of its own.

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

    @check_arguments
    def __init__(
        self, *mixers: Mixer, p: Sequence[float] | None = None, per: Per = "sample"
    ) -> None:
        if not mixers:
            raise ValueError("OneOf: no mixer given; expected at least one, OneOf(MixUp(), ...).")
        if p is not None:
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
        check_step("OneOf", images, generator=generator, model=model)
        chances = self.p or [1.0] * len(self.mixers)
        count = 1 if self.per == "batch" else _outputs(self, images)
        drawn = sampling.choices(chances, count, generator=generator)
        which = torch.tensor(drawn).to(images.device, non_blocking=True)
        plan: MixPlan | None = None
        with sharing():
            for k in sorted(set(drawn)):
                planned = self._of(k, images, labels, generator=generator, model=model)
                plan = planned if plan is None else planned.where(which == k, plan)
        assert plan is not None
        return plan

    def _of(
        self,
        k: int,
        images: Tensor,
        labels: Tensor | None,
        *,
        generator: Generator,
        model: Module | None,
    ) -> MixPlan:
        """Plan by one of the mixers; one that takes fewer views than others gets the first ones."""
        rows = _outputs(self, images) * views_of(self.mixers[k])
        if rows < len(images):
            labels = None if labels is None else labels[:rows]
            some = self.mixers[k].plan(images[:rows], labels, generator=generator, model=model)
            return some.replace(pool=len(images))
        return self.mixers[k].plan(images, labels, generator=generator, model=model)


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
        check_settings(self)
        check_number("Sometimes", "p", self.p, high=1.0)

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """See ``Mixer.plan``; labels and model go to the mixer."""
        check_step("Sometimes", images, generator=generator, model=model)
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
    return len(images) // views_of(mixer)


def views_of(mixer: Mixer) -> int:
    """Return how many views of each image a mixer's batches hold, its ``views``; 1 by default.

    Rows are first views, then second ones, and so on. Of several mixers the largest number counts;
    a ``Scheduled`` is asked for its mixer of now.

    Example:
        >>> from mixwright import CutMix, MiAMix
        >>> views_of(OneOf(CutMix(), MiAMix(views=2)))
        2
    """
    return max((int(getattr(one, "views", 1)) for one in _inside(mixer)), default=1)


def per_of(mixer: Mixer) -> Per:
    """Return whether a mixer draws for each sample or once a batch, its ``per``; else per sample.

    Example:
        >>> from mixwright import CutMix
        >>> per_of(CutMix(per="batch")), per_of(OneOf(CutMix(per="batch")))
        ('batch', 'sample')
    """
    per = getattr(_current(mixer) if isinstance(mixer, Scheduled) else mixer, "per", "sample")
    return per if per in PERS else "sample"


def needs_partner(mixer: Mixer) -> bool:
    """Return whether a mixer leaves a batch of one image as it is, since there is no other in it.

    True for every mixer without the attribute ``needs_partner = False``, such as ``Cutout`` has;
    of several it is enough that one of them does.

    Example:
        >>> from mixwright import CutMix, Cutout
        >>> needs_partner(Cutout()), needs_partner(OneOf(Cutout(), CutMix()))
        (False, True)
    """
    return any(bool(getattr(one, "needs_partner", True)) for one in _inside(mixer))


def with_flips(mixer: Mixer, allowed: bool) -> Mixer:
    """Return a mixer whose own views of a sample are mirrored only where the data allow it.

    Sets ``self_flip`` of every mixer inside that has one and leaves it open (None).

    Example:
        >>> from mixwright import CutMix, MiAMix
        >>> with_flips(OneOf(CutMix(), MiAMix()), False).mixers[1].self_flip
        False
    """
    if isinstance(mixer, OneOf):
        inner = [with_flips(one, allowed) for one in mixer.mixers]
        changed = any(new is not old for new, old in zip(inner, mixer.mixers, strict=True))
        return OneOf(*inner, p=mixer.p, per=mixer.per) if changed else mixer
    if isinstance(mixer, Sometimes):
        one = with_flips(mixer.mixer, allowed)
        return mixer if one is mixer.mixer else replace(mixer, mixer=one)
    if isinstance(mixer, Scheduled):
        at = mixer.at
        made = Scheduled(lambda progress: with_flips(at(progress), allowed))
        made.progress = mixer.progress
        return made
    if is_dataclass(mixer) and not isinstance(mixer, type) and _leaves_flips_open(mixer):
        return replace(mixer, self_flip=allowed)
    return mixer


def self_flips(mixer: Mixer) -> dict[str, bool]:
    """Return whether mixers inside mirror a sample's own views, by name of their class."""
    found = {type(one).__name__: getattr(one, "self_flip", None) for one in _inside(mixer)}
    return {name: value for name, value in found.items() if value is not None}


def _leaves_flips_open(mixer: Mixer) -> bool:
    return getattr(mixer, "self_flip", False) is None


def _inside(mixer: Mixer) -> Iterator[Mixer]:
    """Yield what wrappers hold, down to the mixers that wrap none."""
    if isinstance(mixer, OneOf):
        for inner in mixer.mixers:
            yield from _inside(inner)
    elif isinstance(mixer, Sometimes):
        yield from _inside(mixer.mixer)
    elif isinstance(mixer, Scheduled):
        yield from _inside(_current(mixer))
    else:
        yield mixer
