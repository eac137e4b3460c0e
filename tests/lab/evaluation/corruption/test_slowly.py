"""Each corruption again, written slow and obvious, or by another library."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from mixwright.lab.evaluation.corruption import blur, colour, linear, noise, weather
from mixwright.lab.evaluation.corruption import frost as ice
from mixwright.lab.evaluation.corruption.constants import CIFAR, IMAGENET, TINY
from mixwright.lab.evaluation.corruption.digital import elastic_transform


def random_images(count: int = 2, height: int = 16, width: int = 16) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, 3, height, width), dtype=np.uint8)


def floored(levels: np.ndarray) -> np.ndarray:
    return np.floor(np.clip(levels + 1e-9, 0, 255)).astype(np.uint8)


def assert_close(found: np.ndarray, expected: np.ndarray, *, share: float = 0.002) -> None:
    """Off by a level at most, where rounding decides, and nearly never."""
    off = np.abs(found.astype(int) - expected.astype(int))
    assert off.max() <= 1
    assert (off > 0).mean() <= share


class Told:
    """Gives prepared numbers in place of draws."""

    def __init__(self, *draws: np.ndarray) -> None:
        self.draws = list(draws)

    def normal(self, *_: object, **__: object) -> np.ndarray:
        return self.draws.pop(0)

    uniform = integers = normal


RNG = np.random.default_rng(0)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 6.0])
@pytest.mark.parametrize("side", [16, 9])
def test_gaussian_blur_against_scipy(sigma: float, side: int) -> None:
    images = random_images(height=side)
    expected = ndimage.gaussian_filter(
        images.astype(float), (0, 0, sigma, sigma), mode="nearest", truncate=4
    )
    assert_close(blur.gaussian_blur(images, (sigma,), RNG), floored(expected))


@pytest.mark.parametrize("constants", [*CIFAR["defocus_blur"], *IMAGENET["defocus_blur"][::4]])
def test_defocus_against_a_plain_filter(constants: tuple[float, float]) -> None:
    images = random_images(height=24)
    kernel = blur.disk(*constants)
    planes = [ndimage.correlate(one.astype(float), kernel, mode="mirror")
              for one in images.reshape(-1, 24, 16)]  # fmt: skip
    found = blur.defocus_blur(images, constants, RNG)
    # The plus of five equal weights often gives whole numbers, where rounding decides.
    share = 0.15 if constants == (1, 0.2) else 0.002
    assert_close(found, floored(np.stack(planes).reshape(images.shape)), share=share)


def test_disks_have_the_published_centres() -> None:
    centres = [blur.disk(*row)[8, 8] for row in CIFAR["defocus_blur"]]
    assert centres == pytest.approx([0.8450, 0.6193, 0.4452, 0.2000, 0.1111], abs=6e-5)
    wide = blur.disk(10, 0.5)
    assert wide.shape == (21, 21)
    assert wide.sum() == pytest.approx(1, abs=0.02)  # touches the ends of its grid


@pytest.mark.parametrize(("rows", "side"), [(CIFAR, 32), (TINY, 17), (IMAGENET, 40)])
def test_zoom_against_scipy(rows, side: int) -> None:
    images = random_images(1, side, side)
    for end, step in rows["zoom_blur"]:
        factors = np.arange(1, end, step)
        total = images.astype(float)
        for factor in factors:
            kept = math.ceil(side / factor)
            top = (side - kept) // 2
            part = images[..., top : top + kept, top : top + kept].astype(float)
            wide = ndimage.zoom(part, (1, 1, factor, factor), order=1)
            trim = (wide.shape[2] - side) // 2
            total = total + wide[..., trim : trim + side, trim : trim + side]
        expected = floored(total / (len(factors) + 1))
        assert_close(blur.zoom_blur(images, (end, step), RNG), expected)


def test_zooms_are_as_many_as_in_the_published_files() -> None:
    counts = [len(np.arange(1, end, step)) for end, step in CIFAR["zoom_blur"]]
    assert counts == [7, 12, 16, 21, 26]


@pytest.mark.parametrize("most", [1, 2, 4])
def test_glass_against_the_loop_that_copies(most: int) -> None:
    height, width = 14, 12
    rng = np.random.default_rng(most)
    shift = rng.integers(-most, most, (3, height - 2 * most, width - 2 * most, 2))
    source = blur.sources(
        shift[..., 1], shift[..., 0], height=height, width=width, most=most
    ).reshape(3, height, width)
    for image in range(3):
        shown = np.arange(height * width).reshape(height, width)
        for row, y in enumerate(range(height - most, most, -1)):
            for column, x in enumerate(range(width - most, most, -1)):
                across, down = shift[image, row, column]
                shown[y, x] = shown[y + down, x + across]  # the neighbour keeps its own
        assert np.array_equal(source[image], shown)


def test_glass_draws_from_the_published_range_and_repeats() -> None:
    images = np.zeros((1, 3, 9, 9), dtype=np.uint8)
    images[...] = np.arange(81, dtype=np.uint8).reshape(9, 9)
    up = np.zeros((1, 7, 7, 2), dtype=np.int8)
    up[..., 1] = -1
    found = blur.glass_blur(images, (0.05, 1, 2), Told(up, up))  # too small a sigma to blur
    assert found[0, 0, 4, 4] == images[0, 0, 2, 4]
    drawn = np.random.default_rng(0).integers(-2, 2, 1000)
    assert set(drawn.tolist()) == {-2, -1, 0, 1}


@pytest.mark.parametrize("span", [(-45, 45), (-135, -45)])
def test_motion_against_a_loop_over_pixels(span: tuple[float, float]) -> None:
    images = random_images(5, 10, 12)
    degrees = np.random.default_rng(1).uniform(*span, 5)
    radius, sigma = 3, 1.5
    found = blur.smeared(images, radius=radius, sigma=sigma, degrees=degrees)
    weights = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    for n, angle in enumerate(np.deg2rad(degrees)):
        for y in range(10):
            for x in range(12):
                value = np.zeros(3)
                for i, weight in enumerate(weights):
                    down = math.ceil(i * math.sin(angle) - 0.5)
                    across = math.ceil(i * math.cos(angle) - 0.5)
                    inside = min(max(y + down, 0), 9), min(max(x + across, 0), 11)
                    value += weight * images[n, :, inside[0], inside[1]]
                np.testing.assert_allclose(found[n, :, y, x], value / sum(weights), atol=2e-3)


def test_motion_at_no_angle_smears_to_one_side() -> None:
    images = np.zeros((1, 3, 5, 9), dtype=np.uint8)
    images[..., 6] = 200
    found = blur.motion_blur(images, (6, 1), Told(np.zeros(1)))
    weights = np.exp(-(np.arange(13) ** 2) / 2)
    expected = np.floor(200 * weights / weights.sum())
    assert found[0, 0, 2].tolist() == [*expected[6::-1].tolist(), 0, 0]


@pytest.mark.parametrize("alpha", [0, 1.6])
def test_elastic_against_scipy(alpha: float) -> None:
    side, sigma = 16, 1.2
    images, rng = random_images(2, side, side), np.random.default_rng(5)
    jitter, shift = rng.uniform(-1.5, 1.5, (2, 3, 2)), rng.uniform(-1, 1, (2, 2, side, side))
    found = elastic_transform(images, (alpha, sigma, 1.5), Told(jitter, shift))
    points = np.array([[13, 13], [13, 3], [3, 3]], dtype=float)
    y, x = np.mgrid[:side, :side].astype(float)
    for n in range(2):
        forward = np.linalg.solve(np.c_[points, np.ones(3)], points + jitter[n]).T
        back = np.linalg.inv(np.vstack([forward, [0, 0, 1]]))
        from_x = back[0, 0] * x + back[0, 1] * y + back[0, 2]
        from_y = back[1, 0] * x + back[1, 1] * y + back[1, 2]
        field = [alpha * ndimage.gaussian_filter(one, sigma, mode="reflect", truncate=3)
                 for one in shift[n]]  # fmt: skip
        for channel in range(3):
            warped = ndimage.map_coordinates(
                images[n, channel].astype(float), [from_y, from_x], order=1, mode="mirror"
            )
            if alpha:
                warped = ndimage.map_coordinates(
                    warped, [y + field[1], x + field[0]], order=1, mode="reflect"
                )
            assert_close(found[n, channel], floored(warped), share=0.01)


def slow_plasma(size: int, decay: float, draws: list[np.ndarray]) -> np.ndarray:
    """Diamond-square, point by point."""
    cloud = np.zeros((size, size))
    step, wobble = size, 100.0
    while step > 1:
        half, count = step // 2, size // step
        for kind in ("middle", "across", "down"):
            draw = draws.pop(0)[0]
            for r in range(count):
                for c in range(count):
                    y = r * step + half * (kind != "across")
                    x = c * step + half * (kind != "down")
                    reach = (
                        [(half, half), (half, -half), (-half, half), (-half, -half)]
                        if kind == "middle"
                        else [(half, 0), (-half, 0), (0, half), (0, -half)]
                    )
                    around = [cloud[(y + dy) % size, (x + dx) % size] for dy, dx in reach]
                    cloud[y, x] = sum(around) / 4 + wobble * draw[r, c]
        step, wobble = half, wobble / decay
    cloud -= cloud.min()
    return cloud / cloud.max()


def test_plasma_against_a_loop_over_points() -> None:
    rng, draws, wobble, count = np.random.default_rng(2), [], 100.0, 1
    for _ in range(3):
        draws += [rng.uniform(-wobble, wobble, (1, count, count)) for _ in range(3)]
        wobble, count = wobble / 1.75, count * 2
    found = weather.plasma(1, 8, decay=1.75, rng=Told(*draws))
    np.testing.assert_allclose(found[0], slow_plasma(8, 1.75, draws), atol=1e-12)


def test_plasma_draws_within_what_it_says() -> None:
    asked: list[tuple[float, float]] = []

    class Asked:
        def uniform(self, low, high, size):
            asked.append((low, high))
            return np.random.default_rng(0).uniform(low, high, size)

    weather.plasma(1, 4, decay=2.0, rng=Asked())
    assert asked == [(-100, 100)] * 3 + [(-50, 50)] * 3


def test_snow_of_one_flake() -> None:
    """Grey noise above the threshold falls, and lies there once more turned by half."""
    images = random_images(1, 12, 12)
    layer = np.zeros((1, 1, 12, 12))
    layer[0, 0, 3, 4] = 0.9
    layer[0, 0, 8, 8] = 0.5  # below the threshold
    found = weather.snow(images, (0, 0, 1, 0.6, 2, 1, 0.8), Told(layer, np.array([-90.0])))
    weights = np.exp(-(np.arange(5) ** 2) / 2)
    flakes = np.zeros((12, 12))
    for i, weight in enumerate(weights / weights.sum()):  # looks upwards: the flake falls
        flakes[3 + i, 4] = np.floor(229 * weight)
    levels = images[0].astype(float)
    grey = np.tensordot([0.299, 0.587, 0.114], levels, axes=1)
    expected = 0.8 * levels + 0.2 * np.maximum(levels, 1.5 * grey + 127.5)
    assert_close(found[0], floored(expected + flakes + flakes[::-1, ::-1]), share=0.01)


def test_mud_against_scipy() -> None:
    images = random_images(3)
    layer = np.random.default_rng(0).normal(0.65, 0.1, (3, 16, 16))
    _, _, sigma, threshold, strength, _ = CIFAR["spatter"][4]
    found = weather.spatter(images, CIFAR["spatter"][4], Told(layer))
    for n in range(3):
        wet = ndimage.gaussian_filter(layer[n], sigma, mode="nearest", truncate=4) > threshold
        cover = ndimage.gaussian_filter(wet.astype(float), strength, mode="nearest", truncate=4)
        assert ((cover > 0.1) & (cover < 0.8)).any()
        cover[cover < 0.8] = 0
        expected = images[n] * (1 - cover) + cover * np.array([63, 42, 20])[:, None, None]
        assert_close(found[n], floored(expected))


def test_water_is_as_bright_as_light_times_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deepest and best lit pixel has the full strength; depth is a byte and wraps."""
    monkeypatch.setattr(weather, "_light", lambda layer: np.full_like(layer, 200))
    layer = np.full((1, 8, 8), 0.5)
    layer[0, :, 2], layer[0, :, 4] = 0.9, 1.02  # 229 and 260, which is 4 in a byte
    found = weather.spatter(np.full((1, 3, 8, 8), 10, dtype=np.uint8), (0, 0, 0.1, 0.7, 0.5, 0),
                            Told(layer))  # fmt: skip
    assert found[0, :, 3, 2].tolist() == [10 + 175 // 2, 10 + 119, 10 + 119]
    assert found[0, :, 3, 4].tolist() == [10 + int(0.5 * 4 / 229 * c) for c in (175, 238, 238)]
    assert (found[0, :, :, 0] == 10).all()


def test_light_without_edges_is_even() -> None:
    dry = np.full((16, 16), 90, dtype=np.uint8)
    assert (weather._light(dry) == 20).all()  # where distances are cut off
    drop = dry.copy()
    drop[5:11, 5:11] = 250
    lit = weather._light(drop).astype(int)
    assert lit[-4:, -4:].mean() > lit[:4, :4].mean() + 50  # one side of the drop is lit


@pytest.mark.parametrize("constants", CIFAR["saturate"])
def test_saturate_against_colorsys(constants: tuple[float, float]) -> None:
    images = random_images()
    images[0, :, :4] = images[0, :1, :4]  # grey
    found = colour.saturate(images, constants, RNG)
    for n, y, x in np.ndindex(2, 16, 16):
        h, s, v = colorsys.rgb_to_hsv(*(images[n, :, y, x] / 255))
        s = min(max(s * constants[0] + constants[1], 0), 1)
        expected = 255 * np.array(colorsys.hsv_to_rgb(h, s, v))
        assert np.abs(found[n, :, y, x] - np.floor(expected)).max() <= 1
        assert np.abs(found[n, :, y, x] + 0.5 - expected).max() <= 0.51


@pytest.mark.parametrize("rise", [0.05, 0.3])
def test_brightness_against_colorsys(rise: float) -> None:
    images = random_images()
    images[0, :, 0, 0] = 0
    found = colour.brightness(images, (rise,), RNG)
    for n, y, x in np.ndindex(2, 16, 16):
        h, s, v = colorsys.rgb_to_hsv(*(images[n, :, y, x] / 255))
        expected = 255 * np.array(colorsys.hsv_to_rgb(h, s, min(v + rise, 1)))
        assert np.abs(found[n, :, y, x] + 0.5 - expected).max() <= 0.51


@pytest.mark.parametrize("name", ["gaussian_noise", "speckle_noise", "shot_noise", "impulse_noise"])
def test_noise_turns_each_draw_into_its_quantile(name: str) -> None:
    images = random_images(3, 20, 20)
    constant = {"shot_noise": 30.0, "impulse_noise": 0.14}.get(name, 0.18)
    draw = np.random.default_rng(1).integers(0, 2**32, images.shape, dtype=np.uint32)
    draw.flat[:4] = (0, 1, 2**32 - 1, 2**31)
    found = noise.noisy(name, images, (constant,), Told(draw))
    table = noise.cumulative(name, constant)
    shares = (draw.ravel() + 0.5) / 2**32
    for level, share, byte in zip(images.flat, shares, found.flat, strict=True):
        assert byte == int((table[level] < share).sum())


def test_noise_tables_against_sums() -> None:
    def normal(z: float) -> float:
        return 0.5 * math.erfc(-z / math.sqrt(2))

    gaussian = noise.cumulative("gaussian_noise", 0.1)
    speckle = noise.cumulative("speckle_noise", 0.2)
    shot = noise.cumulative("shot_noise", 50.0)
    for level, byte in [(0, 0), (0, 30), (128, 100), (128, 128), (255, 200), (255, 254)]:
        assert gaussian[level, byte] == pytest.approx(normal((byte + 1 - level) / 25.5), abs=1e-12)
        if level:
            assert speckle[level, byte] == pytest.approx(
                normal((byte + 1 - level) / (level * 0.2)), abs=1e-12
            )
        mean = 50 * level / 255
        counts = [k for k in range(200) if math.floor(min(k / 50, 1) * 255) <= byte]
        total = sum(math.exp(-mean) * mean**k / math.factorial(k) for k in counts)
        assert shot[level, byte] == pytest.approx(total, abs=1e-12)
    assert (speckle[0] == 1).all()  # black stays black
    for table in (gaussian, speckle, shot, noise.cumulative("impulse_noise", 0.07)):
        assert (np.diff(table, axis=1) >= 0).all()
        assert (table[:, -1] == 1).all()


def test_borders_are_mirrored_as_often_as_needed() -> None:
    line = np.arange(5.0)
    for border, mode in (("edge", "nearest"), ("symmetric", "reflect"), ("reflect", "mirror")):
        weights = np.random.default_rng(0).random(19)  # reaches beyond the line twice
        expected = ndimage.correlate1d(line, weights, mode=mode)
        np.testing.assert_allclose(linear.filter_matrix(weights, 5, border) @ line, expected)


def test_sums_of_separable_operations() -> None:
    rng = np.random.default_rng(0)
    planes = rng.random((4, 3, 5, 7)).astype(np.float32)
    rows, columns = rng.random((3, 5, 5)), rng.random((3, 7, 7))
    each = sum(linear.separable(planes, r, c) for r, c in zip(rows, columns, strict=True))
    np.testing.assert_allclose(linear.separable_sum(planes, rows, columns), each, rtol=1e-5)


def test_frost_pictures_are_scaled_linearly(tmp_path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 11, 3), dtype=np.uint8))
    picture = np.asarray(coarse.resize((110, 90)))
    for name in ice.FILES:
        Image.fromarray(picture).save(tmp_path / name, quality=100, subsampling=0)
    found = ice.load_textures(tmp_path, scale=0.2, height=8, width=8)
    assert [one.shape for one in found] == [(3, 18, 22)] * 5
    assert np.array_equal(found[0], picture[2::5, 2::5].transpose(2, 0, 1))  # falls on pixels
    place = torch.nn.functional.interpolate(
        torch.from_numpy(picture.transpose(2, 0, 1).copy())[None].double(),
        scale_factor=0.3, mode="bilinear",
    )[0]  # fmt: skip
    third = ice.load_textures(tmp_path, scale=0.3, height=8, width=8)[0]
    assert np.abs(third - place.numpy()).max() <= 0.5 + 1e-3
    large = ice.load_textures(tmp_path, scale=0.2, height=60, width=30)[0]
    assert large.shape[1] > 60  # scaled up where a crop would not fit
