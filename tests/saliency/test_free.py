"""Saliency without a model: spectral residual and fine-grained, against slow versions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mixwright.saliency.fine_grained import FineGrained
from mixwright.saliency.saliency import normalised
from mixwright.saliency.spectral import SpectralResidual
from mixwright.sampling import stream

FREE = (SpectralResidual(), FineGrained(), FineGrained(scaling="each"))
free = pytest.mark.parametrize("provider", FREE, ids=["spectral", "fine_grained", "each"])


def luma(image: Tensor) -> np.ndarray:
    red, green, blue = image.double().numpy()
    plane = 0.299 * red + 0.587 * green + 0.114 * blue
    return plane / np.abs(plane).max()


def slow_residual(plane: np.ndarray) -> np.ndarray:
    """The spectral residual by sums over frequencies, not yet blurred."""
    height, width = plane.shape
    rows, columns = (
        np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in plane.shape
    )
    spectrum = rows @ plane @ columns.T
    level = np.log(np.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-10))
    mean = np.zeros_like(level)
    for r in range(height):
        for c in range(width):
            near = [
                level[min(max(r + i, 0), height - 1), min(max(c + j, 0), width - 1)]
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            ]
            mean[r, c] = sum(near) / 9
    changed = np.exp(level - mean) * np.exp(1j * np.angle(spectrum))
    return np.abs(rows.conj() @ changed @ columns.conj().T / (height * width))


@pytest.mark.parametrize("size", [(16, 16), (9, 14), (5, 1)])
def test_the_spectral_residual_is_that_of_its_formula(size):
    images = torch.randn(2, 3, *size, generator=stream(0))
    got = SpectralResidual(blur=1)(images)
    for b in range(2):
        wanted = torch.from_numpy(slow_residual(luma(images[b]))).float()
        torch.testing.assert_close(got[b], wanted, rtol=1e-3, atol=1e-4 * float(wanted.mean()))


def test_the_spectral_map_is_blurred_by_a_gaussian():
    images = torch.randn(1, 3, 16, 16, generator=stream(0))
    raw = SpectralResidual(blur=1)(images)[0].double()
    weight = torch.tensor([math.exp(-0.5 * (k / 2.0) ** 2) for k in range(-2, 3)]).double()
    kernel = torch.outer(weight, weight) / weight.sum() ** 2
    wanted = F.conv2d(F.pad(raw[None, None], (2, 2, 2, 2), mode="reflect"), kernel[None, None])
    got = SpectralResidual(blur=5, sigma=2.0)(images)
    torch.testing.assert_close(got, wanted[0].float(), rtol=1e-4, atol=1e-8)


def test_large_images_are_reduced_and_keep_their_shape():
    images = torch.rand(1, 3, 40, 20, generator=stream(0))
    small = F.interpolate(images, (16, 8), mode="bilinear", antialias=True)
    wanted = F.interpolate(SpectralResidual()(small)[None], (40, 20), mode="bilinear")[0]
    got = SpectralResidual(size=16)(images)
    torch.testing.assert_close(normalised(got), normalised(wanted), rtol=1e-3, atol=1e-6)
    assert SpectralResidual(size=4)(torch.rand(1, 3, 1, 50)).shape == (1, 1, 50)


def slow_fine_grained(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of differences to the mean of boxes, pixel by pixel: brighter and darker."""
    height, width = plane.shape
    for _ in range(2):
        wide = np.pad(plane, 1, mode="reflect")
        wide = (wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4
        plane = (wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4
    above, below = np.zeros_like(plane), np.zeros_like(plane)
    for reach in (12, 24, 48, 28, 56, 112):
        for r in range(height):
            for c in range(width):
                box = plane[
                    max(r - reach + 1, 0) : r + reach + 1, max(c - reach + 1, 0) : c + reach + 1
                ]
                others = (box.sum() - plane[r, c]) / (box.size - 1)
                above[r, c] += max(plane[r, c] - others, 0)
                below[r, c] += max(others - plane[r, c], 0)
    return above, below


@pytest.mark.parametrize("size", [(16, 16), (31, 17)])
def test_fine_grained_saliency_is_that_of_its_formula(size):
    images = torch.rand(1, 3, *size, generator=stream(0))
    above, below = slow_fine_grained(luma(images[0]))
    joint = torch.from_numpy(above + below).float()
    torch.testing.assert_close(FineGrained()(images)[0], joint, rtol=1e-4, atol=1e-4)
    each = torch.from_numpy(above / above.max() + below / below.max()).float()
    torch.testing.assert_close(FineGrained(scaling="each")(images)[0], each, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(600, 3), (2, 1031), (540, 515)])
def test_fine_grained_saliency_of_long_sides(size):
    """The same as by sums over whole tables in float64, an independent way to add up boxes."""
    images = torch.rand(2, 1, *size, generator=stream(4))
    plane = (images / images.amax(dim=(1, 2, 3), keepdim=True))[:, 0].double().numpy()
    for _ in range(2):
        for axis in (1, 2):
            wide = np.pad(plane, [(1, 1) if k == axis else (0, 0) for k in range(3)], "reflect")
            first, middle, last = (
                np.take(wide, np.arange(k, k + plane.shape[axis]), axis=axis) for k in range(3)
            )
            plane = (first + 2 * middle + last) / 4
    corner = np.pad(plane.cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))
    wanted = np.zeros_like(plane)
    row, column = (np.arange(side) for side in size)
    for reach in (12, 24, 48, 28, 56, 112):
        top, left = np.maximum(row - reach + 1, 0), np.maximum(column - reach + 1, 0)
        end, right = np.minimum(row + reach + 1, size[0]), np.minimum(column + reach + 1, size[1])
        box = (
            corner[:, end][:, :, right] - corner[:, top][:, :, right]
            - corner[:, end][:, :, left] + corner[:, top][:, :, left]
        )  # fmt: skip
        area = (end - top)[:, None] * (right - left)
        wanted += np.abs(plane - (box - plane) / (area - 1))
    got = FineGrained()(images)
    torch.testing.assert_close(got, torch.from_numpy(wanted).float(), rtol=1e-4, atol=1e-4)


