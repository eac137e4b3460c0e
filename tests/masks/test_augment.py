"""Rotation, shear and smoothing against loops over pixels."""

import math

import pytest
import torch

from masks.compiled import assert_compiles
from mixwright.masks.augment import smoothed, turned


def slow_turned(plane: torch.Tensor, angle: float, sx: float, sy: float) -> torch.Tensor:
    """Bilinear lookup at the inverse of R [[1, sx], [sy, 1]], in pixels from the centre."""
    height, width = plane.shape
    matrix = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    ) @ torch.tensor([[1.0, sx], [sy, 1.0]])
    inverse = torch.linalg.inv(matrix.double())
    out = torch.zeros(height, width)
    for r in range(height):
        for c in range(width):
            place = torch.tensor([c - (width - 1) / 2, r - (height - 1) / 2], dtype=torch.double)
            x, y = (inverse @ place).tolist()
            x, y = x + (width - 1) / 2, y + (height - 1) / 2
            for i in (math.floor(y), math.floor(y) + 1):
                for j in (math.floor(x), math.floor(x) + 1):
                    if 0 <= i < height and 0 <= j < width:
                        out[r, c] += plane[i, j] * (1 - abs(y - i)) * (1 - abs(x - j))
    return out


def slow_smoothed(plane: torch.Tensor, sigma: float, radius: int) -> torch.Tensor:
    height, width = plane.shape
    kernel = [math.exp(-(k**2) / (2 * sigma**2)) for k in range(-radius, radius + 1)]
    kernel = [value / sum(kernel) for value in kernel]

    def line(values: list[float]) -> list[float]:
        last = len(values) - 1
        return [
            sum(
                weight * values[min(max(i + k, 0), last)]
                for weight, k in zip(kernel, range(-radius, radius + 1), strict=True)
            )
            for i in range(last + 1)
        ]

    rows = torch.tensor([line(plane[r].tolist()) for r in range(height)])
    return torch.tensor([line(rows[:, c].tolist()) for c in range(width)]).T


@pytest.mark.parametrize(("height", "width"), [(6, 6), (5, 9), (8, 3)])
@pytest.mark.parametrize(("angle", "sx", "sy"), [(0.7, 0, 0), (0, 0.3, -0.2), (-2.1, 0.1, 0.25)])
def test_turned_is_a_lookup_in_pixels(height, width, angle, sx, sy):
    mask = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(0))
    one = torch.ones(2)
    got = turned(mask, angle=angle * one, shear_x=sx * one, shear_y=sy * one)
    wanted = torch.stack([slow_turned(plane, angle, sx, sy) for plane in mask[:, 0]])
    torch.testing.assert_close(got[:, 0], wanted, atol=1e-5, rtol=0)


def test_a_quarter_turn_of_a_square_image_is_exact_and_of_another_leaves_zeros():
    zero, quarter = torch.zeros(1), torch.full((1,), math.pi / 2)
    mask = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    got = turned(mask, angle=quarter, shear_x=zero, shear_y=zero)
    torch.testing.assert_close(got, mask.rot90(-1, dims=(2, 3)), atol=1e-5, rtol=0)
    bar = turned(torch.ones(1, 1, 4, 12), angle=quarter, shear_x=zero, shear_y=zero)[0, 0]
    torch.testing.assert_close(bar[:, 4:8], torch.ones(4, 4), atol=1e-5, rtol=0)
    assert bar[:, :4].max() < 1e-5
    assert bar[:, 8:].max() < 1e-5


@pytest.mark.parametrize(("height", "width"), [(7, 7), (4, 10), (9, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize(("sigma", "radius"), [(0.5, 2), (2.0, 6), (3.0, 9)])
def test_smoothed_is_a_convolution_with_repeated_borders(height, width, sigma, radius):
    mask = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0))
    got = smoothed(mask, sigma=torch.tensor([sigma]), radius=radius)
    torch.testing.assert_close(
        got[0, 0], slow_smoothed(mask[0, 0], sigma, radius), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(("height", "width"), [(128, 128), (131, 260)])
def test_large_masks_are_smoothed_as_scipy_does(height, width):
    ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is the oracle")
    mask = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(0))
    got = smoothed(mask, sigma=torch.tensor([2.0, 7.5]), radius=23)
    for one, plane, sigma in zip(got, mask, (2.0, 7.5), strict=True):
        wanted = ndimage.gaussian_filter(
            plane[0].double().numpy(), sigma, mode="nearest", radius=23
        )
        torch.testing.assert_close(one[0], torch.tensor(wanted).float(), atol=1e-5, rtol=0)


def test_each_mask_has_its_own_sigma_and_zero_changes_nothing():
    mask = torch.rand(3, 1, 6, 8, generator=torch.Generator().manual_seed(0))
    got = smoothed(mask, sigma=torch.tensor([0.0, 1.0, 2.0]), radius=6)
    assert torch.equal(got[0], mask[0])
    for b, sigma in ((1, 1.0), (2, 2.0)):
        alone = smoothed(mask[b : b + 1], sigma=torch.tensor([sigma]), radius=6)
        torch.testing.assert_close(got[b], alone[0])
    constant = smoothed(torch.full((3, 1, 6, 8), 0.3), sigma=torch.tensor([0, 1, 2]), radius=6)
    torch.testing.assert_close(constant, torch.full((3, 1, 6, 8), 0.3))


def test_augmentations_compile():
    mask, amount = torch.rand(2, 1, 5, 6), torch.tensor([0.1, 0.3])
    assert_compiles(lambda m, a: turned(m, angle=a, shear_x=a, shear_y=-a), mask, amount)
    assert_compiles(lambda m, a: smoothed(m, sigma=a, radius=3), mask, amount)


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 3, 4, 4)])
def test_wrong_shapes_are_named(shape):
    amount = torch.zeros(2)
    with pytest.raises(ValueError, match="turned: the mask has shape"):
        turned(torch.zeros(shape), angle=amount, shear_x=amount, shear_y=amount)
    with pytest.raises(ValueError, match="smoothed: the mask has shape"):
        smoothed(torch.zeros(shape), sigma=amount, radius=1)
