"""What training asks an objective: partners, views, flips, and which last layers learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from mixwright.mixers import CutMix, Cutout, MiAMix, OneOf
from mixwright.objectives import (
    DADA,
    MEADA,
    AdAutoMix,
    AlignMix,
    AutoMix,
    DecoupledMix,
    ManifoldMix,
    Mixed,
    MixPro,
    Objective,
    RecursiveMix,
    SAMix,
    SMMix,
    Spectral,
    TokenMix,
    TokenMixup,
    TransMix,
)
from mixwright.sampling import stream

PARTNERS: list[tuple[Callable[[], Objective], bool]] = [
    (lambda: Mixed(None), False),
    (lambda: Mixed(Cutout()), False),
    (lambda: Mixed(OneOf(Cutout(), CutMix())), True),
    (ManifoldMix, True),
    (AlignMix, True),
    (DecoupledMix, True),
    (lambda: DecoupledMix(Cutout()), False),
    (RecursiveMix, False),  # its partner is the batch before
    (TransMix, True),
    (TokenMix, True),
    (MixPro, True),
    (SMMix, True),
    (lambda: SMMix(p=0.0, otherwise=Cutout()), False),
    (lambda: SMMix(p=0.5, otherwise=Cutout()), True),
    (TokenMixup, True),
    (lambda: TokenMixup(horizontal=False, vertical=True), False),
    (lambda: TokenMixup(CutMix(), horizontal=False, vertical=True), True),
    (AutoMix, True),
    (SAMix, True),
    (AdAutoMix, True),
    (MEADA, False),
    (DADA, False),
    (Spectral, True),
    (lambda: Spectral(mode="attack"), False),
]


@pytest.mark.parametrize(("make", "needs"), PARTNERS)
def test_who_needs_a_partner(make: Callable[[], Objective], needs: bool) -> None:
    assert make().needs_partner() is needs


def test_views_are_those_of_its_mixer() -> None:
    assert Mixed(None).views_wanted() == Spectral(views=3).views_wanted() == 1
    assert Mixed(MiAMix(views=2)).views_wanted() == 2
    assert DecoupledMix(OneOf(CutMix(), MiAMix(views=2))).views_wanted() == 2
    with pytest.raises(ValueError, match="otherwise takes 2 views of each image"):
        TransMix(otherwise=MiAMix(views=2))


def test_flips_are_told_to_its_mixers_and_said() -> None:
    objective = Mixed(OneOf(MiAMix(), CutMix()))
    assert objective.allow_flips(False) == {"MiAMix.self_flip": False}
    assert objective.mixer == OneOf(MiAMix(self_flip=False), CutMix())
    other = MixPro(otherwise=MiAMix())
    assert other.allow_flips(True) == {"MiAMix.self_flip": True}
    assert other.otherwise == MiAMix(self_flip=True)
    assert Mixed(MiAMix(self_flip=True)).allow_flips(False) == {"MiAMix.self_flip": True}
    assert Mixed(CutMix()).allow_flips(False) == Mixed(None).allow_flips(True) == {}


def _net() -> nn.Module:
    conv = [nn.Conv2d(i, o, 3, 2, padding=1) for i, o in ((3, 4), (4, 4), (4, 8))]
    stages = [nn.Sequential(c, nn.BatchNorm2d(c.out_channels)) for c in conv]
    return nn.Sequential(*stages, nn.Flatten(), nn.Linear(8 * 4, 3))


HEADS: list[tuple[dict[str, Any], bool, bool]] = [
    ({}, True, True),
    ({"clean": False}, False, True),
    ({"game": "paper", "clean": False, "plain": False}, False, True),
    ({"mixed": False}, True, True),  # plain mixtures remain
    ({"mixed": False, "plain": False}, True, False),
    ({"mixed": False, "sources": 2}, True, False),  # of two the authors make no plain mixtures
    ({"mixed": False, "balance": 0.0}, True, False),
    ({"balance": 1.0}, False, True),
    ({"balance": 1.0, "sources": (2, 3)}, True, True),  # whole images weigh 1 beside pairs
]


@pytest.mark.parametrize(("settings", "own", "mixed"), HEADS)
def test_the_heads_that_learn_are_those_that_move(
    settings: dict[str, Any], own: bool, mixed: bool
) -> None:
    """Gradients of a few steps, of either game's even and odd ones, tell which layers learn."""
    torch.manual_seed(0)
    model, objective = _net(), AdAutoMix(image_size=16, **settings)
    assert objective.mixed_heads() == {}  # nothing is built yet
    objective.build(model, 3)
    last, head = model[-1], objective.head
    assert isinstance(last, nn.Linear)
    assert head is not None
    images, labels, generator = torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 2, 0]), stream(0)
    for _ in range(6):
        losses = objective(model, images, labels, generator=generator, progress=0.0)
        losses.total.backward()
    moved = [
        layer.weight.grad is not None and bool(layer.weight.grad.abs().max() > 0)
        for layer in (last, head)
    ]
    assert moved == [own, mixed]
    assert objective.own_head_learns() is own
    found = objective.mixed_heads()
    assert set(found) == ({"raw", "teacher"} if mixed else set())
    if mixed:
        assert found["raw"] is head
        assert objective.teacher is not None
        assert found["teacher"] is objective.teacher.head


def test_logits_of_whole_images_are_judged_as_such() -> None:
    """Where the student sees no mixture, its accuracy is that on whole images."""
    torch.manual_seed(0)
    model, objective = _net(), AdAutoMix(image_size=16, mixed=False, plain=False)
    objective.build(model, 3)
    images, labels = torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 2, 0])
    losses = objective(model, images, labels, generator=stream(0), progress=0.0)
    assert losses.plan is None
    assert torch.equal(losses.logits, model(images))


@pytest.mark.parametrize("make", [Mixed, DecoupledMix])
def test_outputs_of_two_views_are_half_of_their_images(make: Any) -> None:
    torch.manual_seed(0)
    objective, model = make(MiAMix(views=2)), _net()
    images, labels = torch.rand(8, 3, 16, 16), torch.tensor([0, 1, 2, 0] * 2)
    losses = objective(model, images, labels, generator=stream(0), progress=0.0)
    assert losses.logits.shape == (4, 3)
