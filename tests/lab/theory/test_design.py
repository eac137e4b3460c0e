"""Designed masks: closed forms, what is attainable, and maps that come out as predicted."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.theory.design import (
    KERNELS,
    Design,
    FieldMix,
    budget,
    design_mixer,
    ellipse,
    map_distance,
    near,
    ring,
    wanted_map,
)
from mixwright.lab.theory.design.design import pair_mean
from mixwright.lab.theory.design.law import correlation, likeness, likeness_range, orthant
from mixwright.lab.theory.design.spectrum import (
    nearest_spectrum,
    pair_shares,
    project_simplex,
    spectrum_correlation,
)
from mixwright.lab.theory.moments import Moments, second_moments
from mixwright.lab.theory.plans import draw_plans
from mixwright.masks.fourier import soft_rank_mask
from mixwright.mixers import FMix, HMix, Mixer, MixUp
from mixwright.sampling import stream


def measured(mixer: Mixer, side: int, *, count: int = 2048, seed: int = 9) -> Moments:
    images = torch.zeros(128, 1, side, side)
    drawn = draw_plans(mixer, images, count=count, generator=stream(seed))
    return second_moments((batch.plan for batch in drawn), (side, side))


def blurred(side: int, width: float) -> Tensor:
    """A spectrum of smooth fields."""
    f = torch.fft.fftfreq(2 * side, dtype=torch.float64)
    power = torch.exp(-(f[:, None].square() + f.square()) * width**2)
    return power / power.mean()


# ------------------------------------------------------------------ closed forms


@pytest.mark.parametrize("t", [-2.5, -0.3, 0.0, 1.1, 4.0])
@pytest.mark.parametrize("rho", [-0.999, -0.6, -0.1, 0.0, 0.3, 0.9, 0.999])
def test_orthants_agree_with_scipy(t, rho):
    from scipy.stats import multivariate_normal

    wanted = multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([-t, -t])
    got = float(orthant(torch.tensor(t), torch.tensor(rho, dtype=torch.float64)))
    assert got == pytest.approx(wanted, abs=2e-8)


def test_orthants_at_the_ends():
    t = torch.tensor([-1.0, 0.0, 0.5, math.inf])
    above = torch.special.ndtr(-t).double()
    torch.testing.assert_close(orthant(t, torch.tensor(1.0)), above, atol=1e-6, rtol=0)
    opposite = (2 * above - 1).clamp_min(0)
    torch.testing.assert_close(orthant(t, torch.tensor(-1.0)), opposite, atol=1e-6, rtol=0)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_likeness_is_the_mean_of_orthants_over_the_law_of_lam(alpha):
    from scipy.stats import beta

    lam = torch.from_numpy(beta.ppf((torch.arange(4000).double() + 0.5) / 4000, alpha, alpha))
    for rho in (-0.5, 0.4, 0.95):
        both = orthant(torch.special.ndtri(1 - lam), torch.tensor(rho).double())
        wanted = float((both - lam.square()).mean()) / budget(alpha)
        assert float(likeness(torch.tensor(rho), alpha=alpha)) == pytest.approx(wanted, abs=2e-3)


@pytest.mark.parametrize("softness", [0.05, 0.2, 0.5])
def test_likeness_of_soft_masks_is_that_of_drawn_ones(softness):
    rng = stream(0)
    rho, count = 0.7, 4000
    one = torch.randn(60, count, generator=rng)
    other = rho * one + math.sqrt(1 - rho**2) * torch.randn(60, count, generator=rng)
    lam = (torch.arange(60) + 0.5) / 60  # alpha 1
    kept = (lam * count).round().long()
    masks = [soft_rank_mask(v[:, None], kept, softness=softness)[:, 0, 0] for v in (one, other)]
    for pair, r in ((masks, rho), ((masks[0], masks[0]), 1.0)):
        product = (pair[0] * pair[1]).mean(dim=1) - (kept / count).square()
        got = float(likeness(torch.tensor(r), alpha=1.0, softness=softness))
        assert got == pytest.approx(float(product.mean()) * 6, abs=0.01)


def test_soft_masks_of_no_width_are_those_of_0_and_1():
    rho = torch.tensor([-0.8, -0.2, 0.3, 0.8])
    soft, hard = (likeness(rho, alpha=1.0, softness=width) for width in (1e-4, 0.0))
    torch.testing.assert_close(soft, hard, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("alpha", "softness"), [(1.0, 0.0), (0.4, 0.1), (1.0, 0.5)])
def test_correlation_is_the_inverse_of_likeness(alpha, softness):
    rho = torch.linspace(-0.98, 0.98, 41, dtype=torch.float64)
    there = likeness(rho, alpha=alpha, softness=softness)
    assert (there.diff() > 0).all()
    torch.testing.assert_close(
        correlation(there, alpha=alpha, softness=softness), rho, atol=1e-3, rtol=0
    )
    low, high = likeness_range(alpha, softness)
    assert low < 0 < high <= 1
    assert correlation(torch.tensor([-9.0, 9.0]), alpha=alpha).tolist() == [-1.0, 1.0]


def test_opposite_pixels_have_half_a_budget_less():
    assert likeness_range(1.0)[0] == pytest.approx(-0.5, abs=2e-3)
    assert likeness_range(1.0)[1] == pytest.approx(1, abs=1e-9)


# ------------------------------------------------------------------ spectra


def test_the_simplex_projection_is_the_nearest_point():
    power = torch.randn(40, generator=stream(0), dtype=torch.float64) * 2
    low, high = power.min() - 2, power.max()
    for _ in range(80):  # the level at which the rest has mean 1
        level = (low + high) / 2
        low, high = (level, high) if (power - level).clamp_min(0).mean() > 1 else (low, level)
    torch.testing.assert_close(project_simplex(power), (power - level).clamp_min(0))


def test_a_correlation_that_a_field_has_is_met():
    power = blurred(8, 6.0)
    rho = spectrum_correlation(power)
    found = nearest_spectrum(rho)
    assert map_distance(spectrum_correlation(found), rho) < 1e-7


def test_one_that_no_field_has_is_met_better_than_by_cutting_it_off():
    rho = 2 * (wanted_map(lambda dy, dx: (torch.hypot(dy, dx) < 0.3).double(), size=(8, 8)) * 6 - 1)
    rho[7, 7] = 1
    found = nearest_spectrum(rho)
    assert found.min() >= 0
    assert float(found.mean()) == pytest.approx(1)
    torus = torch.zeros(16, 16, dtype=torch.float64)
    place = torch.arange(-7, 8) % 16
    torus[place[:, None], place] = rho
    cut = torch.fft.fft2(torus).real.clamp_min(0)
    assert torch.fft.fft2(torus).real.min() < -0.1
    far, near_by = (map_distance(spectrum_correlation(power), rho) for power in (cut, found))
    assert near_by < 0.9 * far


def test_shares_of_pairs_add_up():
    pairs = torch.zeros(5, 3)
    for a, b, c, d in itertools.product(range(3), range(2), range(3), range(2)):
        pairs[2 + c - a, 1 + d - b] += 1
    torch.testing.assert_close(pair_shares(pairs).float(), pairs / 36)


# ------------------------------------------------------------------ maps


def test_kernels_are_brought_to_budget_and_diagonal():
    for alpha, contrast in ((1.0, 1.0), (0.3, 0.25), (2.0, 0.0)):
        for make in KERNELS.values():
            wanted = wanted_map(make(), size=(12, 16), alpha=alpha, contrast=contrast)
            assert wanted.shape == (23, 31)
            assert pair_mean(wanted) == pytest.approx(budget(alpha))
            assert float(wanted[11, 15]) == pytest.approx((1 + contrast) * budget(alpha))
    assert budget(1.0) == pytest.approx(1 / 6)
    assert budget(0.2) == pytest.approx(0.0714286)


@pytest.mark.parametrize("softness", [0.0, 0.2])
def test_depth_draws_the_map_to_the_budget_exactly(softness):
    maps = []
    for depth in (1.0, 0.6):
        made = Design.of(blurred(8, 8.0), alpha=1.0, depth=depth, softness=softness)
        maps.append(measured(FieldMix(design=made), 8, count=256))
    deep, half = maps
    assert half.budget == pytest.approx(deep.budget, abs=1e-7)
    excess = (deep.a - deep.budget) * 0.36
    torch.testing.assert_close(half.a - half.budget, excess, atol=1e-5, rtol=0)


def test_achieved_is_as_predicted_within_the_error_of_drawing():
    made = design_mixer(near(0.06), size=(16, 16), rounds=0, masks=4096)
    gap = (made.achieved - made.attainable).abs()
    assert (gap <= 5 * made.error + 0.03 * made.budget).all()
    assert float(made.achieved[15, 15]) == pytest.approx(2 / 6, abs=0.008)
    assert pair_mean(made.achieved) == pytest.approx(made.budget, abs=0.004)


def test_rounds_make_up_for_exact_counts():
    trusting, measuring = (
        design_mixer(near(0.2), size=(16, 16), rounds=rounds, masks=2048) for rounds in (0, 2)
    )
    assert measuring.distance < 0.8 * trusting.distance
    assert measuring.distance < 0.05


def test_known_methods_are_imitated():
    for mixer, most in ((FMix(), 0.03), (HMix(), 0.02), (MixUp(), 0.01)):
        made = design_mixer(measured(mixer, 12).a, rounds=1, masks=2048)
        assert made.distance < most + made.noise, mixer
    assert made.design.depth == 0  # MixUp
    mask = made.mixer.plan(torch.zeros(4, 1, 12, 12), generator=stream(0)).mask
    assert mask.flatten(2).std(dim=2).max() == 0


def test_an_even_map_is_mixup_and_a_law_is_taken_from_the_mean():
    flat = torch.full((7, 7), budget(0.4))
    made = design_mixer(flat, masks=256)
    assert made.mixer.alpha == pytest.approx(0.4)
    assert made.design.depth == 0
    torch.testing.assert_close(made.attainable, flat.double())


def test_directions_and_rings_are_kept():
    wide = design_mixer(ellipse(0.06, 0.5), size=(16, 16), rounds=0, masks=1024)
    assert wide.achieved[15, 21] > wide.achieved[21, 15] + 0.3 * wide.budget
    spots = design_mixer(ring(0.5), size=(16, 16), rounds=0, masks=1024)
    assert spots.achieved[15, 19] < spots.achieved[15, 23] - 0.1 * spots.budget


def test_a_design_is_a_matter_of_shares_of_the_sides():
    made = Design.of(blurred(16, 12.0), alpha=1.0)
    own, twice = (measured(FieldMix(design=made), side, count=4096) for side in (16, 32))
    for far in (2, 4, 8):
        assert twice.at(0, 2 * far) == pytest.approx(own.at(0, far), abs=0.012)


def test_one_seed_gives_one_design_and_another_another():
    a, b, c = (
        design_mixer(near(), size=(8, 8), rounds=1, masks=256, seed=seed) for seed in (0, 0, 1)
    )
    assert a.mixer == b.mixer
    assert torch.equal(a.achieved, b.achieved)
    assert a.mixer != c.mixer


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wanted": torch.ones(4, 4)}, "shape"),
        ({"wanted": torch.full((3, 3), math.nan)}, "finite"),
        ({"wanted": torch.arange(9.0).view(3, 3) / 100}, "mirror image"),
        ({"wanted": torch.ones(3, 3)}, "mean of 1 over"),
        ({"wanted": lambda dy, dx: dy}, "not above its mean"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"contrast": 1.5}, "contrast is 1.5"),
        ({"rounds": -1}, "rounds is -1"),
        ({"masks": 1}, "masks is 1"),
    ],
)
def test_what_cannot_be_designed_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        design_mixer(**({"wanted": near(), "size": (4, 4)} | change))


# ------------------------------------------------------------------ as a METHOD, on a page


@pytest.mark.parametrize("address", ["mixwright", "mixwright.mixers", "mixwright.theory.design"])
@pytest.mark.filterwarnings("ignore:mixwright.theory:DeprecationWarning")  # of older records
def test_a_design_in_a_file_is_used_as_a_method(address, tmp_path):
    path = tmp_path / "design.json"
    made = Design.of(blurred(8, 6.0), alpha=1.0)
    made.save(path)
    method = parse_method(f"{address}:FieldMix:design={path},alpha=0.5")
    assert method.text == f"{address}:FieldMix:alpha=0.5,design={path}"
    assert method.mixer() == FieldMix(design=made, alpha=0.5)
