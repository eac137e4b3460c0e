"""Maps of class indices are no images: refused, or warned of, with the right way."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from mixwright import CutMix, Mixer, MixUp, ResizeMix
from mixwright.plan import MixPlan, checking
from mixwright.sampling import stream

MAPS = torch.tensor([[[1, 1], [1, 3]], [[3, 3], [3, 3]]])  # classes of 2 x 2 pixels
SHARE = MixPlan.pair(torch.tensor([1, 0]), torch.full((2, 1, 1, 1), 0.75))


@pytest.fixture(autouse=True)
def _not_warned_yet() -> Iterator[None]:
    before = set(checking._warned)
    checking._warned.clear()
    yield
    checking._warned.clear()
    checking._warned.update(before)


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.bool], ids=str
)
def test_whole_numbers_other_than_bytes_are_refused_with_the_right_way(dtype: torch.dtype) -> None:
    message = r"dtype torch\.\w+; expected one of uint8, .*one-hot.*one_hot\(maps\.long\(\), K\)"
    with pytest.raises(ValueError, match=message):
        SHARE.images(MAPS[:, None].to(dtype))


def test_the_right_way_gives_shares_of_the_classes_that_are_there() -> None:
    one_hot = F.one_hot(MAPS.long(), 4).movedim(-1, 1).float()
    mixed = SHARE.images(one_hot)
    assert mixed[0, :, 0, 0].tolist() == [0.0, 0.75, 0.0, 0.25]  # classes 1 and 3, no class 2
    assert mixed[1, :, 0, 0].tolist() == [0.0, 0.25, 0.0, 0.75]


def test_other_dtypes_are_refused_as_before() -> None:
    with pytest.raises(ValueError, match=r"float32, float64\.$"):
        SHARE.images(torch.zeros(2, 1, 2, 2, dtype=torch.complex64))


def _plan(mixer: Mixer) -> MixPlan:
    return mixer.plan(torch.zeros(4, 1, 8, 8), generator=stream(0))


BYTES = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)


@pytest.mark.parametrize("mixer", [MixUp(), ResizeMix()], ids=["blended", "warped"])
def test_bytes_of_one_channel_warn_once(mixer: Mixer) -> None:
    plan = _plan(mixer)
    with pytest.warns(UserWarning, match="right for greyscale.*neither source.*one-hot") as found:
        plan.images(BYTES)
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for again in (mixer, MixUp(), ResizeMix()):
            _plan(again).images(BYTES)


def test_maps_without_a_channel_are_seen_too() -> None:
    with pytest.warns(UserWarning, match=r"uint8 images of shape \(2, 2, 2\)"):
        SHARE.images(MAPS.byte())


def test_whoever_copies_whole_pixels_or_has_colours_is_not_warned() -> None:
    _plan(CutMix()).images(BYTES)
    MixPlan.identity(BYTES).images(BYTES)
    _plan(MixUp()).images(BYTES.expand(4, 3, 8, 8))
    _plan(MixUp()).images(BYTES.float())
