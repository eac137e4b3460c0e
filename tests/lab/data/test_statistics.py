from pathlib import Path

import pytest
import torch

from mixwright.lab.data import ImageSet
from mixwright.lab.data.statistics import channel_statistics


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_against_all_pixels_at_once(chunk: int):
    pixels = torch.randint(256, (50, 3, 5, 4), generator=torch.Generator().manual_seed(0)).byte()
    mean, std = channel_statistics(
        ImageSet(pixels, torch.zeros(50).long()), mebibytes=chunk * 60 / 2**20
    )
    scaled = pixels.double() / 255
    assert mean == pytest.approx(scaled.mean(dim=(0, 2, 3)).tolist(), abs=1e-12)
    assert std == pytest.approx(scaled.std(dim=(0, 2, 3), correction=0).tolist(), abs=1e-12)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="counts as Linux does")
def test_large_images_take_no_more_memory_than_small_ones():
    """Of 72 MiB of pixels; the work was on 17 times as much.

    The bound leaves room for pages of the process that had been reclaimed and come back.
    """
    images = ImageSet(torch.full((96, 3, 512, 512), 7, dtype=torch.uint8), torch.zeros(96).long())
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    assert channel_statistics(images)[0] == pytest.approx((7 / 255,) * 3)
    assert resident("VmHWM") - before < 400


def resident(name: str) -> float:
    """MiB of this process that the kernel gives under a name."""
    (line,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)
    ]
    return int(line.split()[1]) / 1024


def test_known_answer_and_a_channel_that_never_changes():
    pixels = torch.zeros(2, 2, 1, 1, dtype=torch.uint8)
    pixels[1, 0] = 255
    pixels[:, 1] = 51
    mean, std = channel_statistics(ImageSet(pixels, torch.zeros(2).long()))
    assert mean == pytest.approx((0.5, 0.2))
    assert std == pytest.approx((0.5, 1.0))