def test_the_work_of_fine_grained_saliency_grows_as_the_pixels_do(monkeypatch):
    """Multiplications, by the shapes of the products: twice the pixels, not 4 times the work."""
    work = list[int]()
    multiply = torch.Tensor.__matmul__

    def counted(one, other):
        work.append(one.numel() * other.shape[-1])
        return multiply(one, other)

    monkeypatch.setattr(torch.Tensor, "__matmul__", counted)
    found = []
    for side in (2048, 4096):
        work.clear()
        FineGrained()(torch.rand(1, 1, side, 64, generator=stream(0)))
        found.append(sum(work))
    assert 1.9 < found[1] / found[0] < 2.1


@pytest.mark.parametrize(
    ("provider", "least"),
    [(SpectralResidual(), 0.75), (FineGrained(), 1.0)],
    ids=["spectral", "fine_grained"],
)
@pytest.mark.parametrize("bright", [0.9, 0.0])
def test_an_object_on_a_noisy_ground_has_the_peak(provider, least, bright):
    generator = stream(3)
    count, side = 40, 32
    images = torch.randn(count, 3, side, side, generator=generator) * 0.04 + 0.45
    corner = torch.randint(2, 22, (count, 2), generator=generator).tolist()
    for image, (r, c) in zip(images, corner, strict=True):
        image[:, r : r + 7, c : c + 7] = bright
    peaks = provider(images).flatten(1).argmax(dim=1).tolist()
    inside = [
        r - 1 <= peak // side < r + 8 and c - 1 <= peak % side < c + 8
        for peak, (r, c) in zip(peaks, corner, strict=True)
    ]
    assert sum(inside) >= least * count  # 0.08 by chance


@free
@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (2, 1, 2, 3), (1, 4, 17, 1), (3, 2, 9, 20)])
def test_any_size_and_number_of_channels_will_do(provider, shape):
    found = provider(torch.rand(shape, generator=stream(0)))
    assert found.shape == (shape[0], *shape[2:])
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    assert (found >= 0).all()


@free
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float64])
def test_any_dtype_will_do_and_the_scale_of_pixels_does_not_matter(provider, dtype):
    images = torch.randint(256, (2, 3, 12, 12), generator=stream(0)).to(dtype)
    found = provider(images)
    assert found.dtype == torch.float32
    wanted = provider(images.double().float() / 255)
    torch.testing.assert_close(normalised(found), normalised(wanted), rtol=1e-3, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(provider(images), found)


@free
@pytest.mark.parametrize("value", [0.0, 0.3, -7.0, 1e20])
def test_images_that_are_flat_up_to_rounding_have_flat_maps(provider, value):
    images = torch.full((2, 3, 37, 21), value)
    images[1] *= 1 + 2e-7 * torch.rand(37, 21, generator=stream(0))
    found = normalised(provider(images))
    torch.testing.assert_close(found, torch.full((2, 37, 21), 1 / 777), rtol=1e-3, atol=0)


@free
def test_a_bad_image_harms_no_other(provider):
    images = torch.rand(3, 3, 8, 8, generator=stream(0))
    wanted = provider(images)
    images[1, 0, 0, 0] = torch.nan
    found = provider(images)
    torch.testing.assert_close(found[[0, 2]], wanted[[0, 2]])
    torch.testing.assert_close(normalised(found)[1], torch.full((8, 8), 1 / 64))


@free
def test_no_value_is_read(provider, monkeypatch):
    assert provider(torch.empty(4, 3, 8, 6, device="meta")).shape == (4, 8, 6)


@free
def test_nothing_is_differentiated(provider):
    assert not provider(torch.rand(2, 3, 8, 8, requires_grad=True)).requires_grad


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="FineGrained: scaling is 'x'"):
        FineGrained(scaling="x")  # type: ignore[arg-type]
    for argument, value in (("blur", 2), ("sigma", 0.0), ("size", 0), ("size", True)):
        with pytest.raises(ValueError, match=f"SpectralResidual: {argument} is"):
            SpectralResidual(**{argument: value})
