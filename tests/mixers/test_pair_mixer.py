"""Mixers of pairs of ours are abstract or final: what a class writes out, no other overrides."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

from mixwright.mixers import MIXERS
from mixwright.mixers.pair_mixer import PairMixer, RandomPairMixer, ShareMixer

OURS = [cls for cls in MIXERS.values() if issubclass(cls, PairMixer)]


def overridden(cls: type) -> list[str]:
    """Names that a class and an abstract base of ours both write out."""
    bases = [base for base in cls.__mro__[1:] if issubclass(base, PairMixer)]
    return [
        f"{base.__name__}.{name}"
        for base in bases
        for name, value in vars(base).items()
        if inspect.isfunction(value)
        and not getattr(value, "__isabstractmethod__", False)
        and name in vars(cls)
    ]


def test_pair_mixers_are_found():
    assert {cls.__name__ for cls in OURS} >= {"MixUp", "CutMix", "ResizeMix", "SnapMix"}


@pytest.mark.parametrize("cls", [RandomPairMixer, ShareMixer, *OURS])
def test_nothing_concrete_is_overridden(cls):
    assert overridden(cls) == []


@pytest.mark.parametrize("cls", OURS)
def test_nobody_inherits_from_a_mixer_that_can_be_made(cls):
    assert cls.__subclasses__() == []
    assert dataclasses.is_dataclass(cls)
    assert not any(dataclasses.is_dataclass(base) for base in cls.__mro__[1:])


def test_the_walk_finds_what_is_overridden():
    class Loose(ShareMixer):
        def draw(self, images, *, generator):  # type: ignore[override]
            return super().draw(images, generator=generator)

    assert overridden(Loose) == ["ShareMixer.draw"]
