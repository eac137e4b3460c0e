import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mixwright.data import Augment


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
