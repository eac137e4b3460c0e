"""Random erasing: where, how often, and with what."""

import pytest
import torch

from mixwright.lab.data.erase import EraseMode, RandomErasing

MEAN, STD = (0.2, 0.5, 0.7), (0.05, 0.1, 0.02)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def erasing(p: float, mode: EraseMode) -> RandomErasing:
    return RandomErasing(p, MEAN, STD, mode)


@pytest.mark.parametrize("mode", ["pixel", "rand", "const"])
def test_only_the_rectangles_are_erased(mode: EraseMode):
    images = torch.full((60, 3, 11, 14), 255, dtype=torch.uint8)
    erase = erasing(0.5, mode)
    found = erase(images, generator=seeded(1))
    boxes = erase.boxes(60, height=11, width=14, generator=seeded(1)).tolist()
    assert 0 < sum(high == 0 for _, _, high, _ in boxes) < 60
    for image, (top, left, high, wide) in zip(found, boxes, strict=True):
        changed = torch.zeros(11, 14, dtype=torch.bool)
        changed[top : top + high, left : left + wide] = True
        assert torch.equal((image < 255).all(0), changed)  # 0.7 + 5 x 0.02 stays below white
        if mode != "pixel" and high:
            assert len(image[:, changed].unique(dim=1).T) == 1
    assert torch.equal(images, torch.full_like(images, 255))
    assert found.dtype == torch.uint8


def test_the_constant_is_the_mean_colour():
    found = erasing(1, "const")(
        torch.full((8, 3, 9, 9), 255, dtype=torch.uint8), generator=seeded(0)
    )
    inside = found[:, 0] < 255
    for channel, mean in enumerate(MEAN):
        assert set(found[:, channel][inside].tolist()) == {round(mean * 255)}


def test_the_noise_has_the_statistics_of_the_data():
    images = torch.full((400, 3, 16, 16), 255, dtype=torch.uint8)
    found = erasing(1, "pixel")(images, generator=seeded(0)).float() / 255
    inside = found[:, 2] < 1
    for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
        values = found[:, channel][inside]
        assert values.mean() == pytest.approx(mean, abs=0.002)
        assert values.std() == pytest.approx(std, abs=0.002)


def test_rates_areas_and_ratios_are_those_of_timm():
    boxes = erasing(0.25, "pixel").boxes(20_000, height=200, width=200, generator=seeded(2))
    erased = boxes[:, 2] > 0
    assert erased.double().mean() == pytest.approx(0.25, abs=0.015)
    top, left, high, wide = boxes[erased].T.double()
    share, ratio = high * wide / 200**2, high / wide
    assert 0.019 < share.min() < 0.025
    assert 0.32 < share.max() < 0.336
    assert 0.29 < ratio.min() < 0.32
    assert 3.1 < ratio.max() < 3.45
    assert abs(ratio.log().mean()) < 0.05
    # By hand: even in [0.02, 1/3]; few tries are too long for a side.
    assert share.mean() == pytest.approx(0.1767, abs=0.005)
    assert top.min() == left.min() == 0
    assert (top + high).max() == (left + wide).max() == 200


def test_images_too_small_for_a_rectangle_stay():
    images = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1)
    erase = RandomErasing(1.0, (0.5,), (0.1,))
    assert torch.equal(erase(images, generator=seeded(0)), images)


def test_one_seed_gives_one_result():
    images, state = torch.zeros(9, 3, 8, 8, dtype=torch.uint8), torch.random.get_rng_state()
    first, again, other = (erasing(1, "pixel")(images, generator=seeded(k)) for k in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"p is 1\.5"):
        erasing(1.5, "pixel")
    with pytest.raises(ValueError, match="mode is 'noise'; expected one of 'pixel', 'rand'"):
        erasing(1, "noise")  # type: ignore[arg-type]


def test_no_rectangle_is_as_long_as_a_side():
    high, wide = erasing(1, "pixel").boxes(3000, height=4, width=40, generator=seeded(3)).T[2:]
    assert high.max() == 3
    assert wide.max() < 40
