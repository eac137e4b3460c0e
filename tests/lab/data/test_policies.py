"""Operations against Pillow's, and what the policies draw."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from mixwright.lab.data import operations
from mixwright.lab.data.policies import POLICIES, RandAugment, TrivialAugment, parse_policy


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures() -> Tensor:
    """Noise, a dark ramp, one colour, and a picture of two values; uint8 ``(4, 3, 12, 15)``."""
    noise = torch.randint(256, (3, 12, 15), generator=seeded(0))
    ramp = torch.arange(15).expand(3, 12, 15) * 7 + torch.tensor([5, 20, 60]).view(3, 1, 1)
    even = torch.tensor([10, 200, 90]).view(3, 1, 1).expand(3, 12, 15)
    two = torch.where(torch.arange(15) < 4, 100, 130).expand(3, 12, 15)
    return torch.stack([noise, ramp, even, two]).byte()


def by_pillow(images: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    arrays = [np.array(change(Image.fromarray(image.permute(1, 2, 0).numpy()))) for image in images]
    return torch.from_numpy(np.stack(arrays)).movedim(3, 1)


def ours(name: str, images: Tensor, strength: float) -> Tensor:
    function: operations.Operation = getattr(operations, name)
    return function(images.float(), torch.full((len(images),), strength)).byte()


ENHANCERS: dict[str, Any] = {
    "brightness": ImageEnhance.Brightness,
    "colour": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "sharpness": ImageEnhance.Sharpness,
}


@pytest.mark.parametrize("factor", [0.01, 0.45, 1.0, 1.72])
@pytest.mark.parametrize("name", ENHANCERS)
def test_what_blends_agrees_with_pillow(name: str, factor: float):
    wanted = by_pillow(pictures(), lambda image: ENHANCERS[name](image).enhance(factor))
    apart = (ours(name, pictures(), factor).int() - wanted.int()).abs()
    assert apart.max() <= 1  # of single and double precision, before what follows the point is cut
    assert apart.float().mean() < 0.01


@pytest.mark.parametrize(
    ("name", "strength", "change"),
    [
        ("posterize", 1, lambda image: ImageOps.posterize(image, 1)),
        ("posterize", 4, lambda image: ImageOps.posterize(image, 4)),
        ("posterize", 8, lambda image: image),
        ("solarize", 26, lambda image: ImageOps.solarize(image, 26)),
        ("solarize", 256, lambda image: image),
        ("invert", 0, ImageOps.invert),
        ("autocontrast", 0, ImageOps.autocontrast),
        ("equalize", 0, ImageOps.equalize),
    ],
)
def test_what_looks_values_up_is_pillows(name: str, strength: float, change: Any):
    assert torch.equal(ours(name, pictures(), strength), by_pillow(pictures(), change))


def test_large_pictures_are_equalized_as_pillow_does():
    images = (torch.randn(2, 3, 64, 64, generator=seeded(1)) * 20 + 90).clamp(0, 255).byte()
    assert torch.equal(ours("equalize", images, 0), by_pillow(images, ImageOps.equalize))


def test_adding_stops_at_white_and_leaves_light_values():
    images = torch.tensor([0.0, 127.0, 128.0, 250.0]).view(1, 1, 1, 4)
    found = operations.solarize_add(images, torch.tensor([110.0]))
    assert found.flatten().tolist() == [110, 237, 128, 250]


@pytest.mark.parametrize(
    ("name", "level", "sign", "terms"),
    [
        ("shear_x", 1.0, 1, (1, 0.3, 0, 0, 1, 0)),
        ("shear_y", 0.5, -1, (1, 0, 0, -0.15, 1, 0)),
        ("translate_x", 0.5, 1, (1, 0, 0.225 * 15, 0, 1, 0)),
        ("translate_y", 1.0, -1, (1, 0, 0, 0, 1, -0.45 * 12)),
    ],
)
def test_what_moves_agrees_with_pillow(
    name: str, level: float, sign: int, terms: tuple[float, ...]
):
    images, policy = pictures(), RandAugment()
    policy._apply(  # pyright: ignore[reportPrivateUsage]
        images, [name] * 4, torch.full((4,), level), torch.full((4,), sign)
    )
    wanted = by_pillow(
        pictures(),
        lambda image: image.transform(
            image.size, Image.Transform.AFFINE, terms, Image.Resampling.BILINEAR,
            fillcolor=(128, 128, 128),
        ),
    )  # fmt: skip
    assert (images.int() - wanted.int()).abs().max() <= 1


@pytest.mark.parametrize("degrees", [30.0, -135.0])
def test_turning_agrees_with_pillow(degrees: float):
    images = pictures()
    maps = operations.rotation(torch.full((4,), degrees), height=12, width=15)
    found = operations.affine(images.float(), maps, fill=0).byte()
    wanted = by_pillow(images, lambda image: image.rotate(degrees, Image.Resampling.BILINEAR))
    # Pillow rounds its matrix, so that a pixel on the very edge may fall to the other side.
    assert ((found.int() - wanted.int()).abs() <= 1).float().mean() > 0.99


def test_randaugment_is_as_strong_as_timm_says():
    """``rand-m9-mstd0.5-inc1``, worked out by hand at magnitude 9 (level 0.9)."""
    level, sign = torch.tensor([0.9]), torch.tensor([-1])
    found = {name: float(of(level, sign)) for name, of in RandAugment.strengths.items()}
    assert len(found) == 15
    wanted = {
        "rotate": -27, "shear_x": -0.27, "shear_y": -0.27, "translate_x": -0.405,
        "translate_y": -0.405, "posterize": 4 - 3, "solarize": 256 - 230, "solarize_add": 99,
        "colour": 0.19, "contrast": 0.19, "brightness": 0.19, "sharpness": 0.19,
    }  # fmt: skip
    assert {name: round(found[name], 4) for name in wanted} == wanted
    most = RandAugment.strengths["brightness"](torch.tensor([1.0]), sign)
    assert float(most) == pytest.approx(0.1)


def test_trivialaugment_is_as_strong_as_torchvision_says():
    level, sign = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1, 1, -1])
    found = {name: of(level, sign).tolist() for name, of in TrivialAugment.strengths.items()}
    assert len(found) == 14
    assert found["rotate"] == [0, 67.5, -135]
    assert found["translate_y"] == [0, 16, -32]
    assert found["shear_x"] == pytest.approx([0, 0.495, -0.99])
    assert found["sharpness"] == pytest.approx([1, 1.495, 0.01])
    assert found["posterize"] == [8, 5, 2]
    assert found["solarize"] == [255, 127.5, 0]


def test_operations_are_drawn_for_each_image_at_the_rates_asked_for():
    # What is told apart by one look: nothing, inverted, or something else.
    image = torch.randint(256, (3, 6, 6), generator=seeded(2)).byte()
    many = image.expand(6000, 3, 6, 6)
    found = RandAugment(layers=1, chance=0.5)(many, generator=seeded(3))
    same = (found == image).flatten(1).all(1).double().mean()
    inverted = (found == 255 - image).flatten(1).all(1).double().mean()
    assert abs(inverted - 0.5 / 15) < 5 * (0.5 / 15 / 6000) ** 0.5
    assert 0.5 < same < 0.5 + 0.5 * 3 / 15  # equalising or stretching noise may change nothing
    assert len({tuple(row.flatten().tolist()) for row in found[:100]}) > 30

    every = RandAugment(layers=1, chance=1.0)(many, generator=seeded(3))
    assert (every == 255 - image).flatten(1).all(1).double().mean() == pytest.approx(
        1 / 15, abs=5 * (1 / 15 / 6000) ** 0.5
    )


@pytest.mark.parametrize("policy", [RandAugment(), TrivialAugment()])
def test_one_seed_gives_one_result_and_nothing_else_is_touched(policy: Any):
    images = torch.randint(256, (32, 3, 9, 9), generator=seeded(0)).byte()
    before, state = images.clone(), torch.random.get_rng_state()
    first, again, other = (policy(images, generator=seeded(k)) for k in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)
    assert first.dtype == torch.uint8
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_is_drawn_depends_on_the_number_of_images_only():
    states: list[Tensor] = []
    for size, channels in ((5, 1), (9, 3), (2, 4)):
        rng = seeded(4)
        found = RandAugment(layers=3)(
            torch.zeros(6, channels, size, size, dtype=torch.uint8), generator=rng
        )
        assert found.shape == (6, channels, size, size)
        states.append(rng.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_layers_follow_one_another():
    """Two layers are two passes of one layer with what they drew."""
    images = torch.randint(256, (16, 3, 8, 8), generator=seeded(0)).byte()
    policy = RandAugment(layers=2, chance=1.0, std=0)
    found, names = policy(images, generator=seeded(6)), list(RandAugment.strengths)
    rng = seeded(6)
    which = torch.randint(15, (2, 16), generator=rng)
    torch.rand(2, 16, generator=rng), torch.randn(2, 16, generator=rng)
    sign = torch.randint(2, (2, 16), generator=rng) * 2 - 1
    wanted = images.clone()
    for layer in range(2):
        for row in range(16):  # one image at a time
            one = wanted[row : row + 1]
            name = names[int(which[layer, row])]
            policy._apply(one, [name], torch.tensor([0.9]), sign[layer, row : row + 1])  # pyright: ignore[reportPrivateUsage]
    assert torch.equal(found, wanted)


def test_policies_are_read_from_text():
    assert parse_policy("trivialaugment") == TrivialAugment()
    text = "randaugment:layers=3,magnitude=7.5,std=0,chance=1"
    assert parse_policy(text) == RandAugment(layers=3, magnitude=7.5, std=0.0, chance=1.0)
    assert set(POLICIES) == {"randaugment", "trivialaugment"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("randaug", r"augment is 'randaug'; expected one of .*Did you mean \"randaugment\"\?"),
        ("randaugment:magnitude=11", r"magnitude is 11.*10"),
        ("randaugment:layers=0", "layers is 0; expected at least 1"),
        ("randaugment:layers=two", "option layers=two: expected a whole number"),
        ("randaugment:magnitud=9", 'has no option "magnitud"'),
        ("trivialaugment:magnitude=9", 'has no option "magnitude".*It has none'),
        ("randaugment:", "an option is missing"),
        ("", "augment is ''; expected one of"),
    ],
)
def test_policies_that_cannot_be_are_refused(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        parse_policy(text)


def test_the_mean_grey_of_other_channels():
    images = torch.tensor([[10.0, 21.0]]).view(1, 2, 1, 1)
    assert operations.colour(images, torch.tensor([0.0])).flatten().tolist() == [15, 15]
    assert math.isclose(float(operations.contrast(images, torch.tensor([0.0])).mean()), 15)
