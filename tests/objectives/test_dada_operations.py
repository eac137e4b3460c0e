"""The fifteen operations, against Pillow and by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from torch import Tensor

from mixwright.objectives.dada import geometry, tones
from mixwright.objectives.dada.operations import OPERATIONS, operate
from mixwright.sampling import stream

H, W = 24, 32


def picture(channels: int = 3) -> Tensor:
    """A smooth picture with noise, not of full range; bytes ``(C, H, W)``."""
    y, x = torch.meshgrid(torch.linspace(0, 3, H), torch.linspace(0, 5, W), indexing="ij")
    waves = torch.stack([(x + k).sin() * (y * (k + 1)).cos() for k in range(channels)])
    noise = torch.randint(30, (channels, H, W), generator=stream(4))
    return (100 + 70 * waves + noise).clamp(0, 255).to(torch.uint8)


def pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy() if len(image) == 3 else image[0].numpy())


def back(image: Image.Image) -> Tensor:
    found = torch.from_numpy(np.array(image))
    return found.permute(2, 0, 1) if found.ndim == 3 else found[None]


def affine(*matrix: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, matrix)


# How an operation is asked for here, in Pillow, and by how many of 255 levels they may differ:
# Pillow cuts enhanced tones down to bytes, and rounds the luminance and the smoothed image.
TABLE: list[tuple[str, Callable[[Tensor], Tensor], Callable[[Image.Image], Any], float]] = [
    ("invert", tones.invert, ImageOps.invert, 0),
    ("auto_contrast", tones.auto_contrast, ImageOps.autocontrast, 1),
    ("equalize", tones.equalize, ImageOps.equalize, 0),
    *(
        (
            f"solarize {v}",
            lambda x, v=v: tones.solarize(x, value(v)),
            lambda i, v=v: ImageOps.solarize(i, v),
            0,
        )
        for v in (0, 90.5, 128, 256)
    ),
    *(
        (
            f"posterize {v}",
            lambda x, v=v: tones.posterize(x, value(v)),
            lambda i, v=v: ImageOps.posterize(i, int(v)),
            0,
        )
        for v in (4, 5.9, 7, 8)
    ),
    *(
        (
            f"{ours.__name__} {v}",
            lambda x, v=v, f=ours: f(x, value(v)),
            lambda i, v=v, f=theirs: f(i).enhance(v),
            2,
        )
        for v in (0.1, 0.7, 1.0, 1.9)
        for ours, theirs in (
            (tones.contrast, ImageEnhance.Contrast),
            (tones.color, ImageEnhance.Color),
            (tones.brightness, ImageEnhance.Brightness),
            (tones.sharpness, ImageEnhance.Sharpness),
        )
    ),
]


def value(number: float) -> Tensor:
    return torch.tensor([number])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "ours", "theirs", "tolerance"), TABLE, ids=[t[0] for t in TABLE])
def test_tones_are_pillows(name, ours, theirs, tolerance, channels):
    image = picture(channels)
    found = ours(image[None] / 255)[0] * 255
    wanted = back(theirs(pillow(image))).float()
    assert (found - wanted).abs().max() <= tolerance + 1e-3


@pytest.mark.parametrize("amount", [-0.437, -0.291, -0.113, 0.0, 0.193, 0.3])
def test_moved_pixels_are_pillows(amount):
    image = picture()
    table = {
        geometry.shear_x: (amount, affine(1, amount, 0, 0, 1, 0)),
        geometry.shear_y: (amount, affine(1, 0, 0, amount, 1, 0)),
        geometry.translate_x: (amount, affine(1, 0, amount * W, 0, 1, 0)),
        geometry.translate_y: (amount, affine(1, 0, 0, 0, 1, amount * H)),
        geometry.rotate: (100 * amount, lambda i: i.rotate(100 * amount)),
    }
    for ours, (v, theirs) in table.items():
        found = ours(image[None] / 255, value(v))[0] * 255
        wanted = back(theirs(pillow(image))).float()
        other = ((found - wanted).abs() > 1e-3).any(dim=0).float().mean()
        assert other <= 0.01, ours  # rounding, where a place lies on the edge between pixels


def test_cutout_covers_a_square_of_grey():
    images = torch.zeros(400, 1, 20, 40)
    held = geometry.cutout(images, torch.full((400,), 0.1), generator=stream(0))
    assert set(held.unique().tolist()) == {0.0, 0.5}
    covered = (held == 0.5).float().mean(dim=(1, 2, 3)) * 800
    assert covered.max() == 4 * 4  # a tenth of the width, whole inside
    assert covered.min() < 16  # some reach over an edge
    assert (held == 0.5).float().mean(dim=(0, 1)).min() > 0  # anywhere
    assert torch.equal(geometry.cutout(images, torch.zeros(400), generator=stream(0)), images)


@pytest.mark.parametrize(("level", "ours", "theirs"), [(0.9, 30.2, 34.7), (1.0, 37.0, 46.6)])
def test_cutout_covers_as_much_as_is_documented(level, ours, theirs):
    """Theirs: FastAutoAugment's corners, drawn by Pillow, whose rectangle holds both its ends."""
    side, count = 0.2 * level * 32, 4000
    rng = np.random.default_rng(0)
    covered = []
    for x, y in rng.uniform(1, 32, size=(count, 2)):
        low = [int(max(0, place - side / 2)) for place in (x, y)]
        picture = Image.new("L", (32, 32))
        ImageDraw.Draw(picture).rectangle((*low, *(min(32, one + side) for one in low)), 1)
        covered.append(np.asarray(picture).sum())
    assert np.mean(covered) == pytest.approx(theirs, rel=0.02)
    blank = torch.zeros(count, 1, 32, 32)
    found = operate("Cutout", blank, torch.full((count,), level), generator=stream(0))
    assert (found > 0).sum() / count == pytest.approx(ours, rel=0.02)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_each_operation_keeps_what_it_should(name, channels):
    images = torch.rand(6, channels, 7, 9, generator=stream(0))
    kept, level = images.clone(), torch.linspace(0, 1, 6)
    found = operate(name, images, level, generator=stream(1))
    assert torch.equal(images, kept)
    assert found.shape == images.shape
    assert found.dtype == images.dtype
    assert found.min() >= 0
    assert found.max() <= 1
    again = operate(name, images, level, generator=stream(1))
    assert torch.equal(found, again)
    assert not operate(name, images.requires_grad_(), level, generator=stream(1)).requires_grad
    each = [
        operate(name, images[k : k + 1].detach(), level[k : k + 1], generator=stream(1))
        for k in (0, 5)
    ]
    if not OPERATIONS[name].signed and name != "Cutout":  # which draw for the whole batch
        torch.testing.assert_close(torch.cat(each), found[[0, 5]])


