"""Patches that hide a growing share of an image, and what is left of the accuracy."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lab.evaluation.judged import MEAN, Counting, images_and_labels, small, subject
from lab.evaluation.small import small_subject
from mixwright.lab.evaluation.occlusion import (
    Occlusion,
    area_under,
    half_point,
    occlude,
    occlusion_patch,
    patch_ranks,
)
from mixwright.lab.evaluation.predictions import logits_of, rank
from mixwright.sampling import stream


@pytest.mark.parametrize(
    ("sides", "patch"),
    [((32, 32), 2), ((64, 64), 4), ((28, 28), 2), ((224, 224), 16), ((8, 8), 1), ((30, 45), 1)],
)
def test_patches_are_as_much_of_the_side_as_in_the_paper(
    sides: tuple[int, int], patch: int
) -> None:
    assert occlusion_patch(*sides) == patch


@given(ratio=st.floats(0, 1), fewer=st.floats(0, 1), seed=st.integers(0, 99))
def test_the_hidden_share_is_exact_and_nested(ratio: float, fewer: float, seed: int) -> None:
    images = torch.ones(3, 2, 6, 4)
    ranks = patch_ranks(3, 6, generator=stream(seed))
    fill = torch.tensor(0.0)
    most, least = max(ratio, fewer), min(ratio, fewer)
    more = occlude(images, ranks, most, patch=2, fill=fill)
    less = occlude(images, ranks, least, patch=2, fill=fill)
    assert (more == 0).sum(dim=(1, 2, 3)).tolist() == [round(6 * most) * 8] * 3
    assert bool((more[less == 0] == 0).all())


def test_patches_are_whole_and_pixels_outside_are_untouched() -> None:
    images = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    kept = images.clone()
    fill = torch.tensor([2.0, 3.0, 4.0]).view(1, 3, 1, 1)
    ranks = patch_ranks(4, 9, generator=stream(1))
    seen = occlude(images, ranks, 0.5, patch=2, fill=fill)
    assert torch.equal(images, kept)
    for b in range(4):
        for cell in range(9):
            row, column = 2 * (cell // 3), 2 * (cell % 3)
            part = seen[b, :, row : row + 2, column : column + 2]
            own = images[b, :, row : row + 2, column : column + 2]
            hidden = int(ranks[b, cell]) < round(0.5 * 9)
            assert torch.equal(part, fill[0].expand_as(own) if hidden else own)


def test_every_patch_is_as_likely_to_go_first() -> None:
    ranks = patch_ranks(1000, 4, generator=stream(2))
    assert sorted(ranks[0].tolist()) == [0, 1, 2, 3]
    first = (ranks == 0).double().mean(dim=0)
    torch.testing.assert_close(first, torch.full_like(first, 0.25), atol=0.06, rtol=0)


def test_area_and_half_point_by_hand() -> None:
    ratios = [0.0, 0.45, 0.9, 1.0]
    assert area_under(ratios, [1.0, 0.5, 0.0, 0.7]) == pytest.approx(0.5)
    assert area_under(ratios, [0.3] * 4) == pytest.approx(0.3)
    assert half_point(ratios, [0.8, 0.6, 0.2, 0.1]) == pytest.approx(0.675)
    assert half_point(ratios, [0.8, 0.7, 0.6, 0.5]) is None
    assert half_point(ratios, [0.8, 0.4, 0.6, 0.1]) == pytest.approx(0.45)


def clean_of(judge: Any) -> Tensor:
    logits, labels = logits_of(judge.model, list(judge.batches()))
    return rank(logits, labels) == 0


@pytest.mark.parametrize("fill", ["mean", "black", "noise"])
@pytest.mark.parametrize("per_batch", [False, True])
def test_nothing_hidden_is_the_clean_accuracy_and_all_hidden_the_floor(
    fill: Any, per_batch: bool
) -> None:
    judge = subject(small(), cache=(cache := Counting()))
    part = Occlusion(ratios=(0, 0.3, 0.9, 1), seeds=2, fill=fill, patch=3, per_batch=per_batch)
    found = part.measure(judge)
    json.dumps(found.summary)
    correct = found.arrays["correct"]
    assert correct.shape == (4, 2, 20)
    assert correct.dtype == torch.bool
    clean = clean_of(judge)
    ids = found.arrays["ids"]  # classes in turn, not in the set's own order
    assert torch.equal(correct[0], clean[ids].expand(2, -1))
    floor = found.summary["floor"]
    if fill == "noise":
        assert floor is None
    else:
        assert floor == found.summary["accuracy"][3]
        guess = correct[3, 0].nonzero().flatten()
        labels = images_and_labels()[1][ids]
        assert len(set(labels[guess].tolist())) == 1
        assert floor == float((labels == labels[guess[0]]).double().mean())
    assert found.summary["grid"] == [4, 4]
    assert cache.made == ["seed-0", "seed-1"]


def test_the_summary_averages_over_orders() -> None:
    found = Occlusion(ratios=(0, 0.5, 0.9), seeds=3, patch=2).measure(subject(small()))
    per_seed = found.arrays["correct"].double().mean(dim=2)
    assert found.summary["accuracy"] == pytest.approx(per_seed.mean(dim=1).tolist())
    assert found.summary["deviation"] == pytest.approx(per_seed.std(dim=1).tolist())
    areas = [area_under([0, 0.5, 0.9], one) for one in per_seed.T.tolist()]
    assert found.summary["auc"] == pytest.approx(sum(areas) / 3)
    assert found.summary["clean"] == found.summary["accuracy"][0]


class Blind(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([0.0, 0.0, 1.0, 0.0]).expand(len(images), -1)


def test_a_model_that_ignores_the_image_is_flat() -> None:
    found = Occlusion(ratios=(0, 0.5, 1), seeds=2).measure(subject(Blind()))
    assert len(set(found.summary["accuracy"])) == 1
    assert found.summary["half"] is None
    assert found.summary["floor"] == found.summary["auc"] == found.summary["clean"]


def test_the_floor_is_of_the_images_that_are_looked_at() -> None:
    whole = small_subject(mixer=None, test=40)
    rows = whole.data.test.labels.argsort()  # by class, of which ten images each
    data = replace(whole.data, test=whole.data.test.subset(rows))
    found = Occlusion(ratios=(0, 1), seeds=1, count=8).measure(
        replace(whole, model=Blind(), data=data)
    )
    # Two images of each of four classes are looked at, and the model always names the third;
    # the first eight are all of the first.
    assert found.summary["floor"] == found.summary["clean"] == 0.25


class Looking(nn.Module):
    """Remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.clone())
        return images.mean(dim=(2, 3))[:, [0, 1, 2, 0]]


