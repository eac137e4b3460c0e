import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

from mixwright.lab.data import Augment, ResizedCrop


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slow(images: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    """Crop and mirror again, one image and one pixel at a time."""
    count, _, height, width = images.shape
    pad = augment.crop_padding
    down = torch.randint(2 * pad + 1, (count,), generator=generator).tolist()
    right = torch.randint(2 * pad + 1, (count,), generator=generator).tolist()
    mirror = torch.randint(2, (count,), generator=generator).tolist()
    result = torch.zeros_like(images)
    for b in range(count):
        for y in range(height):
            for x in range(width):
                there = width - 1 - x if augment.flip and mirror[b] else x
                row, column = y + down[b] - pad, there + right[b] - pad
                if (
                    augment.padding == "reflect"
                ):  # -1 is 1, and one beyond the last is the one before
                    row = min(abs(row), 2 * (height - 1) - abs(row))
                    column = min(abs(column), 2 * (width - 1) - abs(column))
                if 0 <= row < height and 0 <= column < width:
                    result[b, :, y, x] = images[b, :, row, column]
    return result


@settings(derandomize=True, deadline=None, max_examples=30)
@given(
    b=st.integers(1, 4),
    c=st.integers(1, 3),
    h=st.integers(1, 6),
    w=st.integers(1, 6),
    pad=st.integers(0, 3),
    flip=st.booleans(),
    seed=st.integers(0, 99),
)
def test_it_agrees_with_the_slow_version(
    b: int, c: int, h: int, w: int, pad: int, flip: bool, seed: int
):
    images = torch.randint(1, 256, (b, c, h, w), generator=torch.Generator().manual_seed(9)).byte()
    before = images.clone()
    augment = Augment(crop_padding=pad, flip=flip)
    found = augment(images, generator=torch.Generator().manual_seed(seed))
    wanted = slow(images, augment, torch.Generator().manual_seed(seed))
    assert torch.equal(found, wanted)
    assert found.dtype == torch.uint8
    assert torch.equal(images, before)


@pytest.mark.parametrize("flip", [True, False])
def test_padding_by_reflection_agrees_with_the_slow_version(flip: bool):
    images = torch.randint(1, 256, (40, 2, 4, 5), generator=seeded(9)).byte()
    augment = Augment(crop_padding=3, flip=flip, padding="reflect")
    found = augment(images, generator=seeded(1))
    assert torch.equal(found, slow(images, augment, seeded(1)))
    assert found.dtype == torch.uint8
    assert found.min() > 0  # nothing black comes in


def test_padding_that_cannot_be_is_refused():
    images = torch.zeros(2, 1, 4, 6, dtype=torch.uint8)
    with pytest.raises(ValueError, match="crop_padding is 4 for images of 4x6 pixels; expected"):
        Augment(crop_padding=4, padding="reflect")(images, generator=seeded(0))
    with pytest.raises(ValueError, match=r"padding is 'edge'; expected one of 'zeros', 'reflect'"):
        Augment(padding="edge")  # type: ignore[arg-type]


def test_it_crops_and_mirrors_as_torchvision_does():
    # One draw is enough to see the direction: a shift of 2 * pad down shows the rows below.
    images = torch.arange(9, dtype=torch.uint8).view(1, 1, 3, 3)
    shifts = set()
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        out = Augment(crop_padding=1, flip=False)(images, generator=generator)
        shifts.add(tuple(out.flatten().tolist()))
    assert (4, 5, 0, 7, 8, 0, 0, 0, 0) in shifts
    assert (0, 0, 0, 0, 0, 1, 0, 3, 4) in shifts
    assert len(shifts) == 9


def test_rates_are_even():
    images = torch.zeros(1, 1, 5, 5, dtype=torch.uint8)
    images[..., 2, 2] = 1
    many = images.expand(8000, 1, 5, 5)
    generator = torch.Generator().manual_seed(1)
    counts = Augment(crop_padding=2, flip=False)(many, generator=generator).long().sum(dim=(0, 1))
    assert counts.sum() == 8000
    assert (counts - 320).abs().max() < 5 * 320**0.5

    left = torch.tensor([1, 0], dtype=torch.uint8).expand(8000, 1, 1, 2)
    mirrored = Augment(crop_padding=0)(left, generator=generator)[:, 0, 0, 1].long().sum()
    assert abs(int(mirrored) - 4000) < 5 * 2000**0.5


def test_one_seed_gives_one_result_and_the_global_generator_is_untouched():
    images = torch.randint(256, (16, 3, 8, 8)).byte()
    before = torch.random.get_rng_state()
    a = Augment()(images, generator=torch.Generator().manual_seed(3))
    b = Augment()(images, generator=torch.Generator().manual_seed(3))
    c = Augment()(images, generator=torch.Generator().manual_seed(4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_is_switched_off_draws_all_the_same():
    images = torch.randint(256, (16, 3, 8, 8)).byte()
    states = []
    for augment in (Augment(), Augment(flip=False), Augment(0, flip=False)):
        generator = torch.Generator().manual_seed(3)
        out = augment(images, generator=generator)
        states.append(generator.get_state())
        assert out.data_ptr() != images.data_ptr()
    assert torch.equal(out, images)
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_negative_padding_is_refused():
    with pytest.raises(ValueError, match="crop_padding is -1; expected a number of pixels"):
        Augment(crop_padding=-1)


def photographs(count: int, side: tuple[int, int] = (20, 20)) -> torch.Tensor:
    rng = torch.Generator().manual_seed(5)
    return torch.rand(count, 3, *side, generator=rng)


@pytest.mark.parametrize("side", [(20, 20), (12, 18), (1, 1)])
@pytest.mark.parametrize("flip", [True, False])
def test_a_resized_crop_is_the_rectangle_enlarged(side: tuple[int, int], flip: bool):
    images, change = photographs(40, side), ResizedCrop(scale=0.2, flip=flip)
    found = change(images, generator=seeded(3))
    rng = seeded(3)
    boxes = change.boxes(40, height=side[0], width=side[1], generator=rng)
    mirror = torch.randint(2, (40,), generator=rng)
    for image, now, (top, left, high, wide), turned in zip(
        images, found, boxes.tolist(), mirror.tolist(), strict=True
    ):
        part = image[None, :, top : top + high, left : left + wide]
        wanted = interpolate(part, size=side, mode="bilinear", align_corners=False)[0]
        wanted = wanted.flip(2) if flip and turned else wanted
        torch.testing.assert_close(now, wanted, atol=1e-5, rtol=0)


def test_a_scale_has_two_ends():
    boxes = ResizedCrop(scale=(0.1, 0.3)).boxes(5_000, height=200, width=200, generator=seeded(1))
    area = (boxes[:, 2] * boxes[:, 3]).double() / 200**2
    assert 0.095 < area.min() < 0.105
    assert 0.295 < area.max() < 0.305
    assert 0.19 < area.mean() < 0.21  # all fit, so the draw is even
    one, two = (
        ResizedCrop(scale=scale).boxes(50, height=40, width=40, generator=seeded(2))
        for scale in (0.3, (0.3, 1.0))
    )
    assert torch.equal(one, two)


@pytest.mark.parametrize("scale", [(0.5, 0.2), (0.0, 0.5), (0.5, 1.1)])
def test_ends_out_of_range_are_refused(scale: tuple[float, float]):
    with pytest.raises(ValueError, match="expected a share of the image's area in"):
        ResizedCrop(scale=scale)


def test_rectangles_have_the_areas_and_ratios_that_are_asked_for():
    boxes = ResizedCrop(scale=0.5).boxes(20_000, height=200, width=200, generator=seeded(1))
    top, left, high, wide = boxes.T.double()
    area, ratio = high * wide / 200**2, wide / high
    assert 0.495 < area.min() < 0.51
    assert area.max() <= 1
    assert 0.74 < ratio.min() < ratio.max() < 1.35
    assert abs(ratio.log().mean()) < 0.01
    # By hand: rejected rectangles are drawn again, so the mean is below that of an even draw, .75.
    assert 0.68 < area.mean() < 0.72
    assert top.min() == left.min() == 0
    assert (top + high).max() == (left + wide).max() == 200
    spare = (200 - high) > 20
    assert (top + high)[spare].max() == 200
    assert abs((top[spare] / (200 - high[spare])).mean() - 0.5) < 0.02


def test_whole_numbers_stay_and_nothing_is_written():
    images = (photographs(6) * 255).to(torch.uint8)
    before = images.clone()
    found = ResizedCrop(scale=0.3)(images, generator=seeded(0))
    assert found.dtype == torch.uint8
    assert torch.equal(images, before)
    even = torch.full_like(images, 77)
    assert torch.equal(ResizedCrop(scale=0.3)(even, generator=seeded(0)), even)


def test_what_is_drawn_depends_on_the_number_of_images_only():
    left = []
    for change, side in ((ResizedCrop(), (4, 4)), (ResizedCrop(scale=0.1, flip=False), (30, 20))):
        rng = seeded(2)
        change(photographs(5, side), generator=rng)
        left.append(rng.get_state())
    assert torch.equal(*left)


@pytest.mark.parametrize("scale", [0.0, 1.5, float("nan")])
def test_scales_that_are_refused(scale: float):
    with pytest.raises(ValueError, match=r"scale is .*; expected a share .* in \(0, 1\]"):
        ResizedCrop(scale=scale)
