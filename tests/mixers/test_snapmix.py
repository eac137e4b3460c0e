"""SnapMix: two boxes, one resized into the other, and labels by what they hold."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.mixers.snapmix import SnapMix, shares_of, whole_or_nothing
from mixwright.plan import MixPlan
from mixwright.sampling import stream
from mixwright.warps import Rect


class Given:
    """A provider that gives the maps that it was made with."""

    def __init__(self, maps: Tensor) -> None:
        self.maps = maps

    def __call__(
        self, images: Tensor, labels: Tensor | None = None, *, model: nn.Module | None = None
    ) -> Tensor:
        return self.maps


def boxes(plan: MixPlan) -> tuple[list[list[list[int]]], list[list[list[int]]]]:
    """The target and source boxes of a plan."""
    assert plan.boxes is not None
    assert plan.warp is not None
    warp = plan.warp[1]
    assert isinstance(warp, Rect)
    return plan.boxes.tolist(), warp.source.long().tolist()


def area(box: list[list[int]]) -> int:
    return (box[0][1] - box[0][0]) * (box[1][1] - box[1][0])


@pytest.mark.parametrize("size", [(16, 16), (12, 21)])
def test_pixels_and_labels_are_those_of_the_definition(size):
    images = torch.rand(40, 2, *size, generator=stream(0))
    maps = torch.rand(40, *size, generator=stream(1)) ** 4
    plan = SnapMix(beta=2.0, saliency=Given(maps)).plan(images, generator=stream(2)).check()
    mixed = plan.images(images)
    unit = maps.double() / maps.double().sum(dim=(1, 2), keepdim=True)
    seen = 0
    for b, (target, source) in enumerate(zip(*boxes(plan), strict=True)):
        (top, bottom), (left, right) = target
        wanted, partner = images[b].clone(), int(plan.index[b, 1])
        weight = [1.0, 0.0]
        if area(target):
            seen += 1
            (up, down), (west, east) = source
            wanted[:, top:bottom, left:right] = F.interpolate(
                images[partner][None, :, up:down, west:east],
                size=(bottom - top, right - left),
                mode="bilinear",
                align_corners=True,
            )[0]
            weight = [
                1 - float(unit[b, top:bottom, left:right].sum()),
                float(unit[partner, up:down, west:east].sum()),
            ]
        torch.testing.assert_close(mixed[b], wanted, atol=1e-5, rtol=0)
        assert plan.weight[b].tolist() == pytest.approx(weight, abs=1e-5)
    assert seen > 20


def test_boxes_are_drawn_independently_with_the_law_of_the_share():
    images = torch.zeros(3000, 1, 64, 64)
    plan = SnapMix(saliency=Given(torch.ones(3000, 64, 64))).plan(images, generator=stream(0))
    assert plan.lam is not None
    assert plan.lam.mean().item() == pytest.approx(0.5, abs=0.01)
    assert plan.lam.std().item() == pytest.approx((1 / 44) ** 0.5, rel=0.05)  # Beta(5, 5)
    target, source = (torch.tensor([area(box) for box in side]).float() for side in boxes(plan))
    some = target > 0
    both = torch.stack([target, source])[:, some]
    assert both.mean(dim=1).std() < 0.02 * both.mean()
    assert torch.corrcoef(both)[0, 1].abs() < 0.06
    # The side that was asked for follows lam; boxes wholly inside have exactly that area.
    side = (64 * (1 - plan.lam).sqrt()).long() // 2 * 2
    assert (target <= side.float() ** 2).all()
    assert (target == side.float() ** 2).float().mean() > 0.01


def test_even_maps_give_shares_of_area():
    for maps in (torch.ones(30, 12, 20), torch.full((30, 12, 20), torch.nan)):
        mixer = SnapMix(beta=1.0, saliency=Given(maps))
        plan = mixer.plan(torch.zeros(30, 1, 12, 20), generator=stream(0)).check()
        for b, (target, source) in enumerate(zip(*boxes(plan), strict=True)):
            wanted = [1 - area(target) / 240, area(source) / 240] if area(target) else [1.0, 0.0]
            assert plan.weight[b].tolist() == pytest.approx(wanted, abs=1e-5)
        assert (plan.weight.sum(dim=1) - 1).abs().max() > 0.1  # areas of two boxes


def test_whole_boxes_swap_the_label_and_a_point_counts_where_it_is():
    whole = torch.tensor([[[0, 4], [0, 6]]])
    corner = torch.tensor([[[0, 2], [0, 3]]])
    maps = torch.rand(300, 4, 6, generator=stream(0))
    maps = maps / maps.sum(dim=(1, 2), keepdim=True)
    both = whole.expand(300, 2, 2)
    weight = shares_of(maps, maps, target=both, source=both)
    torch.testing.assert_close(weight, torch.tensor([[0.0, 1.0]]).expand(300, 2))
    assert (weight >= 0).all()
    assert (weight <= 1).all()
    point = torch.zeros(1, 4, 6)
    point[0, 1, 1] = 1.0
    other = point.flip(1)
    assert shares_of(point, other, target=corner, source=corner).tolist() == [[0.0, 0.0]]
    assert shares_of(other, point, target=corner, source=corner).tolist() == [[1.0, 1.0]]


def test_an_empty_box_on_either_side_mixes_nothing():
    box, none = [[1, 3], [2, 5]], [[2, 2], [1, 4]]
    target, source = torch.tensor([box, none, box]), torch.tensor([box, box, none])
    first, second, mixed = whole_or_nothing(target, source)
    assert mixed.tolist() == [True, False, False]
    assert first.tolist() == [box, [[0, 0], [0, 0]], [[0, 0], [0, 0]]]
    assert second.tolist() == [box, [[0, 0], [0, 0]], [[0, 0], [0, 0]]]
    images = torch.rand(300, 1, 5, 3, generator=stream(0))
    mixer = SnapMix(beta=0.5, saliency=Given(torch.rand(300, 5, 3, generator=stream(1))))
    plan = mixer.plan(images, generator=stream(2)).check()
    assert plan.boxes is not None
    blank = (plan.boxes[..., 0] == plan.boxes[..., 1]).any(dim=1)
    assert 20 < int(blank.sum()) < 280
    assert (plan.weight[blank] == torch.tensor([1.0, 0.0])).all()
    mixed = plan.images(images)
    assert mixed.isfinite().all()
    assert plan.at(3, 2).images(images[..., :3, :2]).isfinite().all()
    assert torch.equal(mixed[blank], images[blank])
    assert (plan.boxes[blank] == 0).all()


def test_lam_of_one_and_beta_of_zero_mix_nothing():
    images = torch.rand(4, 2, 9, 7, generator=stream(0))
    maps = Given(torch.rand(4, 9, 7, generator=stream(1)))
    for mixer in (SnapMix(lam=1.0, saliency=maps), SnapMix(beta=0.0, saliency=maps)):
        plan = mixer.plan(images, generator=stream(2))
        assert torch.equal(plan.images(images), images)
        assert plan.weight.tolist() == [[1.0, 0.0]] * 4


def test_the_official_switch_counts_pairs_of_one_class_twice():
    images = torch.rand(40, 1, 16, 16, generator=stream(0))
    maps = Given(torch.rand(40, 16, 16, generator=stream(1)))
    labels = torch.arange(40) % 2
    ours = SnapMix(beta=0.3, saliency=maps).plan(images, labels, generator=stream(2))
    official = SnapMix(beta=0.3, saliency=maps, official_same_label=True)
    for given in (labels, F.one_hot(labels).float()):
        theirs = official.plan(images, given, generator=stream(2))
        same = labels[ours.index[:, 0]] == labels[ours.index[:, 1]]
        blank = ours.weight[:, 1] == 0
        assert 0 < int((same & blank).sum()) < int(same.sum()) < 40
        both = ours.weight.sum(dim=1, keepdim=True).expand(40, 2)
        twice = same & ~blank
        torch.testing.assert_close(theirs.weight[twice], both[twice])
        assert torch.equal(theirs.weight[~twice], ours.weight[~twice])
    with pytest.raises(ValueError, match="SnapMix: labels missing"):
        official.plan(images, generator=stream(2))


def test_per_batch_draws_one_pair_of_boxes():
    maps = torch.rand(6, 16, 16, generator=stream(1))
    plan = SnapMix(per="batch", saliency=Given(maps)).plan(
        torch.rand(6, 1, 16, 16, generator=stream(0)), generator=stream(2)
    )
    target, source = boxes(plan)
    assert all(box == target[0] for box in target)
    assert all(box == source[0] for box in source)
    assert target[0] != source[0]
    assert len(plan.weight.unique(dim=0)) == 6  # each image has a map of its own


def test_the_model_and_the_labels_are_asked_for():
    images, labels = torch.rand(4, 1, 8, 8, generator=stream(0)), torch.tensor([0, 1, 2, 0])
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    plan = SnapMix().plan(images, labels, generator=stream(1), model=net).check()
    loss = plan.loss(nn.CrossEntropyLoss(reduction="none"), net(plan.images(images)), labels)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    with pytest.raises(ValueError, match="SnapMix: model missing"):
        SnapMix().plan(images, labels, generator=stream(1))
    with pytest.raises(ValueError, match="SnapMix: labels missing"):
        SnapMix().plan(images, generator=stream(1), model=net)


def test_a_batch_of_one_is_left_alone():
    images = torch.rand(1, 3, 14, 14, generator=stream(0))
    plan = SnapMix().plan(images, generator=stream(1))
    assert torch.equal(plan.images(images), images)
    assert plan.weight.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float64])
def test_other_dtypes_are_resized_in_float32_and_rounded_once(dtype):
    images = (torch.rand(6, 3, 12, 10, generator=stream(0)) * 255).to(dtype)
    maps = torch.rand(6, 12, 10, generator=stream(1))
    plan = SnapMix(beta=2.0, saliency=Given(maps)).plan(images, generator=stream(2))
    mixed, wide = plan.images(images), plan.images(images.double())
    assert mixed.dtype == dtype
    step = {torch.uint8: 0.5001, torch.bfloat16: 0.5001, torch.float64: 0.0}[dtype]
    assert (mixed.double() - wide).abs().max() <= step


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": -1.0}, "beta is -1.0"),
        ({"beta": True}, "beta is True"),
        ({"lam": 1.5}, "lam is 1.5"),
        ({"official_same_label": "yes"}, "official_same_label is 'yes'"),
        ({"saliency": "x"}, "saliency is 'x'"),
        ({"per": "x"}, "per is 'x'"),
        ({"pairing": "x"}, "pairing is 'x'"),
    ],
)
def test_bad_arguments_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"SnapMix: {message}"):
        SnapMix(**settings)