def hidden_patches(part: Occlusion, batch_size: int, count: int = 120) -> list[Tensor]:
    """``(ratios, count, cells)`` of each seed, where the mean colour is seen."""
    judge = subject(model := Looking(), count=count, side=4, batch_size=batch_size)
    part.measure(judge)
    steps = len(part.ratios)
    passes = len(list(judge.batches()))
    colour = torch.tensor(MEAN).view(1, 3, 1, 1)
    masks = [(one == colour).all(dim=1).flatten(1) for one in model.seen]
    found = []
    for seed in range(part.seeds):
        batches = masks[seed * passes * steps : (seed + 1) * passes * steps]
        found.append(torch.stack([torch.cat(batches[step::steps]) for step in range(steps)]))
    return found


def test_each_image_has_its_own_nested_patches_whatever_the_batches() -> None:
    part = Occlusion(ratios=(0, 0.25, 0.5, 0.75), seeds=2, patch=1)
    first, second = hidden_patches(part, batch_size=50)
    assert first.sum(dim=2).float().mean(dim=1).tolist() == [0, 4, 8, 12]
    assert all(bool((first[k] <= first[k + 1]).all()) for k in range(3))
    assert not torch.equal(first, second)
    assert len({tuple(row) for row in first[2].tolist()}) > 100
    again, _ = hidden_patches(part, batch_size=33)
    assert torch.equal(first, again)


def test_the_papers_protocol_shares_patches_among_a_hundred_images() -> None:
    part = Occlusion(ratios=(0, 0.25, 0.5, 0.75), seeds=1, patch=1, per_batch=True)
    (found,) = hidden_patches(part, batch_size=33)
    for turn in range(1, 4):
        assert len({tuple(row) for row in found[turn, :100].tolist()}) == 1
        assert len({tuple(row) for row in found[turn, 100:].tolist()}) == 1
        assert not torch.equal(found[turn, 0], found[turn, 100])
    assert not all(bool((found[k] <= found[k + 1]).all()) for k in range(3))


def test_pictures_show_what_the_model_was_shown() -> None:
    part = Occlusion(ratios=(0, 0.5, 1), seeds=1, patch=2)
    arrays = part.measure(subject(small())).arrays
    shown = arrays["shown"]
    assert shown.shape == (2, 3, 3, 12, 12)
    assert torch.equal(shown[:, 0], images_and_labels()[0][arrays["ids"][:2]])
    colour = torch.tensor(MEAN).mul(255).round().to(torch.uint8)
    assert bool((shown[:, 2] == colour[:, None, None]).all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratios": (0.1, 0.5)}, "rising, from 0"),
        ({"ratios": (0, 0.5, 0.5)}, "rising, from 0"),
        ({"ratios": (0, 1.5)}, "ratios is 1.5"),
        ({"ratios": (0,)}, "two or more"),
        ({"seeds": 0}, "seeds is 0"),
        ({"fill": "grey"}, "fill is 'grey'"),
        ({"patch": -1}, "patch is -1"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Occlusion(**options)


def test_a_patch_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="patch is 5, images are 12 x 12"):
        Occlusion(patch=5).measure(subject(small()))
    with pytest.raises(ValueError, match="one rank per image"):
        occlude(
            torch.zeros(2, 3, 4, 4),
            torch.zeros(2, 3, dtype=torch.long),
            0.5,
            patch=2,
            fill=torch.tensor(0),
        )
