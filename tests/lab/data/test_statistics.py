import pytest
import torch

from mixwright.lab.data import ImageSet
from mixwright.lab.data.statistics import channel_statistics


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_against_all_pixels_at_once(chunk: int):
    pixels = torch.randint(256, (50, 3, 5, 4), generator=torch.Generator().manual_seed(0)).byte()
    mean, std = channel_statistics(ImageSet(pixels, torch.zeros(50).long()), chunk=chunk)
    scaled = pixels.double() / 255
    assert mean == pytest.approx(scaled.mean(dim=(0, 2, 3)).tolist(), abs=1e-12)
    assert std == pytest.approx(scaled.std(dim=(0, 2, 3), correction=0).tolist(), abs=1e-12)


def test_known_answer_and_a_channel_that_never_changes():
    pixels = torch.zeros(2, 2, 1, 1, dtype=torch.uint8)
    pixels[1, 0] = 255
    pixels[:, 1] = 51
    mean, std = channel_statistics(ImageSet(pixels, torch.zeros(2).long()))
    assert mean == pytest.approx((0.5, 0.2))
    assert std == pytest.approx((0.5, 1.0))
