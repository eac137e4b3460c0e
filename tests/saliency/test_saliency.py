"""Asking for saliency: once a step, safe, summing to 1."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from mixwright import CutMix, OneOf
from mixwright.mixers import SaliencyMix
from mixwright.saliency import SALIENCIES, Saliency, blocks_of, normalised, salience, sharing
from mixwright.sampling import stream
from probe import Probe


class Counted:
    """A provider that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(
        self, images: Tensor, labels: Tensor | None = None, *, model: object = None
    ) -> Tensor:
        self.asked += 1
        return images.mean(dim=1)


@pytest.mark.parametrize("word", SALIENCIES)
@pytest.mark.parametrize("size", [(8, 8), (5, 11), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_every_word_gives_maps_that_sum_to_one(word, size, dtype):
    assert isinstance(SALIENCIES[word](), Saliency)
    images = (torch.rand(3, 3, *size, generator=stream(0)) * 255).to(dtype)
    kept = images.clone()
    maps = salience(word, images, torch.arange(3), model=Probe(), name="Test")
    assert maps.shape == (3, *size)
    assert maps.dtype == torch.float32
    assert not maps.requires_grad
    assert (maps >= 0).all()
    torch.testing.assert_close(maps.sum(dim=(1, 2)), torch.ones(3))
    assert torch.equal(images, kept)


@pytest.mark.parametrize("word", ["gradient", "cam", "features"])
def test_what_a_word_needs_is_asked_for(word):
    with pytest.raises(ValueError, match=r"Test: model missing.*Pass model="):
        salience(word, torch.rand(2, 3, 8, 8), torch.arange(2), model=None, name="Test")
    if "labels" in SALIENCIES[word]().needs:
        with pytest.raises(ValueError, match="Test: labels missing"):
            salience(word, torch.rand(2, 3, 8, 8), None, model=Probe(), name="Test")


def test_maps_are_made_once_a_step_where_they_are_shared():
    counted, images = Counted(), torch.rand(4, 3, 8, 8)
    with sharing():
        a = salience(counted, images, None, model=None, name="A")
        with sharing():
            b = salience(counted, images, None, model=None, name="B")
    assert a is b
    assert counted.asked == 1
    salience(counted, images, None, model=None, name="A")
    salience(counted, images, None, model=None, name="A")
    assert counted.asked == 3


def test_mixers_of_one_step_share_and_steps_do_not():
    counted = Counted()
    mixer = OneOf(SaliencyMix(saliency=counted), SaliencyMix(saliency=counted, alpha=0.5), CutMix())
    images = torch.rand(16, 3, 8, 8)
    for step in range(1, 4):
        mixer.plan(images, torch.arange(16), generator=stream(step))
        assert counted.asked == step


def test_other_images_in_the_same_step_have_their_own_maps():
    counted = Counted()
    with sharing():
        maps = [
            salience(counted, torch.full((1, 1, 2, 2), float(k)), None, model=None, name="A")
            for k in range(20)  # freed at once: their ids must not be taken for one another
        ]
    assert counted.asked == 20
    assert len(maps) == 20


def test_normalising_survives_extreme_values():
    inf, nan = torch.inf, torch.nan
    maps = [[1e38, 3e38], [1e-40, 0], [0, 0], [nan, 1], [inf, 1], [-1, 2], [-inf, 1], [-2, -1]]
    wanted = [[0.25, 0.75], [1, 0], *[[0.5, 0.5]] * 3, [0, 1], [0.5, 0.5], [0.5, 0.5]]
    done = normalised(torch.tensor(maps)[:, None])[:, 0]
    rows = [0, *range(2, 8)]
    torch.testing.assert_close(done[rows], torch.tensor(wanted)[rows])
    assert done[1].sum() == pytest.approx(1)


def test_block_sums_keep_the_whole():
    maps = torch.rand(2, 6, 10, generator=stream(0))
    blocks = blocks_of(maps, (3, 2))
    slow = maps.view(2, 3, 2, 2, 5).sum(dim=(2, 4))
    torch.testing.assert_close(blocks, slow)
    torch.testing.assert_close(blocks_of(maps, (4, 3)).sum(dim=(1, 2)), maps.sum(dim=(1, 2)))


def test_providers_without_hash_are_shared_by_themselves():
    @dataclass
    class Plain(Counted):
        power: float = 1.0
        asked: int = 0

    one, other, images = Plain(), Plain(), torch.rand(16, 3, 8, 8)
    mixer = OneOf(SaliencyMix(saliency=one), SaliencyMix(saliency=one, alpha=0.5), CutMix())
    mixer.plan(images, generator=stream(1))
    assert one.asked == 1
    with sharing():
        for provider in (one, other, one):
            salience(provider, images, None, model=None, name="A")
    assert (one.asked, other.asked) == (2, 1)
