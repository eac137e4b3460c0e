"""Fidelity of masks and labels: known answers, SciPy as oracle, and mixers that keep their word."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from cases import cases
from lab.evaluation.small import small_subject
from mixwright.lab.evaluation.mixtures.fidelity import Fidelity
from mixwright.lab.evaluation.mixtures.fidelity_scores import (
    area_error,
    degenerate_share,
    ks_distance,
    ks_noise,
    label_error,
    nearest_distance,
)
from mixwright.lab.evaluation.mixtures.laws import law_of, per_sample, stages_of, with_options
from mixwright.lab.evaluation.subject import NotApplicableError
from mixwright.lab.models.smallconv import SmallConv
from mixwright.masknets import MixBlock
from mixwright.mixers import (
    CutMix,
    Cutout,
    FMix,
    GridMix,
    GuidedMixup,
    HMix,
    MiAMix,
    MixUp,
    SnapMix,
)
from mixwright.mixers.combine import OneOf
from mixwright.mixers.learned import LearnedMixer
from mixwright.plan import MixPlan
from mixwright.sampling import beta, stream

QUICK = Fidelity(count=60, distances=0)


def test_errors_by_hand():
    areas = torch.tensor([[0.2, 0.8], [1.0, 0.0], [0.99, 0.01], [0.01, 0.99]])
    assert area_error(areas[:, 0], torch.tensor([0.3, 1.0, 0.99, 0.0])) == pytest.approx(0.0275)
    weights = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.99, 0.01], [0.01, 0.99]])
    assert label_error(areas, weights) == pytest.approx(0.125)
    assert degenerate_share(areas) == 0.75
    assert degenerate_share(areas, least=0.005) == 0.25
    # At the limit itself a mixture is not degenerate.
    assert degenerate_share(torch.tensor([[0.75, 0.25], [0.25, 0.75]]), least=0.25) == 0.0


@given(count=st.integers(1, 40), seed=st.integers(0, 99))
def test_distances_of_distributions_are_those_of_scipy(count, seed):
    rng = torch.Generator().manual_seed(seed)
    values = torch.rand(count, generator=rng, dtype=torch.float64)
    values = values.mul(8).round().div(8) if seed % 2 else values  # ties
    law = stats.beta(2, 3).cdf
    assert ks_distance(values, law) == pytest.approx(stats.kstest(values.numpy(), law).statistic)
    others = torch.rand(7, generator=rng, dtype=torch.float64).mul(8).round().div(8)
    wanted = stats.ks_2samp(values.numpy(), others.numpy()).statistic
    assert ks_distance(values, others) == pytest.approx(wanted)


def test_draws_of_a_law_are_within_the_noise_nearly_always():
    law = law_of(MixUp(alpha=0.4))
    found = [
        ks_distance(beta(0.4, 400, device=torch.device("cpu"), generator=stream(seed)), law.cdf)
        for seed in range(100)
    ]
    beyond = sum(one > ks_noise(400) for one in found)
    assert 1 <= beyond <= 12  # 5 expected


def test_nearest_by_hand():
    reals = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    points = torch.tensor([[0.0, 0.25], [3.0, 4.0]])
    assert nearest_distance(points, reals).tolist() == [0.25, 0.0]
    without = torch.tensor([[0, -1], [1, 2]])
    assert nearest_distance(points, reals, without=without).tolist() == [0.75, 5.0]
    every = torch.tensor([[0, 1, 2]] * 2)
    assert nearest_distance(points, reals, without=every).tolist() == [math.inf] * 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: area_error(torch.zeros(2), torch.zeros(3)), "expected the same shape"),
        (lambda: label_error(torch.zeros(2), torch.zeros(2)), "with 2 axes"),
        (lambda: degenerate_share(torch.zeros(2)), r"expected \(B, N\)"),
        (lambda: degenerate_share(torch.zeros(2, 2), least=0.5), "least is 0.5"),
        (lambda: ks_distance(torch.zeros(0), torch.zeros(1)), "at least 1"),
        (lambda: nearest_distance(torch.zeros(2, 3), torch.zeros(2, 4)), r"expected \(B, D\)"),
        (lambda: Fidelity(count=1), "count is 1"),
        (lambda: Fidelity(distances=-1), "distances is -1"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("mixer", "name"),
    [
        (MixUp(alpha=0.2), "Beta(0.2, 0.2)"),
        (MiAMix(alpha=2.0, layers=3), "Beta(6, 6)"),
        (MiAMix(k_max=3), "mean of Beta(1, 1), Beta(2, 2), Beta(3, 3)"),
    ],
)
def test_what_is_asked_for_follows_the_law(mixer, name):
    law = law_of(mixer)
    assert law.name == name
    plan = mixer.plan(torch.rand(3000, 1, 4, 4), generator=stream(0))
    assert ks_distance(plan.lam, law.cdf) < ks_noise(3000)


def test_laws_without_a_formula():
    others = (MixUp(lam=0.5), MixUp(alpha=0), CutMix(minmax=(0.2, 0.8)), Cutout(), GuidedMixup())
    others += (GridMix(lam_range=(0.1, 0.9)), FMix(reformulate=True), OneOf(MixUp(), CutMix()))
    assert [law_of(one) for one in others] == [None] * len(others)


def learned_mixer(**more):
    torch.manual_seed(0)
    network = MixBlock(32) if more.get("sources", 2) == 2 else None
    return LearnedMixer(SmallConv(num_classes=4), network, layer="layer2", **more)


def test_options_of_others_are_changed_in_a_copy():
    learned = learned_mixer(alpha=2.0)
    assert law_of(learned).name == "Beta(2, 2)"
    own = per_sample(learned)
    assert (own.per, learned.per) == ("sample", "batch")
    assert own.network is learned.network
    assert per_sample(CutMix(per="batch")) == CutMix()
    assert per_sample(CutMix()) == CutMix()
    assert with_options(learned, lam=0.5) is None
    assert with_options(object(), lam=0.5) is None


def test_stages_draw_the_same_layers():
    mixer = MiAMix(layers=2, p_self=0.0)
    stages = stages_of(mixer)
    assert list(stages) == ["before", "smoothed", "rotated", "sheared", "after"]
    assert stages["after"] is mixer
    chances = [(one.p_smooth, one.p_rotate, one.p_shear) for one in stages.values()]
    assert chances[:4] == [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    images = torch.rand(6, 3, 16, 16)
    before, *others = (one.plan(images, generator=stream(0)) for one in stages.values())
    for other in others:
        assert torch.equal(other.index, before.index)
        assert torch.equal(other.lam, before.lam)
        assert not torch.equal(other.mask, before.mask)
    assert stages_of(CutMix()) == {}


@cases(lam_exact=True)
def test_exact_methods_have_no_area_error(case):
    found = Fidelity(count=200, distances=0).measure(small_subject(mixer=case.mixer)).summary
    # Whole pixels: FMix rounds by chance, less than one pixel of 256.
    asked = found["area"] is not None  # SmoothMix draws a share only for figures
    assert not asked or found["area"] < 1 / 256
    assert asked or case.name == "smoothmix"
    assert found["label_sum"] < 1e-6
    if found["law"]:
        assert found["ks_realised"] < found["ks_noise"] + 1 / 256


def test_a_clipped_box_leaves_more_than_was_asked_for():
    found = Fidelity(count=2000, distances=0).measure(small_subject(mixer=CutMix())).summary
    assert found["area"] == pytest.approx(0.21, abs=0.03)  # some 0.7 are kept, not 0.5
    assert found["ks_asked"] < found["ks_noise"] < found["ks_realised"]
    assert found["label"] < 1e-6  # but the label is measured from the box
    assert sum(found["histogram"]) == pytest.approx(1)
    assert found["expected"] == pytest.approx([1 / 20] * 20)


def test_augmented_masks_before_and_after():
    mixer = MiAMix(methods=(MixUp(), HMix()), weights=(0, 1), layers=1, p_rotate=1.0)
    found = Fidelity(count=200, distances=0).measure(small_subject(mixer=mixer)).summary
    stages = found["stages"]
    assert stages["before"]["area"] < 1e-6
    assert stages["before"]["moved"] == 0
    for stage in ("rotated", "sheared", "after"):
        assert stages[stage]["area"] > 0.001
        assert stages[stage]["moved"] == pytest.approx(stages[stage]["area"], abs=1e-6)
    assert stages["after"]["area"] == found["area"]
    assert Fidelity(count=60).measure(small_subject(mixer=CutMix())).summary["stages"] == {}


def test_labels_that_follow_other_rules_show():
    found = QUICK.measure(small_subject(mixer=FMix(reformulate=True))).summary
    assert found["label"] > 0.1
    found = QUICK.measure(small_subject(mixer=SnapMix(saliency=lambda x, *_, **__: x[:, 0])))
    assert found.summary["label_sum"] > 0.05  # its weights need not sum to 1


@dataclass(frozen=True)
class Whole:
    """Leaves every image as it is."""

    def plan(self, images, labels=None, *, generator, model=None):
        return MixPlan.identity(images)


def test_what_is_not_mixed_is_as_far_as_real_images_are():
    found = Fidelity(count=40, distances=40).measure(small_subject(mixer=Whole())).summary
    assert found["distance"]["nearest"] == pytest.approx(0, abs=1e-5)
    assert found["distance"]["nearest_other"] == pytest.approx(1)
    assert found["distance"]["reals"] == 40
    assert (found["degenerate"], found["area"]) == (1.0, 0.0)
    few = Fidelity(count=40, distances=10, reals=12).measure(small_subject(mixer=Whole()))
    assert few.summary["distance"]["reals"] == 12


def test_distances_as_in_plain_loops():
    subject = small_subject(mixer=MixUp(lam=0.5), batch_size=40)
    found = Fidelity(count=40, distances=40).measure(subject).summary["distance"]
    images = subject.data.test.images.float() / 255
    order = torch.randperm(40, generator=stream(0))
    plan = MixUp(lam=0.5).plan(images[order], generator=stream(0, 0))
    features: nn.Module = subject.model[:3]
    real, mixed = features(images).detach(), features(plan.images(images[order])).detach()
    apart = [float((real[i] - real[[j for j in range(40) if j != i]]).norm(dim=1).min())
             for i in range(40)]  # fmt: skip
    scale = sum(apart) / 40
    assert found["real"] == pytest.approx(scale, rel=1e-5)
    near = [float((one - real).norm(dim=1).min()) for one in mixed]
    assert found["nearest"] == pytest.approx(sum(near) / 40 / scale, rel=1e-5)
    total = 0.0
    for b, one in enumerate(mixed):
        own = set(order[plan.index[b]].tolist())
        others = real[[j for j in range(40) if j not in own]]
        total += float((one - others).norm(dim=1).min())
    assert found["nearest_other"] == pytest.approx(total / 40 / scale, rel=1e-5)


@dataclass(frozen=True)
class Widening:
    """Mixes two images of the first batch, three of later ones."""

    def plan(self, images, labels=None, *, generator, model=None):
        draw = int(torch.randint(2, (), generator=generator))
        sources = 2 + draw
        index = torch.stack([torch.arange(len(images)).roll(k) for k in range(sources)], dim=1)
        mask = torch.full((len(images), sources, 1, 1), 1 / sources)
        return MixPlan(index=index, mask=mask, weight=mask[:, :, 0, 0], pool=len(images))


def test_any_number_of_sources():
    found = Fidelity(count=200, distances=30).measure(small_subject(mixer=Widening()))
    assert found.summary["sources"] == 3
    assert found.summary["label"] == pytest.approx(0, abs=1e-6)
    assert found.summary["label_sum"] < 1e-6
    assert found.summary["area"] is None  # no share was asked for
    assert found.summary["ks_realised"] is None
    assert "asked" not in found.arrays
    assert set(found.arrays["areas"].mul(6).round().tolist()) == {2.0, 3.0}
    assert found.summary["distance"]["nearest"] > 0


@pytest.mark.parametrize(
    "mixer",
    [MiAMix(views=2), Cutout(), learned_mixer(), OneOf(MixUp(), CutMix())],
    ids=["views", "fill", "learned", "several"],
)
def test_other_kinds_of_mixers_are_measured(mixer):
    subject = replace(small_subject(mixer=mixer), seed=3)
    part = Fidelity(count=41, distances=20)
    found = part.measure(subject)
    assert found.summary["count"] == 41
    assert len(found.arrays["areas"]) == 41
    assert found.summary["distance"]["nearest_other"] > 0
    assert part.measure(subject).summary == found.summary


def test_without_a_mixer_there_is_nothing():
    with pytest.raises(NotApplicableError, match="without a mixer"):
        QUICK.measure(small_subject(mixer=None))
