"""GMix, AGMix and SmoothMix: three ways to draw a spot."""

from __future__ import annotations

import math

import pytest
import torch

from mixwright.masks.mask_forms import SeparableMask
from mixwright.mixers import AGMix, GMix, SmoothMix
from mixwright.sampling import stream

IMAGES = torch.zeros(400, 1, 32, 32)


@pytest.mark.parametrize(("lam", "mean"), [(0.1, 0.082), (0.3, 0.205), (0.49, 0.295)])
def test_gmix_has_the_known_truncated_means_on_both_sides(lam, mean):
    many = torch.zeros(4000, 1, 32, 32)
    small = GMix(lam=lam).plan(many, generator=stream(0)).weight[:, 0]
    large = GMix(lam=1 - lam).plan(many, generator=stream(0)).weight[:, 0]
    assert small.mean().item() == pytest.approx(mean, abs=0.004)
    torch.testing.assert_close(1 - large, small, atol=1e-5, rtol=0)


def test_gmix_is_the_formula_of_the_authors_code():
    plan = GMix(lam=0.3).plan(torch.zeros(20, 1, 9, 14), generator=stream(0))
    rows, columns = torch.arange(9.0)[:, None], torch.arange(14.0)[None, :]
    for mask in plan.mask[:, 0]:
        peak = int(mask.argmax())
        cy, cx = peak // 14, peak % 14
        assert mask[cy, cx] == 1
        square = (rows - cy) ** 2 + (columns - cx) ** 2
        wanted = torch.exp(-math.pi * square / (0.3 * 9 * 14))
        torch.testing.assert_close(mask, wanted)


def test_gmix_peaks_lie_anywhere():
    masks = GMix(lam=0.2).plan(torch.zeros(3000, 1, 4, 6), generator=stream(0)).mask[:, 0]
    peaks = masks.flatten(1).argmax(dim=1).bincount(minlength=24)
    assert (peaks - 125).abs().max() < 4 * 125**0.5


@pytest.mark.parametrize("size", [(32, 32), (9, 24)])
def test_calibrated_gmix_has_the_share_that_was_asked_for(size):
    plan = GMix(calibrate=True).plan(torch.zeros(500, 1, *size), generator=stream(0)).check()
    assert plan.lam is not None
    torch.testing.assert_close(plan.weight[:, 0], plan.lam, atol=1e-4, rtol=0)
    assert isinstance(plan.mask_form, SeparableMask)


def test_agmix_without_correlation_is_gmix_at_any_angle():
    for lam in (0.2, 0.5, 0.9):
        turned = AGMix(q_max=0.0, lam=lam).plan(IMAGES, generator=stream(0))
        spot = GMix(lam=lam).plan(IMAGES, generator=stream(0))
        torch.testing.assert_close(turned.mask[:, 0], spot.mask[:, 0], atol=1e-5, rtol=0)


def moments(mask: torch.Tensor) -> tuple[float, float]:
    """Area of the ellipse of one standard deviation, and the ratio of its axes."""
    total = mask.sum()
    place = torch.stack(
        torch.meshgrid(*(torch.arange(n).double() for n in mask.shape), indexing="ij")
    ).flatten(1)
    weight = (mask.double() / total).flatten()
    centred = place - (place @ weight)[:, None]
    axes = torch.linalg.eigvalsh((centred * weight) @ centred.T).sqrt()
    return float(math.pi * axes.prod()), float(axes[1] / axes[0])


def test_agmix_ellipses_keep_their_area_and_stretch_to_six():
    images = torch.zeros(300, 1, 129, 129)
    masks = AGMix(lam=0.01).plan(images, generator=stream(0)).mask[:, 0]
    inside = [
        moments(mask)
        for mask in masks
        if max(mask[0].max(), mask[-1].max(), mask[:, 0].max(), mask[:, -1].max()) < 1e-6
    ]
    assert len(inside) > 50
    areas = torch.tensor([area for area, _ in inside])
    ratios = torch.tensor([ratio for _, ratio in inside])
    assert areas.std() < 0.02 * areas.mean()
    assert areas.mean().item() == pytest.approx(0.005 * 129**2, rel=0.02)  # half lies within
    assert ratios.min() < 1.2
    assert 5 < ratios.max() <= 6.3


def test_agmix_shrinks_without_normalisation_and_hardly_with_it():
    lam, means = 0.2, {}
    many = torch.zeros(2000, 1, 32, 32)
    for normalise in (True, False):
        for q_max in (0.0, 0.95):
            mixer = AGMix(lam=lam, q_max=q_max, normalise_area=normalise)
            means[normalise, q_max] = mixer.plan(many, generator=stream(0)).weight[:, 0].mean()
    assert means[True, 0.95] > 0.9 * means[True, 0.0]
    assert means[False, 0.95] < 0.85 * means[False, 0.0]


def lopsided(mixer: AGMix) -> list[float]:
    """How far each ellipse is from its mirror image at the diagonal through its peak."""
    found = []
    for mask in mixer.plan(torch.zeros(60, 1, 64, 64), generator=stream(0)).mask[:, 0]:
        centre = mask.argmin() if mixer.variant == "wide" else mask.argmax()
        cy, cx = divmod(int(centre), 64)
        reach = min(cy, cx, 63 - cy, 63 - cx)
        part = mask[cy - reach : cy + reach + 1, cx - reach : cx + reach + 1]
        found.append(float((part - part.T).abs().max()))
    return found


