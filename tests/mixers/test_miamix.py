"""MiAMix: its four stages, one by one."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from mixwright import sampling
from mixwright.masks.augment import smoothed, turned
from mixwright.masks.mask_forms import DenseMask
from mixwright.mixers import AGMix, CutMix, FMix, GMix, GridMix, HMix, MiAMix, MixUp
from mixwright.mixers.layers import Layers, draw_layers
from mixwright.mixers.pair_mixer import MaskMethod
from mixwright.sampling import stream

IMAGES = torch.rand(512, 1, 8, 8, generator=stream(9))
PLAIN = {"p_self": 0.0, "p_smooth": 0.0, "p_rotate": 0.0, "p_shear": 0.0}


@dataclass(frozen=True)
class Half:
    """A method that keeps the left half, and notes for how many rows it was asked."""

    asked: list[int] = field(default_factory=list, compare=False)
    shares: list[Tensor] = field(default_factory=list, compare=False)

    def keep(self, lam: Tensor, *, size: tuple[int, int], generator: torch.Generator) -> DenseMask:
        self.asked.append(len(lam))
        self.shares.append(lam)
        left = torch.arange(size[1]) < size[1] // 2
        return DenseMask(left.expand(len(lam), 1, *size))


def only(*methods: object, **settings: object) -> MiAMix:
    fixed = PLAIN | {"methods": methods, "weights": (1.0,) * len(methods)}
    return MiAMix(**(fixed | settings))  # type: ignore[arg-type]


# ------------------------------------------------------------------ pairing


def test_a_chosen_share_of_samples_meets_itself():
    plan = MiAMix(p_self=0.3).plan(IMAGES, generator=stream(0))
    rate = (plan.index[:, 1] == torch.arange(512)).float().mean().item()
    assert rate == pytest.approx(0.3, abs=4 * (0.21 / 512) ** 0.5)
    default = MiAMix().plan(IMAGES, generator=stream(0))
    rate = (default.index[:, 1] == torch.arange(512)).float().mean().item()
    assert rate == pytest.approx(0.1, abs=4 * (0.09 / 512) ** 0.5)


def test_self_mixes_have_one_label_and_other_pixels():
    mixer = MiAMix(p_self=1.0, methods=(MixUp(),), weights=(1,), lam=0.5)
    labels = torch.arange(512) % 10
    plan = mixer.plan(IMAGES, labels, generator=stream(0))
    assert torch.equal(plan.targets(labels, 10), torch.eye(10)[labels])
    assert (plan.images(IMAGES) != IMAGES).flatten(1).any(dim=1).all()


def test_a_self_mix_shows_the_sample_flipped_or_shifted():
    mixer = only(MixUp(), layers=1, lam=0.0, p_self=1.0)
    shown = mixer.plan(IMAGES, generator=stream(0)).images(IMAGES)
    padded = torch.nn.functional.pad(IMAGES, (1, 1, 1, 1), mode="replicate")
    views = [
        view
        for y in range(3)
        for x in range(3)
        for view in (padded[:, :, y : y + 8, x : x + 8], padded[:, :, y : y + 8, x : x + 8].flip(3))
    ]
    same = torch.stack([(view - shown).abs().amax(dim=(1, 2, 3)) < 1e-6 for view in views])
    assert same.any(dim=0).all()
    assert same.any(dim=1).sum() == 17  # all but the view that changes nothing


def test_a_self_mix_mirrors_nothing_where_it_must_not():
    """Shifts alone, all but the one that changes nothing; everything else is drawn as it was."""
    settings = {"layers": 1, "lam": 0.0, "p_self": 0.9}
    plan = only(MixUp(), self_flip=False, **settings).plan(IMAGES, generator=stream(0))
    shown, selves = plan.images(IMAGES), plan.index[:, 1] == torch.arange(512)
    padded = torch.nn.functional.pad(IMAGES, (1, 1, 1, 1), mode="replicate")
    views = [padded[:, :, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    same = torch.stack([(view - shown).abs().amax(dim=(1, 2, 3)) < 1e-6 for view in views])
    assert torch.equal(same.any(dim=0), selves)
    assert same.any(dim=1).tolist() == [True] * 4 + [False] + [True] * 4
    mirroring = only(MixUp(), **settings).plan(IMAGES, generator=stream(0))
    assert torch.equal(mirroring.index, plan.index)
    assert (mirroring.images(IMAGES) != shown).any()
    given = only(MixUp(), self_flip=True, **settings).plan(IMAGES, generator=stream(0))
    assert torch.equal(given.images(IMAGES), mirroring.images(IMAGES))


def test_two_views_pair_the_first_with_the_second():
    images = torch.cat([IMAGES, 1 - IMAGES])
    plan = MiAMix(views=2, p_self=0.2).plan(images, torch.arange(1024), generator=stream(0))
    assert plan.pool == 1024
    assert plan.warp is None
    assert torch.equal(plan.index[:, 0], torch.arange(512))
    assert plan.index[:, 1].min() >= 512
    rate = (plan.index[:, 1] - 512 == torch.arange(512)).float().mean().item()
    assert rate == pytest.approx(0.2, abs=4 * (0.16 / 512) ** 0.5)
    assert plan.images(images).shape == IMAGES.shape
    torch.testing.assert_close(plan.targets(torch.arange(1024) % 7, 7).sum(1), torch.ones(512))
    with pytest.raises(ValueError, match="3 images for two views"):
        MiAMix(views=2).plan(IMAGES[:3], generator=stream(0))


# ------------------------------------------------------------------ sampling


@pytest.mark.parametrize(("layers", "variance"), [(1, 1 / 12), (2, 0.05), (4, 1 / 36)])
def test_own_shares_have_the_moments_of_the_dirichlet_law(layers, variance):
    lam = torch.cat(
        [
            only(MixUp(), layers=layers, merge="sum").plan(IMAGES, generator=stream(s)).lam
            for s in range(10)
        ]
    )
    assert lam.mean().item() == pytest.approx(0.5, abs=0.015)
    assert lam.var().item() == pytest.approx(variance, rel=0.06)


@pytest.mark.parametrize(
    ("agmix", "own"),
    [(AGMix(), 0.595), (AGMix(variant="wide", normalise_area=False), 0.562)],
)
def test_more_than_half_of_an_image_is_its_own_on_average(agmix, own):
    """Though the Dirichlet law asks for half; the figures are those of the docstring."""
    mixer = MiAMix(methods=(MixUp(), CutMix(), FMix(), GridMix(), agmix))
    images = torch.zeros(4000, 1, 32, 32)
    plan = mixer.plan(images, generator=stream(0))
    assert plan.lam.mean().item() == pytest.approx(0.5, abs=0.02)
    assert plan.mask[:, 0].mean().item() == pytest.approx(own, abs=0.012)


def test_the_number_of_layers_is_uniform_and_each_has_its_share():
    half = Half()
    only(half, k_max=3).plan(IMAGES, generator=stream(0))
    (own,) = half.shares
    assert len(own) == half.asked[0]
    assert len(own) == pytest.approx(512 * 2, abs=4 * (512 * 2 / 3) ** 0.5)
    assert own.min() >= 0
    # The first layers come first; with k layers each has 1 / 2k of the image on average.
    assert 1 - own[:512].mean() == pytest.approx((1 / 2 + 1 / 4 + 1 / 6) / 3, abs=0.03)


def test_methods_are_drawn_by_their_weights_and_only_for_their_rows():
    halves = (Half(), Half(), Half())
    only(*halves, weights=(2.0, 1.0, 0.0), layers=2).plan(IMAGES, generator=stream(0))
    assert halves[0].asked[0] + halves[1].asked[0] == 1024
    assert halves[0].asked[0] == pytest.approx(1024 * 2 / 3, abs=4 * (1024 * 2 / 9) ** 0.5)
    assert [len(half.asked) for half in halves] == [1, 1, 0]


def test_the_default_methods_are_the_papers():
    names = [type(one).__name__ for one in MiAMix().methods]
    assert dict(zip(names, MiAMix().weights, strict=True)) == {
        "MixUp": 2, "CutMix": 1, "FMix": 1, "GridMix": 1, "AGMix": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "method", [MixUp(), CutMix(), FMix(), GridMix(), HMix(), GMix(), AGMix()], ids=repr
)
@pytest.mark.parametrize("lam", [0.2, 0.7])
def test_one_layer_of_one_method_is_that_method(method: MaskMethod, lam: float):
    def law(mixer: object) -> Tensor:
        plan = mixer.plan(IMAGES, generator=stream(0)).check()  # type: ignore[attr-defined]
        return plan.mask[:, :1].expand(-1, 1, 8, 8)[:, 0]

    ours, theirs = law(only(method, layers=1, lam=lam)), law(type(method)(lam=lam))
    torch.testing.assert_close(ours.mean(dim=0), theirs.mean(dim=0), atol=0.125, rtol=0)
    values = Counter(ours.flatten().round(decimals=3).tolist()).keys()
    if len(values) < 10:
        assert values == Counter(theirs.flatten().round(decimals=3).tolist()).keys()


def test_a_fixed_lam_is_shared_by_the_layers():
    plan = only(MixUp(), k_max=3, lam=0.6, merge="sum").plan(IMAGES, generator=stream(0))
    torch.testing.assert_close(plan.weight[:, 0], torch.full((512,), 0.6))


# ------------------------------------------------------------------ masks


def seen(**settings: object) -> Tensor:
    return only(Half(), layers=1, **settings).plan(IMAGES, generator=stream(0)).mask[:, 0]


def test_masks_are_augmented_at_their_rates():
    left = torch.zeros(8, 8)
    left[:, :4] = 1
    assert torch.equal(seen(), left.expand(512, 8, 8))
    for name in ("p_rotate", "p_shear", "p_smooth"):
        rate = (seen(**{name: 0.3}) != left).flatten(1).any(dim=1).float().mean().item()
        assert rate == pytest.approx(0.3, abs=4 * (0.21 / 512) ** 0.5)


def test_turned_masks_reveal_the_sample_itself():
    turned = seen(p_rotate=1.0)
    torch.testing.assert_close(turned.mean(), torch.tensor(0.5 + 0.5 * 0.13), atol=0.05, rtol=0)
    assert turned.mean(dim=(1, 2)).min() >= 0.5 - 1e-4  # the partner never gains
    corners = turned[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.mean() > 0.6


def test_smoothing_keeps_rows_and_shears_move_them():
    soft = seen(p_smooth=1.0)
    torch.testing.assert_close(soft, soft[:, :1].expand_as(soft))
    assert (soft.diff(dim=2) <= 1e-6).all()
    sheared = seen(p_shear=1.0)
    assert (sheared != sheared[:, :1]).flatten(1).any(dim=1).float().mean() > 0.9


def test_constant_masks_are_not_augmented():
    mixer = only(MixUp(), layers=2, p_smooth=1.0, p_rotate=1.0, p_shear=1.0)
    own = mixer.plan(IMAGES, generator=stream(0)).mask[:, 0].flatten(1)
    assert torch.equal(own, own[:, :1].expand_as(own))


# ------------------------------------------------------------------ merging


def drawn(depths: list[int], shares: Tensor) -> Layers:
    return draw_layers(
        shares,
        torch.tensor(depths),
        (MixUp(), Half()),
        (1.0, 1.0),
        size=(2, 4),
        generator=stream(0),
    )


def masks_of(layers: Layers, size: tuple[int, int]) -> Tensor:
    """The own share of every mask, ``(L, H, W)``, from what was drawn."""
    masks = layers.levels[:, None, None].repeat(1, *size)
    for mask, place in zip(
        [m for form in layers.forms for m in form.first()], layers.uneven.tolist(), strict=True
    ):
        masks[place] = mask[0]
    return masks


def slow_merge(layers: Layers, depths: list[int], merge: str) -> Tensor:
    """Loop over samples and layers, as the sentences say it."""
    out = []
    masks = masks_of(layers, (2, 4))
    for row, depth in enumerate(depths):
        planes = [
            masks[layers.places[layer][layers.rows[layer].tolist().index(row)]]
            for layer in range(depth)
        ]
        if merge == "product":
            out.append(math.prod(planes))
        else:
            out.append((1 - sum(1 - plane for plane in planes)).clamp(0, 1))
    return torch.stack(out)


@pytest.mark.parametrize("merge", ["product", "sum"])
def test_layers_are_merged_sample_by_sample(merge):
    depths = [1, 3, 2, 3, 1]
    shares = torch.rand(5, 3, generator=stream(1)) * 0.6
    layers = drawn(depths, shares)
    wanted = slow_merge(layers, depths, merge)
    got = layers.merged(size=(2, 4), turns=None, blurs=None, product=merge == "product")
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("product", [True, False])
def test_turned_and_blurred_masks_are_merged_sample_by_sample(product):
    """Masks that are turned, blurred, both or neither, in layers that some samples lack."""
    size, depths = (6, 8), [1, 3, 2, 3, 1, 2]
    shares = torch.rand(6, 3, generator=stream(1)) * 0.6
    layers = draw_layers(
        shares, torch.tensor(depths), (MixUp(), Half(), AGMix()), (1, 1, 1), size=size,
        generator=stream(4),
    )  # fmt: skip
    turns = layers.turns(p_rotate=0.5, p_shear=0.3, generator=stream(2))
    blurs = layers.blurs(p_smooth=0.5, size=size, generator=stream(3))
    assert turns is not None
    assert blurs is not None
    turned_ones, blurred_ones = set(turns.places.tolist()), set(blurs.places.tolist())
    assert turned_ones & blurred_ones
    assert turned_ones ^ blurred_ones
    covered = 1 - masks_of(layers, size)
    for k, place in enumerate(turns.places.tolist()):
        amounts = {"angle": turns.angle, "shear_x": turns.shear_x, "shear_y": turns.shear_y}
        one = {name: value[k : k + 1] for name, value in amounts.items()}
        covered[place] = turned(covered[place][None, None], **one)[0, 0]
    for k, place in enumerate(blurs.places.tolist()):
        sigma = blurs.sigma[k : k + 1]
        after = smoothed(covered[place][None, None], sigma=sigma, radius=blurs.radius)
        covered[place] = after[0, 0]
    got = layers.merged(size=size, turns=turns, blurs=blurs, product=product)
    for row, depth in enumerate(depths):
        mine = torch.stack(
            [covered[layers.places[k][layers.rows[k].tolist().index(row)]] for k in range(depth)]
        )
        wanted = (1 - mine).prod(dim=0) if product else 1 - mine.sum(dim=0)
        torch.testing.assert_close(got[row], wanted.clamp(0, 1), atol=1e-6, rtol=0)


def test_each_layer_has_the_share_of_its_sample():
    half, depths = Half(), [1, 2, 3, 2]
    shares = torch.arange(12.0).view(4, 3) / 12
    draw_layers(shares, torch.tensor(depths), (half,), (1.0,), size=(2, 4), generator=stream(0))
    wanted = [shares[row, layer] for layer in range(3) for row in range(4) if depths[row] > layer]
    torch.testing.assert_close(1 - half.shares[0], torch.stack(wanted))


@dataclass(frozen=True)
class Tone:
    """A method whose masks show which one it is."""

    tone: float

    def keep(self, lam: Tensor, *, size: tuple[int, int], generator: torch.Generator) -> DenseMask:
        return DenseMask(torch.full((len(lam), 1, *size), 1 - self.tone))


DEPTHS = torch.tensor([1, 3, 2, 3, 1, 2] * 7)


def drawn_from(methods: tuple[object, ...], weights: tuple[float, ...], shares: Tensor) -> Layers:
    return draw_layers(
        shares, DEPTHS, methods, weights, size=(2, 3), generator=stream(0)  # type: ignore[arg-type]
    )  # fmt: skip


def test_each_place_holds_the_share_of_its_sample_and_depth():
    shares = torch.rand(len(DEPTHS), 3, generator=stream(1))
    layers = drawn_from((MixUp(), MixUp(), MixUp()), (1, 1, 1), shares)
    for depth in range(3):
        rows = [row for row, some in enumerate(DEPTHS.tolist()) if some > depth]
        assert layers.rows[depth].tolist() == rows
        wanted = shares[rows, depth][:, None, None].expand(-1, 2, 3)
        there = masks_of(layers, (2, 3))[layers.places[depth]]
        torch.testing.assert_close(there, 1 - wanted, atol=1e-6, rtol=0)
    assert sorted(torch.cat(layers.places).tolist()) == list(range(int(DEPTHS.sum())))


def test_methods_are_chosen_first_layers_first_and_lie_one_after_the_other():
    weights, tones = (2.0, 0.0, 1.0), (0.25, 0.5, 0.75)
    layers = drawn_from(tuple(map(Tone, tones)), weights, torch.rand(len(DEPTHS), 3))
    chosen = sampling.choices(weights, int(DEPTHS.sum()), generator=stream(0))
    covered = 1 - masks_of(layers, (2, 3))[:, 0, 0]
    found = covered[torch.cat(layers.places)].tolist()
    assert found == [tones[k] for k in chosen]
    assert covered.tolist() == sorted(found)
    assert set(found) == {0.25, 0.75}


def test_uneven_are_all_but_the_constant_masks():
    shares = torch.rand(len(DEPTHS), 3, generator=stream(1))
    layers = drawn_from((Half(), MixUp(), Half()), (1, 1, 1), shares)
    masks = masks_of(layers, (2, 3))
    even = (masks == masks[:, :1, :1]).flatten(1).all(dim=1)
    assert layers.uneven.tolist() == (~even).nonzero()[:, 0].tolist()
    assert 0 < len(layers.uneven) < len(masks)


def test_keep_is_a_layer_for_others():
    lam = torch.tensor([0.2, 1.0, 0.5])
    keep = only(MixUp(), k_max=2, merge="sum").keep(lam, size=(4, 4), generator=stream(0))
    torch.testing.assert_close(keep.means()[:, 0], lam)
    nested = only(MiAMix(), layers=1).plan(IMAGES, generator=stream(0)).check()
    assert nested.weight.isfinite().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": ()}, r"methods is \(\)"),
        ({"methods": (3,), "weights": (1.0,)}, r"methods is \(3,\)"),
        ({"weights": (1.0,)}, r"weights is \(1.0,\) for 5 methods"),
        ({"weights": (0.0,) * 5}, "not all 0"),
        ({"weights": (-1.0, 1.0, 1.0, 1.0, 1.0)}, "weights is -1.0"),
        ({"k_max": 0}, "k_max is 0"),
        ({"layers": 0}, "layers is 0"),
        ({"layers": 1.5}, "layers is 1.5"),
        ({"p_self": 1.5}, "p_self is 1.5"),
        ({"p_shear": -0.1}, "p_shear is -0.1"),
        ({"merge": "max"}, "merge is 'max'"),
        ({"views": 3}, "views is 3"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=f"MiAMix: .*{message}"):
        MiAMix(**settings)


def test_a_fixed_lam_overrides_alpha_of_zero():
    mixer = MiAMix(methods=(MixUp(),), weights=(1,), layers=1, alpha=0, lam=0.5, p_self=0.0)
    plan = mixer.plan(torch.zeros(4, 3, 8, 8), generator=stream(0))
    assert plan.weight.tolist() == [[0.5, 0.5]] * 4


def test_a_class_is_no_method():
    with pytest.raises(ValueError, match=r"methods is .*an object with a keep\(\.\.\.\) method"):
        MiAMix(methods=(MixUp,), weights=(1,))
