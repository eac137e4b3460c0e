"""What must hold of each corruption, whatever is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mixwright.lab.evaluation.corruption import frost as ice
from mixwright.lab.evaluation.corruption import generate
from mixwright.lab.evaluation.corruption.constants import (
    CONSTANTS,
    SEVERITIES,
    TYPES,
    constants_for,
)
from mixwright.lab.evaluation.corruption.digital import elastic_transform
from mixwright.lab.evaluation.corruption.generate import corrupt
from mixwright.lab.evaluation.corruption.weather import MUD, spatter

FIXED = ("defocus_blur", "gaussian_blur", "glass_blur", "motion_blur", "zoom_blur", "pixelate",
         "elastic_transform")  # fmt: skip


def noise_images(count: int, height: int = 32, width: int = 32, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, height, width), generator=rng, dtype=torch.uint8)


def smooth_images(count: int, side: int = 32) -> torch.Tensor:
    """Coarse noise drawn out: neighbours are alike, as in photographs."""
    coarse = noise_images(count, 6, 6).float()
    fine = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return fine.to(torch.uint8)


def flat(level: int, count: int = 2, side: int = 32) -> torch.Tensor:
    return torch.full((count, 3, side, side), level, dtype=torch.uint8)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize(("height", "width"), [(8, 8), (33, 20), (64, 70)])
def test_shape_dtype_and_input_survive(name: str, height: int, width: int) -> None:
    images = noise_images(2, height, width)
    before = images.clone()
    for severity in (1, 5):
        found = corrupt(images, name, severity, seed=0)
        assert found.shape == images.shape
        assert found.dtype == torch.uint8
        assert not torch.equal(found, images) or (height, severity) == (8, 1)
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", TYPES)
def test_constants_of_imagenet_run_on_its_size(name: str) -> None:
    images = smooth_images(1, 224)
    for severity in (1, 5):
        assert corrupt(images, name, severity, seed=0).shape == images.shape


@pytest.mark.parametrize("name", TYPES)
def test_one_seed_gives_the_same_bytes_however_images_are_split(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert generate.BLOCK == 1000
    monkeypatch.setattr(generate, "BLOCK", 20)
    images = noise_images(30, 8, 8)
    whole = corrupt(images, name, 3, seed=7)
    first = corrupt(images[:20], name, 3, seed=7)
    second = generate.block_corruption((3, 8, 8), name, 3, seed=7, block=1)(images[20:].numpy())
    assert torch.equal(whole, torch.cat([first, torch.from_numpy(second)]))


def test_no_two_types_severities_blocks_or_seeds_share_a_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[int] = []

    def draw(images, row, rng):
        drawn.append(int(rng.integers(2**62)))
        return images

    monkeypatch.setattr(generate, "_OPERATIONS", dict.fromkeys(TYPES, draw))
    monkeypatch.setattr(generate, "_frost", lambda *_: draw)
    images = noise_images(1).numpy()
    for name in TYPES:
        for severity in SEVERITIES:
            for seed, block in ((0, 0), (0, 1), (1, 0)):
                make = generate.block_corruption(
                    images.shape[1:], name, severity, seed=seed, block=block
                )
                make(images)
    assert len(set(drawn)) == len(drawn) == 19 * 5 * 3


def test_images_of_a_block_differ_in_their_draws() -> None:
    one = smooth_images(1).repeat(4, 1, 1, 1)
    drawing = set(TYPES) - {"defocus_blur", "zoom_blur", "gaussian_blur", "brightness", "contrast",
                            "saturate", "pixelate", "jpeg_compression"}  # fmt: skip
    for name in TYPES:
        found = corrupt(one, name, 5, seed=0)
        assert (len({image.numpy().tobytes() for image in found}) == 4) == (name in drawing), name
        other = corrupt(one, name, 5, seed=1)
        assert torch.equal(found, other) == (name not in drawing), name


@pytest.mark.parametrize("constants", list(CONSTANTS))
@pytest.mark.parametrize("name", FIXED)
def test_flat_images_are_left_alone(name: str, constants) -> None:
    for severity in SEVERITIES:
        for level in (0, 77, 255):
            images = flat(level)
            assert torch.equal(corrupt(images, name, severity, seed=0, constants=constants), images)


@pytest.mark.parametrize("name", ["contrast", "jpeg_compression"])
def test_flat_images_move_by_one_level_at_most(name: str) -> None:
    for severity in SEVERITIES:
        for level in (0, 77, 200, 255):
            found = corrupt(flat(level), name, severity, seed=0)
            assert (found.int() - level).abs().max() <= 1


def test_saturate_reddens_grey_at_the_last_severities_only() -> None:
    for severity, loss in ((1, 0), (2, 0), (3, 0), (4, 25.5), (5, 51.0)):
        found = corrupt(flat(255), "saturate", severity, seed=0)
        assert (found[:, 0] == 255).all()
        assert (found[:, 1:] == int(255 - loss)).all()
    grey = noise_images(4)[:, :1].expand(-1, 3, -1, -1)
    for severity in (1, 2, 3):
        assert torch.equal(corrupt(grey, "saturate", severity, seed=0), grey)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_of_grey(severity: int) -> None:
    grey = torch.arange(256).to(torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    rise = {1: 5, 2: 10, 3: 15, 4: 20, 5: 30}[severity]  # in hundredths: whole numbers are exact
    expected = (torch.arange(256) * 100 + 255 * rise).div(100, rounding_mode="floor").clamp(max=255)
    found = corrupt(grey, "brightness", severity, seed=0)
    assert torch.equal(found, expected.to(torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16))


def test_contrast_keeps_the_mean_but_for_what_is_cut_off() -> None:
    images = smooth_images(8)
    found = corrupt(images, "contrast", 3, seed=0)
    moved = (found.double() - images.double()).mean(dim=(2, 3)).abs().max()
    assert moved <= 0.62


@pytest.mark.parametrize(
    ("name", "severity", "deviation"),
    [
        ("gaussian_noise", 1, 255 * 0.04),
        ("gaussian_noise", 3, 255 * 0.08),
        ("gaussian_noise", 5, 255 * 0.10),
        ("shot_noise", 5, 255 * (128 / 255 / 50) ** 0.5),
        ("speckle_noise", 5, 128 * 0.2),
    ],
)
def test_spread_of_noise_on_grey(name: str, severity: int, deviation: float) -> None:
    found = corrupt(flat(128, 40), name, severity, seed=0).double()
    assert float(found.std()) == pytest.approx(deviation, rel=0.01)
    assert float(found.mean()) == pytest.approx(127.5, abs=0.4)
    pairs = torch.corrcoef(
        torch.stack([found[:, :, :, 1:].flatten(), found[:, :, :, :-1].flatten()])
    )
    channels = torch.corrcoef(found.transpose(0, 1).flatten(1))
    assert abs(float(pairs[0, 1])) < 0.02  # neighbours, and channels, are drawn apart
    assert float((channels - torch.eye(3)).abs().max()) < 0.02


@pytest.mark.parametrize("severity", SEVERITIES)
def test_impulse_noise_sets_single_values_to_either_end(severity: int) -> None:
    share = {1: 0.01, 2: 0.02, 3: 0.03, 4: 0.05, 5: 0.07}[severity]
    found = corrupt(flat(128, 60), "impulse_noise", severity, seed=0)
    changed = found[found != 128]
    assert set(changed.unique().tolist()) == {0, 255}
    assert len(changed) / found.numel() == pytest.approx(share, rel=0.05)
    assert float((changed == 0).double().mean()) == pytest.approx(0.5, abs=0.03)
    alone = (found != 128).sum(dim=1)
    assert float((alone[alone > 0] == 1).double().mean()) > 0.9  # not whole pixels


def test_fog_adds_nothing_to_black_and_stays_below_the_maximum() -> None:
    for severity in SEVERITIES:
        assert not corrupt(flat(0), "fog", severity, seed=0).any()
        images = smooth_images(6) // 2
        found = corrupt(images, "fog", severity, seed=0)
        most = images.amax(dim=(1, 2, 3))
        assert (found.amax(dim=(1, 2, 3)) <= most).all()
        assert (found[:, 0].float() - found[:, 0].float().mean()).abs().max() > 1


def test_frost_of_black_is_the_scaled_texture() -> None:
    rng = np.random.default_rng(0)
    textures = tuple(rng.integers(0, 256, (3, 40, 36 + k), dtype=np.uint8) for k in range(5))
    crops = {
        np.floor(0.45 * texture[:, y : y + 32, x : x + 32]).astype(np.uint8).tobytes()
        for texture in textures
        for y in range(texture.shape[1] - 32)
        for x in range(texture.shape[2] - 32)
    }
    found = ice.frost(flat(0, 60).numpy(), (0.75, 0.45), rng, textures=textures)
    shown = [image.tobytes() for image in found]
    assert set(shown) <= crops
    assert len(set(shown)) > 30


def test_elastic_without_jitter_and_field_is_the_identity() -> None:
    images = noise_images(2, 20, 24).numpy()
    found = elastic_transform(images, (0, 0, 0), np.random.default_rng(0))
    assert np.abs(found.astype(int) - images).max() <= 1  # places are not exact


def test_pixelate_leaves_few_rows() -> None:
    found = corrupt(noise_images(3), "pixelate", 5, seed=0)
    for image in found:
        assert len({row.numpy().tobytes() for row in image.transpose(0, 1)}) <= 20


def test_snow_on_grey_is_its_own_half_turn() -> None:
    found = corrupt(flat(90, 3), "snow", 5, seed=0)
    assert torch.equal(found, found.rot90(2, dims=(2, 3)))
    ground = int(0.8 * 90 + 0.2 * (1.5 * 90 + 127.5))
    assert found.min() >= ground
    assert (found > ground + 20).any()


def test_dry_lenses_change_nothing_and_mud_has_its_colour() -> None:
    images, rng = smooth_images(2).numpy(), np.random.default_rng(0)
    for kind in (0, 1):
        assert np.array_equal(spatter(images, (0.65, 0.1, 0.7, 9, 0.5, kind), rng), images)
    wet = spatter(images, (0.65, 0.3, 1, 0.69, 0.5, 0), rng)
    assert (wet >= images).all()
    assert (wet > images).any()
    mud = spatter(flat(255, 2).numpy(), (9, 0.1, 0.7, 0.69, 0.6, 1), rng)
    assert (mud == MUD[:, None, None]).all()


def test_noise_for_frost_is_always_the_same_and_as_bright_as_the_pictures() -> None:
    ice.noise_textures.cache_clear()
    first = ice.noise_textures(scale=0.2, height=32, width=32)
    ice.noise_textures.cache_clear()
    second = ice.noise_textures(scale=0.2, height=32, width=32)
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    means = [texture.mean(axis=(1, 2)) for texture in first]
    assert means[0] == pytest.approx([78, 149, 166], abs=12)
    assert means[3] == pytest.approx([138, 153, 165], abs=4)


def test_constants_follow_the_size() -> None:
    sides = (28, 32, 48, 49, 64, 112, 113, 224)
    assert [constants_for(side, side + 9) for side in sides] == (
        ["cifar"] * 3 + ["tiny"] * 3 + ["imagenet"] * 2
    )
    for name, table in CONSTANTS.items():
        assert set(table) == set(TYPES), name
        assert all(len(rows) == 5 for rows in table.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "rain"}, "name is 'rain'"),
        ({"severity": 6}, "severity is 6"),
        ({"seed": -1}, "seed is -1"),
        ({"images": torch.zeros(1, 3, 32, 32)}, "torch.float32"),
        ({"images": torch.zeros(1, 1, 32, 32, dtype=torch.uint8)}, "grey ones of three channels"),
        ({"images": torch.zeros(1, 3, 7, 32, dtype=torch.uint8)}, "7 x 32 pixels"),
        ({"name": "frost", "frost": "/nowhere/at/all"}, "frost1.png, frost2.png"),
    ],
)
def test_misfits_are_refused(changes, message: str) -> None:
    asked = {"images": flat(0), "name": "fog", "severity": 1, "seed": 0} | changes
    with pytest.raises(ValueError, match=message):
        corrupt(**asked)


def test_no_images_are_no_error() -> None:
    assert corrupt(flat(0, 0), "fog", 1, seed=0).shape == (0, 3, 32, 32)