def test_agmix_turns_only_if_told():
    assert max(lopsided(AGMix(lam=0.05, rotate=False))) < 1e-5
    assert sum(found > 0.05 for found in lopsided(AGMix(lam=0.05))) > 30


@pytest.mark.parametrize("lam", [0.0, 0.25, 0.9])
def test_wide_agmix_is_the_formula_of_two_public_implementations(lam):
    """Own share 1 - exp(-d^T S^-1 d / (2 (1 - lam) H W)), whatever lam is."""
    mixer = AGMix(variant="wide", normalise_area=False, rotate=False, lam=lam)
    masks = mixer.plan(torch.zeros(30, 1, 9, 14), generator=stream(0)).mask[:, 0].double()
    rows, columns = torch.arange(9.0).double()[:, None], torch.arange(14.0).double()
    for mask in masks:
        cy, cx = divmod(int(mask.argmin()), 14)
        assert mask[cy, cx] == 0  # the partner shows at the centre
        dy, dx = rows - cy, columns - cx
        # Of S^-1 = [[1, -q], [-q, 1]] / (1 - q^2) one pixel tells q, and then the others follow.
        ny, nx = (1 if cy < 8 else -1), (1 if cx < 13 else -1)
        square = -2 * (1 - lam) * 126 * torch.log1p(-mask[cy, cx + nx])
        for q in ((1 - 1 / square).sqrt(), -(1 - 1 / square).sqrt()):
            form = (dx * dx + dy * dy - 2 * q * dx * dy) / (1 - q * q)
            wanted = 1 - torch.exp(-form / (2 * (1 - lam) * 126))
            if (mask[cy + ny, cx + nx] - wanted[cy + ny, cx + nx]).abs() < 1e-4:
                break
        torch.testing.assert_close(mask, wanted, atol=1e-3, rtol=0)


def test_wide_agmix_turns_the_same_ellipses():
    settings = {"variant": "wide", "normalise_area": False, "lam": 0.99}
    assert max(lopsided(AGMix(rotate=False, **settings))) < 1e-5
    assert sum(found > 0.05 for found in lopsided(AGMix(**settings))) > 20


@pytest.mark.parametrize(
    ("settings", "means"),
    [
        ({}, (0.0, 0.17, 0.72, 0.83, 1.0)),
        ({"variant": "wide"}, (0.18, 0.22, 0.30, 0.45, 1.0)),
        ({"variant": "wide", "normalise_area": False}, (0.22, 0.27, 0.35, 0.50, 1.0)),
    ],
)
def test_own_shares_of_agmix_are_those_of_its_table(settings, means):
    many = torch.zeros(3000, 1, 32, 32)
    for lam, mean in zip((0.0, 0.25, 0.5, 0.75, 1.0), means, strict=True):
        own = AGMix(lam=lam, **settings).plan(many, generator=stream(1)).weight[:, 0]
        assert own.mean().item() == pytest.approx(mean, abs=0.012)


def test_smoothmix_partners_have_the_known_share_and_labels_follow():
    plan = SmoothMix().plan(torch.zeros(4000, 1, 32, 32), generator=stream(0))
    share = plan.weight[:, 1]
    assert share.mean().item() == pytest.approx(0.43, abs=0.01)
    assert share.min().item() == pytest.approx(0.12, abs=0.02)
    assert share.max().item() == pytest.approx(0.73, abs=0.03)
    torch.testing.assert_close(plan.mask[:, 1].mean(dim=(1, 2)), share, atol=1e-5, rtol=0)


def test_smoothmix_shows_what_its_labels_say():
    """Westlake-AI/openmixup fails here: its weights are swapped, as ``invert_labels`` says."""
    images = torch.eye(2)[:, :1, None, None].expand(2, 1, 16, 16)
    plan = SmoothMix().plan(images, generator=stream(0))
    torch.testing.assert_close(plan.images(images)[0].mean(), plan.weight[0, 0])
    wrong = SmoothMix(invert_labels=True).plan(images, generator=stream(0))
    torch.testing.assert_close(wrong.images(images)[0].mean(), wrong.weight[0, 1])
    assert torch.equal(wrong.mask, plan.mask)


@pytest.mark.parametrize("size", [(16, 16), (12, 40), (40, 12)])
def test_smoothmix_spots_have_a_sigma_of_the_shorter_side(size):
    plan = SmoothMix(sigma=(0.3, 0.3)).plan(torch.zeros(50, 1, *size), generator=stream(0))
    sigma = 0.3 * min(size)
    rows, columns = (torch.arange(float(side)) for side in size)
    for mask in plan.mask[:, 1]:
        peak = int(mask.argmax())
        square = (rows - peak // size[1])[:, None] ** 2 + (columns - peak % size[1])[None] ** 2
        torch.testing.assert_close(mask, torch.exp(-square / (2 * sigma**2)), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: AGMix(q_max=1.0), "AGMix: q_max is 1.0"),
        (lambda: AGMix(q_max=-0.1), "AGMix: q_max is -0.1"),
        (lambda: AGMix(variant="broad"), "AGMix: variant is 'broad'"),
        (lambda: SmoothMix(sigma=(0.0, 0.5)), "SmoothMix: sigma is 0.0"),
        (lambda: SmoothMix(sigma=(0.5, 0.25)), r"SmoothMix: sigma is \(0.5, 0.25\)"),
    ],
)
def test_wrong_settings_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
