"""Wrappers: rates, rows, schedules and bad arguments."""

from __future__ import annotations

import math

import pytest
import torch

from mixwright.masks.mask_forms import Box
from mixwright.mixers import (
    CutMix,
    Cutout,
    MiAMix,
    MixUp,
    OneOf,
    Scheduled,
    Sometimes,
    set_progress,
)
from mixwright.mixers.combine import needs_partner, per_of, self_flips, views_of, with_flips
from mixwright.sampling import stream

IMAGES = torch.rand(64, 1, 8, 8, generator=stream(1))


def _rate(drawn: list[bool]) -> tuple[float, float]:
    return sum(drawn) / len(drawn), 4 * math.sqrt(0.25 / len(drawn))


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_sometimes_mixes_at_its_rate(p: float) -> None:
    generator = stream(2)
    mixer = Sometimes(MixUp(lam=0.5), p)
    changed = torch.cat(
        [mixer.plan(IMAGES, generator=generator).weight[:, 0] < 1 for _ in range(40)]
    ).tolist()
    rate, bound = _rate(changed)
    assert rate == pytest.approx(p, abs=bound if 0 < p < 1 else 0)


def test_sometimes_per_batch_mixes_all_or_nobody() -> None:
    generator = stream(3)
    mixer = Sometimes(MixUp(lam=0.5), 0.5, per="batch")
    shares = [
        (mixer.plan(IMAGES, generator=generator).weight[:, 0] < 1).float().mean().item()
        for _ in range(200)
    ]
    assert set(shares) == {0.0, 1.0}
    assert sum(shares) / 200 == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 200))


