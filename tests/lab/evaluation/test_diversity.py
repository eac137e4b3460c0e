"""Diversity of mixtures: known answers, slow versions, and the evaluation on mixers that differ."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lab.evaluation.small import small_subject
from mixwright.checkpoint import save_checkpoint
from mixwright.lab.evaluation.mixtures.diversity import Diversity
from mixwright.lab.evaluation.mixtures.diversity_scores import (
    cosine_diversity,
    iou_diversity,
    mask_diversity,
    pair_accuracy,
    pixel_diversity,
    vendi_score,
)
from mixwright.lab.evaluation.mixtures.reference import read_features, reference_of
from mixwright.lab.evaluation.mixtures.states import (
    at_share,
    drawn_states,
    grouped_states,
    groups_of,
    kept_states,
    sources_of,
)
from mixwright.lab.evaluation.subject import NotApplicableError
from mixwright.lab.models.smallconv import SmallConv
from mixwright.masknets import MaskGenerator, MixBlock
from mixwright.mixers import CoMixup, CutMix, Cutout, FMix, GuidedMixup, MiAMix, MixUp
from mixwright.mixers.combine import OneOf, Sometimes
from mixwright.mixers.learned import LearnedMixer
from mixwright.sampling import stream


def slow(states, distance):
    pairs = list(itertools.combinations(range(len(states)), 2))
    return [
        sum(distance(states[a][p], states[b][p]) for a, b in pairs) / len(pairs)
        for p in range(states.shape[1])
    ]


def test_same_states_differ_in_nothing():
    states = torch.rand(1, 3, 2, 6, 6).expand(5, -1, -1, -1, -1)
    for measure in (mask_diversity, iou_diversity, pixel_diversity):
        assert measure(states).tolist() == [0.0] * 3
    features = torch.rand(1, 3, 8).expand(5, -1, -1)
    assert cosine_diversity(features).tolist() == pytest.approx([0.0] * 3, abs=1e-12)
    assert vendi_score(features.transpose(0, 1)).tolist() == pytest.approx([1.0] * 3)


@given(states=st.integers(2, 5), sources=st.integers(2, 4), seed=st.integers(0, 99))
def test_masks_and_pixels_as_in_plain_loops(states, sources, seed):
    rng = torch.Generator().manual_seed(seed)
    masks = torch.rand(states, 2, sources, 3, 4, generator=rng).softmax(dim=2).double()
    wanted = slow(masks, lambda a, b: float((a - b).abs().sum()) / 2 / 12)
    assert mask_diversity(masks).tolist() == pytest.approx(wanted)
    wanted = slow(masks, lambda a, b: float((a - b).abs().mean()))
    assert pixel_diversity(masks).tolist() == pytest.approx(wanted)
    if sources == 2:  # the plain formula of pairs
        wanted = slow(masks[:, :, 0], lambda a, b: float((a - b).abs().mean()))
        assert mask_diversity(masks).tolist() == pytest.approx(wanted)


@given(seed=st.integers(0, 99))
def test_regions_and_features_as_in_plain_loops(seed):
    rng = torch.Generator().manual_seed(seed)
    masks = torch.rand(4, 2, 2, 5, 5, generator=rng)

    def apart(a, b):
        one = {i for i, v in enumerate(a[0].flatten().tolist()) if v > 0.5}
        two = {i for i, v in enumerate(b[0].flatten().tolist()) if v > 0.5}
        return 1 - len(one & two) / len(one | two)

    assert iou_diversity(masks).tolist() == pytest.approx(slow(masks, apart))
    features = torch.randn(4, 2, 7, generator=rng)
    wanted = slow(features, lambda a, b: 1 - float(a @ b / a.norm() / b.norm()))
    assert cosine_diversity(features).tolist() == pytest.approx(wanted, abs=1e-6)


def test_regions_at_their_ends():
    none, some = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    assert iou_diversity(torch.stack([none, none])).item() == 0.0
    assert iou_diversity(torch.stack([none, some])).item() == 1.0
    assert iou_diversity(torch.stack([some / 2, some]), threshold=0.4).item() == 0.0
    assert iou_diversity(torch.stack([some / 2, some])).item() == 1.0  # above, not at


def test_complements_of_a_mask():
    mask = torch.rand(3, 1, 8, 8)
    pair = torch.cat([mask, 1 - mask], dim=1)
    found = mask_diversity(torch.stack([pair, 1 - pair]))
    torch.testing.assert_close(found, (2 * mask - 1).abs().double().mean(dim=(1, 2, 3)))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_vendi_counts_orthogonal_samples(count):
    basis = torch.linalg.qr(torch.randn(9, 9))[0][:count] * torch.rand(count, 1).add(0.1)
    assert vendi_score(basis).item() == pytest.approx(count)
    twice = torch.cat([basis, basis])  # copies add nothing
    assert vendi_score(twice).item() == pytest.approx(count)


def test_vendi_by_hand():
    cosine = 0.6
    features = torch.tensor([[1.0, 0.0], [cosine, math.sqrt(1 - cosine**2)]])
    a, b = (1 + cosine) / 2, (1 - cosine) / 2
    wanted = math.exp(-a * math.log(a) - b * math.log(b))
    assert vendi_score(features).item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mask_diversity(torch.zeros(1, 2, 2, 4, 4)), "at least two states"),
        (lambda: mask_diversity(torch.zeros(2, 3)), r"expected \(T, P, N"),
        (lambda: iou_diversity(torch.zeros(2, 2, 2, 4), threshold=1.0), "threshold is 1.0"),
        (lambda: cosine_diversity(torch.zeros(2, 3)), r"expected \(T, P, D\)"),
        (lambda: vendi_score(torch.zeros(3)), "expected"),
        (lambda: vendi_score(torch.zeros(0, 3)), "m at least 1"),
        (lambda: pair_accuracy(torch.zeros(2, 3), torch.zeros(2, 3)), "at least one class"),
        (lambda: pair_accuracy(torch.zeros(2, 3), torch.ones(2, 4)), "expected both"),
        (lambda: Diversity(draws=1), "draws is 1"),
        (lambda: Diversity(pairs=0), "pairs is 0"),
        (lambda: Diversity(lam=1.5), "lam is 1.5"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_pair_is_known_by_its_two_first_guesses():
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 9.0, 2.0]])
    pair = torch.tensor([0.7, 0.3, 0.0])
    targets = torch.stack([pair, pair, pair, torch.tensor([0.0, 1.0, 0.0])])
    assert pair_accuracy(logits, targets).tolist() == [True, False, True, True]


def test_groups_hold_different_classes_and_no_image_twice():
    labels = torch.arange(40) % 4
    groups = groups_of(labels, groups=9, size=3, generator=stream(0))
    assert groups.shape == (9, 3)
    assert len(groups.unique()) == 27
    assert all(len(labels[group].unique()) == 3 for group in groups)
    assert groups_of(labels, groups=99, size=3, generator=stream(0)).shape == (13, 3)
    assert groups_of(torch.zeros(4).long(), groups=2, size=2, generator=stream(0)).shape == (2, 2)


def test_a_share_is_asked_for_where_that_can_be_done():
    assert at_share(CutMix(), 0.3) == (CutMix(lam=0.3), True)
    mixer, follows = at_share(OneOf(MixUp(), Sometimes(CutMix(), 0.5), p=(1, 3)), 0.3)
    assert follows
    assert mixer == OneOf(MixUp(lam=0.3), Sometimes(CutMix(lam=0.3), 0.5), p=(1, 3))
    for one in (GuidedMixup(), CoMixup(), Cutout()):
        assert at_share(one, 0.3) == (one, False)
    learned = learned_mixer()
    narrow, follows = at_share(learned, 0.5)
    assert follows
    assert (learned.alpha, sources_of(narrow), sources_of(MixUp())) == (1.0, 2, 2)
    plan = narrow.plan(torch.rand(6, 3, 16, 16), generator=stream(0))
    assert (plan.weight - 0.5).abs().max() < 0.002
    assert not at_share(learned, 0.3)[1]  # equal shares are all that it can be asked for


def test_pairs_are_asked_for_of_mixers_of_three():
    three = three_sources()
    assert not at_share(three, 0.5)[1]  # a third each
    narrow, follows = at_share(Sometimes(three, 0.5), 0.5, pairs=True)
    assert follows
    assert (sources_of(narrow.mixer), sources_of(three)) == (2, 3)
    plan = narrow.mixer.plan(torch.rand(6, 3, 16, 16), generator=stream(0))
    assert plan.mask.shape[1] == 2
    assert (plan.weight - 0.5).abs().max() < 0.002


def learned_mixer(**more):
    torch.manual_seed(0)
    return LearnedMixer(SmallConv(num_classes=4), MixBlock(32), layer="layer2", **more)


def three_sources():
    torch.manual_seed(0)
    return LearnedMixer(SmallConv(num_classes=4), MaskGenerator(32), layer="layer2", sources=3)


def states_of(mixer, draws=4, **more):
    images = torch.rand(5, 2, 3, 16, 16, generator=stream(1))
    labels = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]])
    return images, drawn_states(mixer, images, labels, draws=draws, seed=0, num_classes=4, **more)


def test_mixup_at_one_share_has_no_diversity_of_masks():
    images, states = states_of(MixUp(lam=0.5))
    assert states.masks.shape == (4, 5, 2, 16, 16)
    assert mask_diversity(states.masks).max() == 0
    torch.testing.assert_close(states.mixed[0], images.mean(dim=1))
    assert states.targets.sum(dim=2).allclose(torch.ones(4, 5))


def test_draws_differ_and_pairs_stay():
    images, states = states_of(CutMix(lam=0.5))
    assert mask_diversity(states.masks).min() > 0.05
    torch.testing.assert_close(states.masks.sum(dim=2), torch.ones(4, 5, 16, 16))
    shown = (states.masks[:, :, :, None] * images).sum(dim=2)
    torch.testing.assert_close(shown, states.mixed)  # the masks are of these two images
    again = states_of(CutMix(lam=0.5))[1]
    assert torch.equal(again.masks, states.masks)


def test_masks_are_of_images_and_not_of_sources():
    """A self-mix shows one image alone, with whichever sources."""
    _, states = states_of(MiAMix(p_self=1.0, lam=0.5))
    assert states.masks[:, :, 0].eq(1).all()
    assert mask_diversity(states.masks).max() == 0
    _, views = states_of(MiAMix(views=2, lam=0.5))
    torch.testing.assert_close(views.masks.sum(dim=2), torch.ones(4, 5, 16, 16))
    _, fills = states_of(Cutout())
    assert fills.masks[:, :, 1].max() == 0
    assert fills.masks[:, :, 0].mean() < 1


def test_a_mixer_that_learned_draws_nothing():
    _, states = states_of(at_share(learned_mixer(), 0.5)[0])
    assert mask_diversity(states.masks).max() == 0
    # Of three and more sources it draws who is mixed, which stays the same here.
    three = three_sources()
    images, labels = torch.rand(4, 3, 3, 16, 16), torch.tensor([[0, 1, 2]] * 4)
    states = drawn_states(at_share(three, 0.5)[0], images, labels, draws=3, seed=0, num_classes=4)
    assert states.masks.shape == (3, 4, 3, 16, 16)
    assert mask_diversity(states.masks).max() == 0


def test_the_evaluation_reads_its_own_model():
    subject = small_subject(mixer=CutMix())
    found = Diversity(pairs=6, draws=3).measure(subject)
    assert found.summary["pairs"] == 6
    assert found.summary["lam"] == 0.5
    assert found.summary["epochs"] is None
    assert found.summary["reference"] == "its own model"
    drawn = found.summary["draws"]
    assert drawn["states"] == [1, 2, 3]
    assert 0 < drawn["mask"] < 1
    assert 1 < drawn["vendi"] <= 3
    assert found.arrays["draws.mixed"].shape == (3, 3, 3, 16, 16)
    assert Diversity(pairs=6, draws=3).measure(subject).summary == found.summary
    other = Diversity(pairs=6, draws=3).measure(replace(subject, seed=1))
    assert other.summary["draws"]["mask"] != drawn["mask"]
    with pytest.raises(NotApplicableError, match="without a mixer"):
        Diversity().measure(replace(subject, mixer=None))
    with pytest.raises(NotApplicableError, match="do not make one group"):
        Diversity().measure(small_subject(mixer=MixUp(), test=1))


def test_groups_are_mixed_so_many_at_a_time_as_take_64_mebibytes():
    subject = small_subject(mixer=CutMix(), size=64, test=150)
    asked = {"groups": 75, "draws": 10, "generator": stream(0), "progress": print}
    pieces = [labels for _, labels in grouped_states(subject, CutMix(lam=0.5), **asked)]
    # A group: 10 masks of 2 images, 10 mixtures of 3 channels, 2 images of 3 channels.
    assert [len(labels) for labels in pieces] == [64 * 2**20 // (4 * 64 * 64 * 56), 2]


@pytest.mark.parametrize("mixer", [CutMix(), FMix()])
def test_one_group_at_a_time_is_as_good_as_all(monkeypatch, mixer):
    subject = small_subject(mixer=mixer)
    whole = Diversity(pairs=5, draws=3).measure(subject)
    monkeypatch.setattr("mixwright.lab.evaluation.mixtures.states._MEBIBYTES", 0)
    singly = Diversity(pairs=5, draws=3).measure(subject)
    assert singly.summary["draws"].keys() == whole.summary["draws"].keys()
    for name, value in whole.summary["draws"].items():
        assert singly.summary["draws"][name] == pytest.approx(value, rel=1e-6)
    for name, array in whole.arrays.items():
        torch.testing.assert_close(singly.arrays[name], array, rtol=0, atol=0)


def test_a_reference_that_sees_the_classes_knows_the_pairs():
    """Each class is one colour; a linear reader of colours knows which two were mixed."""
    subject = small_subject(mixer=MixUp(), coloured=True)
    drawn = Diversity(pairs=6, draws=2).measure(subject).summary["draws"]
    assert drawn["pair_accuracy"] == 1.0
    blind = small_subject(mixer=MixUp(), coloured=True)
    nn.init.zeros_(blind.model[1].weight)
    drawn = Diversity(pairs=6, draws=2).measure(blind).summary["draws"]
    assert drawn["pair_accuracy"] < 0.7


def test_epochs_come_from_what_a_run_kept(tmp_path):
    subject = replace(small_subject(mixer=learned_mixer()), folder=tmp_path)
    assert kept_states(subject) is None
    images = subject.data.test.images[:4]
    masks = torch.rand(3, 4, 2, 16, 16).softmax(dim=2).mul(255).to(torch.uint8)
    (tmp_path / "masks").mkdir()
    for place, epoch in enumerate((1, 2, 4)):
        save_checkpoint(
            tmp_path / "masks" / f"epoch-{epoch:04d}.pt",
            {
                "epoch": epoch,
                "images": images,
                "index": torch.tensor([[0, 1], [1, 2], [2, 3], [3, 0]]),
                "weight": torch.full((4, 2), 0.5),
                "mask": masks[place],
                "mixed": images.flip(0),
            },
        )
    found = Diversity(pairs=3, draws=2).measure(subject)
    over = found.summary["epochs"]
    assert (over["states"], over["mixtures"]) == ([1, 2, 4], 4)
    assert over["mask"] == pytest.approx(float(mask_diversity(masks.float() / 255).mean()))
    assert over["pixels"] == 0
    assert over["pair_accuracy"] is not None
    assert found.summary["draws"]["mask"] == 0
    assert found.arrays["epochs.shown"].tolist() == [1, 2, 4]
    # Other test images than those of the run: their labels are not known.
    others = replace(subject, ids=subject.ids + 100)
    assert Diversity(pairs=3, draws=2).measure(others).summary["epochs"]["pair_accuracy"] is None


def test_features_are_what_enters_the_last_layer():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 3))
    images = torch.rand(4, 3, 2, 2)
    features, logits = read_features(model, [images[:3], images[3:]])
    torch.testing.assert_close(features, model[:3](images).detach())
    torch.testing.assert_close(logits, model(images).detach())
    assert model.training
    model[3].weight.data.fill_(math.inf)
    with pytest.raises(ValueError, match="NaN or infinite"):
        read_features(model, [images])


def test_a_reference_may_give_its_logits_by_name(tmp_path, monkeypatch):
    from mixwright.lab.evaluation.mixtures import reference
    from mixwright.lab.training.recipe import Recipe

    class Named(nn.Flatten):
        def forward(self, images):
            return {"logits": super().forward(images)}

    subject = small_subject(mixer=MixUp(), size=32)
    state = {
        "recipe": Recipe(model="smallconv").to_json(),
        "model": {},
        "classes": list("dabc"),
        "mean": [0.5] * 3,
        "std": [0.2] * 3,
    }
    save_checkpoint(tmp_path / "last.pt", state)
    monkeypatch.setattr(reference, "rebuild", lambda *_, **__: Named())
    model, _ = reference_of(subject, str(tmp_path))
    images = torch.rand(2, 4, 1, 1)
    assert torch.equal(model(images), images.flatten(1)[:, [1, 2, 3, 0]])


def test_a_named_run_is_the_reference(tmp_path):
    from mixwright.lab.models.build import build_model
    from mixwright.lab.models.normalised import Normalised
    from mixwright.lab.training.recipe import Recipe

    subject = small_subject(mixer=MixUp(), size=32)
    net = Normalised(
        build_model("smallconv", num_classes=4, image_size=32, channels=3), (0.5,) * 3, (0.2,) * 3
    )
    recipe = Recipe(model="smallconv", method="cutmix", seed=3)
    state = {
        "recipe": recipe.to_json(),
        "model": net.state_dict(),
        "classes": list("abcd"),
        "mean": [0.5] * 3,
        "std": [0.2] * 3,
    }
    save_checkpoint(tmp_path / "last.pt", state)
    model, called = reference_of(subject, str(tmp_path))
    assert called == "cutmix, seed 3"
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(model(images), net.eval()(images))
    part = Diversity(pairs=2, draws=2, reference=str(tmp_path))
    assert part.measure(subject).summary["reference"] == called
    save_checkpoint(tmp_path / "last.pt", state | {"classes": list("dabc")})
    model, _ = reference_of(subject, str(tmp_path))  # classes are matched by name
    torch.testing.assert_close(model(images), net.eval()(images)[:, [1, 2, 3, 0]])
    save_checkpoint(tmp_path / "last.pt", state | {"classes": list("abcx")})
    with pytest.raises(ValueError, match=r"1 of 4 classes that .* has not: 'd'"):
        reference_of(subject, str(tmp_path))
    save_checkpoint(tmp_path / "last.pt", state | {"classes": list("abcde")})
    with pytest.raises(ValueError, match="knows 5 classes, small has 4"):
        reference_of(subject, str(tmp_path))
    save_checkpoint(tmp_path / "last.pt", {"weights": {}})
    with pytest.raises(ValueError, match="has no recipe, classes"):
        reference_of(subject, str(tmp_path))
