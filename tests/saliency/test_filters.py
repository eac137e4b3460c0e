"""Grey images and the Gaussian blur, against slow versions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mixwright.saliency import filters
from mixwright.saliency.filters import blurred, by_parts, check_blur, grey
from mixwright.sampling import stream


def mirrored(place: int, length: int) -> int:
    while not 0 <= place < length:
        place = -place if place < 0 else 2 * (length - 1) - place
        if length == 1:
            return 0
    return place


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (4, 9), (8, 8)])
@pytest.mark.parametrize(("width", "sigma"), [(3, 0.7), (7, 3.0), (11, 2.0)])
def test_the_blur_is_the_weighted_mean_of_a_mirrored_neighbourhood(size, width, sigma):
    maps = torch.rand(2, *size, generator=stream(0))
    reach = width // 2
    weight = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)]
    total = sum(weight)
    got = blurred(maps, width=width, sigma=sigma)
    for b in range(2):
        for r in range(size[0]):
            for c in range(size[1]):
                wanted = sum(
                    weight[i]
                    * weight[j]
                    * maps[b, mirrored(r + i - reach, size[0]), mirrored(c + j - reach, size[1])]
                    for i in range(width)
                    for j in range(width)
                )
                assert float(got[b, r, c]) == pytest.approx(float(wanted) / total**2, rel=1e-5)


def test_a_width_of_one_leaves_maps_as_they_are():
    maps = torch.rand(1, 4, 4, generator=stream(0))
    assert torch.equal(blurred(maps, width=1, sigma=3.0), maps)


def test_grey_is_luma_for_three_channels_and_the_mean_for_others():
    one = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1).expand(1, 3, 1, 2).clone()
    one[..., 1] *= -0.5
    torch.testing.assert_close(grey(one), torch.tensor([[[1.0, -0.5]]]))
    unequal = torch.zeros(1, 3, 1, 3)
    unequal[0, 0, 0, 0] = unequal[0, 1, 0, 1] = unequal[0, 2, 0, 2] = 1.0
    wanted = torch.tensor([[[0.299, 0.587, 0.114]]]) / 0.587
    torch.testing.assert_close(grey(unequal), wanted)
    four = torch.rand(2, 4, 3, 3, generator=stream(0))
    mean = four.mean(dim=1)
    torch.testing.assert_close(grey(four), mean / mean.amax(dim=(1, 2), keepdim=True))


def test_many_large_maps_are_blurred_as_each_by_itself():
    maps = torch.rand(5, 300, 301, generator=stream(0))
    alone = [blurred(one[None], width=5, sigma=2.0) for one in maps]
    assert torch.equal(blurred(maps, width=5, sigma=2.0), torch.cat(alone))


def test_parts_give_what_the_whole_gives(monkeypatch):
    """Two maps at a time, with other rows that go with them; the last part is one map."""
    monkeypatch.setattr(filters, "_CACHED", 2 * 3 * 4)
    seen = []

    def weighed(maps: Tensor, weight: Tensor) -> Tensor:
        seen.append(len(maps))
        return maps * weight[:, None, None]

    maps, weight = torch.rand(5, 3, 4, generator=stream(0)), torch.arange(5.0)
    assert torch.equal(by_parts(weighed, maps, weight), maps * weight[:, None, None])
    assert seen == [2, 2, 1]


@pytest.mark.parametrize(
    ("blur", "sigma", "message"),
    [
        (4, 1.0, "blur is 4; expected an odd"),
        (0, 1.0, "blur is 0; expected a whole"),
        (True, 1.0, "blur is True"),
        (3.0, 1.0, "blur is 3.0"),
        (3, 0.0, "sigma is 0.0"),
        (3, math.inf, "sigma is inf"),
        (3, math.nan, "sigma is nan"),
        (3, "1", "sigma is '1'"),
    ],
)
def test_kernels_that_are_none_are_refused(blur, sigma, message):
    with pytest.raises(ValueError, match=f"X: {message}"):
        check_blur("X", blur, sigma)