@pytest.mark.parametrize("per", ["sample", "batch"])
def test_a_batch_that_stays_as_it_is_costs_no_plan(per):
    class Costly:
        def plan(self, images, labels=None, *, generator, model=None):
            raise AssertionError("planned")

    plan = Sometimes(Costly(), 0.0, per=per).plan(IMAGES, generator=stream(0)).check()
    assert torch.equal(plan.images(IMAGES), IMAGES)
    two = Sometimes(OneOf(MiAMix(views=2)), 0.0, per=per).plan(IMAGES, generator=stream(0)).check()
    assert (len(two), two.pool) == (len(IMAGES) // 2, len(IMAGES))


def test_one_of_draws_each_at_its_chance_for_each_sample() -> None:
    generator = stream(4)
    mixer = OneOf(MixUp(lam=0.5), CutMix(lam=0.75, box="fit"), p=(1, 3))
    cut = []
    for _ in range(40):
        plan = mixer.plan(IMAGES, generator=generator).check()
        assert isinstance(plan.mask_form, Box)
        binary = plan.mask[:, 0].flatten(1).eq(0.5).logical_not().all(1)
        assert torch.equal(plan.weight[:, 0] == 0.75, binary)
        cut += binary.tolist()
    rate, bound = _rate(cut)
    assert rate == pytest.approx(0.75, abs=bound)


def test_one_of_per_batch_draws_one_for_all() -> None:
    generator = stream(5)
    mixer = OneOf(MixUp(lam=0.5), CutMix(lam=0.75, box="fit"), per="batch")
    kinds = [set(mixer.plan(IMAGES, generator=generator).weight[:, 0].tolist()) for _ in range(60)]
    assert all(len(kind) == 1 for kind in kinds)
    assert {0.5} in kinds
    assert {0.75} in kinds


def test_an_impossible_mixer_is_never_asked() -> None:
    class Broken:
        def plan(self, *_: object, **__: object) -> None:
            raise AssertionError("was asked")

    mixer = OneOf(MixUp(), Broken(), p=(1.0, 0.0))  # type: ignore[arg-type]
    for seed in range(20):
        mixer.plan(IMAGES, generator=stream(seed))


def test_scheduled_follows_progress_inside_wrappers() -> None:
    scheduled = Scheduled(lambda progress: MixUp(lam=1 - progress))
    mixer = Sometimes(OneOf(scheduled), 1.0)
    for progress in (0.0, 0.25, 1.0):
        set_progress(mixer, progress)
        plan = mixer.plan(IMAGES, generator=stream(6))
        assert plan.weight[:, 0].unique().tolist() == [1 - progress]
    with pytest.raises(ValueError, match=r"progress is 1\.5"):
        set_progress(mixer, 1.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneOf(), "no mixer given"),
        (lambda: OneOf(MixUp), r"mixers is <class .*; expected an object with a plan"),  # type: ignore[arg-type]
        (lambda: OneOf(MixUp(), p=(1, 2)), "2 chances for 1 mixers"),
        (lambda: OneOf(MixUp(), p=0.5), r"p is 0\.5; expected a tuple, each of it a finite number"),  # type: ignore[arg-type]
        (lambda: OneOf(MixUp(), p=(-1,)), "p is -1; expected a finite number at least 0"),
        (lambda: OneOf(MixUp(), CutMix(), p=(0, 0)), "at least one chance above 0"),
        (lambda: OneOf(MixUp(), per="elem"), "per is 'elem'; expected one of 'sample', 'batch'"),  # type: ignore[arg-type]
        (lambda: Sometimes(MixUp(), 1.5), r"p is 1\.5; expected .* at most 1"),
        (lambda: Sometimes(MixUp(), math.nan), "p is nan"),
        (lambda: Sometimes("mixup", 0.5), "mixer is 'mixup'; expected an object with a plan"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments_are_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(4))
def test_wrappers_draw_for_outputs_where_a_mixer_takes_two_views(seed):
    two = MiAMix(views=2)
    for mixer in (Sometimes(two, 0.5), OneOf(two, MiAMix(views=2, alpha=0.5))):
        plan = mixer.plan(IMAGES, generator=stream(seed)).check()
        assert (len(plan), plan.pool) == (len(IMAGES) // 2, len(IMAGES))


def test_a_schedule_that_a_schedule_gives_learns_of_the_progress():
    inner = Scheduled(lambda progress: MixUp(lam=1 - progress))
    outer = Scheduled(lambda progress: OneOf(inner))
    set_progress(outer, 0.25)
    assert outer.plan(IMAGES, generator=stream(0)).weight[:, 0].unique().tolist() == [0.75]


def test_a_schedule_of_no_mixers_says_so():
    with pytest.raises(ValueError, match=r"Scheduled: at is MixUp.*expected a callable"):
        Scheduled(MixUp())  # type: ignore[arg-type]
    for at in (lambda progress: MixUp, lambda progress: None):
        with pytest.raises(ValueError, match=r"Scheduled: .* is no mixer"):
            Scheduled(at).plan(IMAGES, generator=stream(0))  # type: ignore[arg-type]


# ------------------------------------------------------------------ what a mixer asks of a batch


def test_mixers_of_one_and_of_two_views_are_drawn_together() -> None:
    """Rows of the one-view mixer see first views alone, whoever else was drawn."""
    first = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 1, 4, 4)
    images, labels = torch.cat([first, first + 100]), torch.arange(8).repeat(2)
    mixer = OneOf(MixUp(lam=0.5), MiAMix(views=2, p_self=1.0, layers=1, lam=0.5))
    plan = mixer.plan(images, labels, generator=stream(0))
    assert (len(plan), plan.pool) == (8, 16)
    second = plan.index[:, 1] >= 8
    assert second.any()
    assert (~second).any()
    assert torch.equal(plan.index[second, 1] - 8, torch.arange(8)[second])  # its own other view
    assert (plan.images(images)[~second] < 8).all()
    assert torch.equal(plan.targets(labels, 8)[second], torch.eye(8)[second])


def test_who_needs_a_partner_and_how_many_views() -> None:
    class Own:
        needs_partner = False

        def plan(self, *_: object, **__: object) -> None: ...

    now = Scheduled(lambda progress: Cutout() if progress < 0.5 else MiAMix(views=2))
    for mixer, needs, views in (
        (MixUp(), True, 1),
        (Cutout(), False, 1),
        (MiAMix(p_self=1.0, views=2), True, 2),
        (Own(), False, 1),
        (OneOf(Cutout(), Own()), False, 1),  # type: ignore[arg-type]
        (OneOf(Cutout(), Sometimes(CutMix(), 0.1)), True, 1),
        (OneOf(CutMix(), MiAMix(views=2)), True, 2),
        (now, False, 1),
    ):
        assert (needs_partner(mixer), views_of(mixer)) == (needs, views), mixer  # type: ignore[arg-type]
    set_progress(now, 0.5)
    assert (needs_partner(now), views_of(now)) == (True, 2)


def test_flips_are_set_where_they_are_open_alone() -> None:
    given = MiAMix(self_flip=True)
    both = OneOf(Sometimes(MiAMix(alpha=2.0), 0.5), given, CutMix(), p=(1, 2, 3), per="batch")
    told = with_flips(both, False)
    wanted = OneOf(
        Sometimes(MiAMix(alpha=2.0, self_flip=False), 0.5), given, CutMix(), p=(1, 2, 3),
        per="batch",
    )  # fmt: skip
    assert told == wanted
    assert with_flips(CutMix(), False) == CutMix()
    scheduled = Scheduled(lambda progress: MiAMix(k_max=1 + round(progress)))
    scheduled.progress = 1.0
    later = with_flips(scheduled, False)
    assert isinstance(later, Scheduled)
    assert later.at(later.progress) == MiAMix(k_max=2, self_flip=False)
    assert self_flips(later) == {"MiAMix": False}
    assert self_flips(OneOf(MiAMix(), CutMix())) == {}


def test_what_a_mixer_draws_for() -> None:
    class Odd:
        per = "pixel"

        def plan(self, *_: object, **__: object) -> None: ...

    once = MixUp(per="batch")
    for mixer, per in (
        (CutMix(), "sample"),
        (once, "batch"),
        (OneOf(once, once), "sample"),
        (OneOf(CutMix(), per="batch"), "batch"),
        (Sometimes(once, 0.5), "sample"),
        (Scheduled(lambda progress: once), "batch"),
        (Odd(), "sample"),
    ):
        assert per_of(mixer) == per, mixer  # type: ignore[arg-type]