def test_levels_reach_the_ends_of_the_search_space():
    ends = {name: (one.value(0.0), one.value(1.0)) for name, one in OPERATIONS.items()}
    assert len(ends) == 15
    assert ends["ShearX"] == ends["ShearY"] == (0.3, 0.3)
    assert ends["TranslateX"] == ends["TranslateY"] == (0.45, 0.45)
    assert ends["Rotate"] == (30, 30)
    assert OPERATIONS["Rotate"].value(0.5) == 0
    assert ends["Solarize"] == (0, 256)
    assert ends["Posterize"] == (4, 8)
    assert all(
        ends[name] == (0.1, 1.9) for name in ("Contrast", "Color", "Brightness", "Sharpness")
    )
    assert ends["Cutout"] == (0, 0.2)


def test_moves_go_either_way():
    images = torch.zeros(200, 1, 3, 9)
    images[:, :, :, 4] = 1
    moved = operate("TranslateX", images, torch.full((200,), 0.8), generator=stream(0))
    where = moved[:, 0, 0].argmax(dim=1)
    left, right = (where < 4).float().mean(), (where > 4).float().mean()
    assert 0.4 < left < 0.6
    assert left + right == 1


def test_grey_images_have_no_colour_to_change():
    images = torch.rand(4, 1, 5, 5, generator=stream(0))
    found = operate("Color", images, torch.linspace(0, 1, 4), generator=stream(1))
    torch.testing.assert_close(found, images)
