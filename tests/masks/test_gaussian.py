"""Bumps against the formula written out with matrices."""

import math

import numpy as np
import pytest
import torch

from masks.compiled import assert_compiles
from mixwright.masks.gaussian import (
    area_variance,
    calibrated_variance,
    gaussian_factors,
    turned_bump,
)


def bump(cy, cx, variance, *, height, width):
    rows, columns = gaussian_factors(cy, cx, variance, height=height, width=width)
    return rows[:, :, None] * columns[:, None, :]


def slow_bump(cy, cx, covariance, *, height, width):
    """exp(-d^T S^-1 d / 2) with d = (x, y), pixel by pixel."""
    inverse = np.linalg.inv(covariance)
    out = np.zeros((height, width))
    for r in range(height):
        for c in range(width):
            d = np.array([c - cx, r - cy])
            out[r, c] = math.exp(-0.5 * d @ inverse @ d)
    return torch.from_numpy(out).float()


@pytest.mark.parametrize("q", [0.0, 0.5, -0.9])
@pytest.mark.parametrize("angle", [0.0, 0.4, 2.2])
def test_turned_bump_is_the_formula(q, angle):
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    wanted = slow_bump(3, 7, 9.0 * turn @ np.array([[1, q], [q, 1]]) @ turn.T, height=11, width=14)
    one = torch.ones(1)
    got = turned_bump(
        cy=3 * one, cx=7 * one, variance=9 * one, correlation=q * one, angle=angle * one,
        height=11, width=14,
    )  # fmt: skip
    torch.testing.assert_close(got[0], wanted, atol=1e-5, rtol=1e-4)
    assert got[0, 3, 7] == 1


def test_factors_are_the_round_bump_at_any_angle():
    cy, cx = torch.tensor([0.0, 4.0, 12.0]), torch.tensor([1.0, 0.0, 7.0])
    variance = torch.tensor([0.5, 20.0, 300.0])
    turned = turned_bump(
        cy=cy, cx=cx, variance=variance, correlation=0 * cy, angle=cx, height=13, width=8
    )
    torch.testing.assert_close(turned, bump(cy, cx, variance, height=13, width=8))


def test_a_variance_of_zero_lights_one_pixel():
    centre = torch.tensor([2]), torch.tensor([0])
    rows, columns = gaussian_factors(*centre, torch.zeros(1), height=4, width=3)
    assert rows.tolist() == [[0, 0, 1, 0]]
    assert columns.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_area_is_what_was_asked_where_no_tail_is_cut(share):
    size = 401
    variance = area_variance(torch.tensor([share]) * 0.01, height=size, width=size)
    middle = torch.tensor([size // 2])
    covered = bump(middle, middle, variance, height=size, width=size).mean()
    assert covered.item() == pytest.approx(share * 0.01, rel=1e-3)


@pytest.mark.parametrize(("share", "mean"), [(0.1, 0.082), (0.3, 0.205), (0.49, 0.295)])
def test_cut_tails_leave_the_known_means(share, mean):
    cy, cx = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    variance = area_variance(torch.full((1024,), share), height=32, width=32)
    covered = bump(cy.flatten(), cx.flatten(), variance, height=32, width=32).mean()
    assert covered.item() == pytest.approx(mean, abs=0.0015)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (9, 40), (224, 17)])
def test_calibrated_bumps_cover_their_share(height, width):
    rng = torch.Generator().manual_seed(0)
    share = torch.rand(300, generator=rng) * 0.98 + 0.015
    cy = torch.randint(height, (300,), generator=rng)
    cx = torch.randint(width, (300,), generator=rng)
    variance = calibrated_variance(share, cy=cy, cx=cx, height=height, width=width)
    covered = bump(cy, cx, variance, height=height, width=width).mean(dim=(1, 2))
    torch.testing.assert_close(covered, share, atol=1e-4, rtol=0)


def test_calibration_is_finite_at_its_ends():
    share = torch.tensor([0.0, 1e-8, 1.0])
    corner = torch.zeros(3, dtype=torch.long)
    variance = calibrated_variance(share, cy=corner, cx=corner, height=8, width=8)
    covered = bump(corner, corner, variance, height=8, width=8).mean(dim=(1, 2))
    torch.testing.assert_close(covered, torch.tensor([1 / 64, 1 / 64, 1.0]), atol=1e-3, rtol=0)


def test_contours_have_the_axes_of_the_covariance():
    one, q = torch.ones(1), 0.8
    plane = turned_bump(
        cy=100 * one, cx=100 * one, variance=100 * one, correlation=q * one, angle=0 * one,
        height=201, width=201,
    )[0].double()  # fmt: skip
    place = torch.arange(201.0).double() - 100
    y, x = torch.meshgrid(place, place, indexing="ij")
    along, across = ((plane * (x + s * y).square()).sum() for s in (1, -1))
    assert math.sqrt(along / across) == pytest.approx(math.sqrt((1 + q) / (1 - q)), rel=1e-3)


def test_bumps_compile():
    c, v = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 5.0])
    assert_compiles(lambda c, v: bump(c, c, v, height=5, width=6), c, v)
    assert_compiles(lambda c, s: calibrated_variance(s, cy=c, cx=c, height=5, width=6), c, v / 10)
    assert_compiles(
        lambda c, v: turned_bump(
            cy=c, cx=c, variance=v, correlation=v / 9, angle=c, height=5, width=6
        ),
        c,
        v,
    )
