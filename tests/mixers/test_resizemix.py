"""ResizeMix: the pasted block is the partner, resized by itself."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mixwright.mixers import ResizeMix
from mixwright.plan import MixPlan
from mixwright.sampling import stream


def edges(plan: MixPlan) -> list[list[list[int]]]:
    assert plan.boxes is not None
    return plan.boxes.tolist()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("size", [(16, 16), (12, 21)])
def test_the_pasted_block_is_the_partner_resized(dtype, size):
    images = torch.randint(256, (40, 3, *size), generator=stream(0)).to(dtype)
    plan = ResizeMix().plan(images, generator=stream(1))
    mixed = plan.images(images)
    height, width = size
    for b, ((top, bottom), (left, right)) in enumerate(edges(plan)):
        assert 0 <= top <= bottom <= height
        assert 0 <= left <= right <= width
        tall, wide = bottom - top, right - left
        rows = [r * height // tall for r in range(tall)]
        columns = [c * width // wide for c in range(wide)]
        wanted = images[b].clone()
        small = images[plan.index[b, 1]][:, rows][:, :, columns]
        wanted[:, top:bottom, left:right] = small
        assert torch.equal(mixed[b], wanted)
        assert plan.weight[b, 1].item() == pytest.approx(tall * wide / (height * width), abs=1e-6)


@pytest.mark.parametrize(("interpolation", "antialias"), [("bilinear", False), ("antialias", True)])
def test_smooth_resizing_is_that_of_interpolate(interpolation, antialias):
    images = torch.rand(30, 2, 16, 16, generator=stream(0))
    plan = ResizeMix(interpolation=interpolation).plan(images, generator=stream(1))
    mixed = plan.images(images)
    for b, ((top, bottom), (left, right)) in enumerate(edges(plan)):
        if bottom > top:
            small = F.interpolate(
                images[plan.index[b, 1]][None],
                size=(bottom - top, right - left),
                mode="bilinear",
                antialias=antialias,
            )[0]
            got = mixed[b, :, top:bottom, left:right]
            torch.testing.assert_close(got, small, atol=1e-5, rtol=0)


def test_sides_have_the_law_that_was_asked_for():
    many = torch.zeros(6000, 1, 100, 100)
    for mixer, mean in (
        (ResizeMix(), 0.45),
        (ResizeMix(scope=(0.2, 0.4)), 0.3),
        # Beta(1, 1) within the scope is the uniform law again, Beta(8, 8) is not.
        (ResizeMix(law="beta", alpha=1.0), 0.45),
        (ResizeMix(law="beta", alpha=8.0, scope=(0.1, 0.9)), 0.5),
    ):
        boxes = mixer.plan(many, generator=stream(0)).boxes
        assert boxes is not None
        sides = (boxes[:, 0, 1] - boxes[:, 0, 0]) / 100
        assert sides.mean().item() == pytest.approx(mean, abs=0.01)
        assert sides.min() >= mixer.scope[0] - 0.01
        assert sides.max() <= mixer.scope[1]
    assert sides.std() < 0.13  # U(0.1, 0.9) has 0.23, Beta(8, 8) 0.12


def test_the_authors_draw_a_size_for_the_batch_and_a_place_for_each():
    plan = ResizeMix(per="batch").plan(torch.zeros(30, 1, 32, 32), generator=stream(0))
    assert plan.boxes is not None
    sides = plan.boxes[..., 1] - plan.boxes[..., 0]
    assert len(sides.unique(dim=0)) == 1
    assert len(plan.boxes.unique(dim=0)) > 10


def test_clipped_boxes_hold_the_whole_partner_squeezed():
    images = torch.rand(200, 1, 16, 16, generator=stream(0))
    plan = ResizeMix(placement="official-clip", lam=0.5).plan(images, generator=stream(1))
    mixed = plan.images(images)
    squeezed = 0
    for b, ((top, bottom), (left, right)) in enumerate(edges(plan)):
        tall, wide = bottom - top, right - left
        squeezed += tall != wide
        other = images[plan.index[b, 1], 0]
        assert torch.equal(mixed[b, 0, top, left], other[0, 0])
        rows, columns = (tall - 1) * 16 // tall, (wide - 1) * 16 // wide
        assert torch.equal(mixed[b, 0, bottom - 1, right - 1], other[rows, columns])
    assert squeezed > 50


def test_a_tau_of_one_shows_the_partner_alone():
    images = torch.rand(5, 1, 9, 14, generator=stream(0))
    plan = ResizeMix(lam=0.0).plan(images, generator=stream(1))
    assert torch.equal(plan.images(images), images[plan.index[:, 1]])


def test_no_pixel_of_a_side_is_lost_to_rounding():
    for length in (7, 10, 23, 60, 224):
        images = torch.zeros(2, 1, length, 1)
        for side in range(1, length + 1):
            mixer = ResizeMix(lam=1 - (side / length) ** 2)
            (top, bottom), _ = edges(mixer.plan(images, generator=stream(0)))[0]
            assert bottom - top == side


def test_boxes_without_pixels_leave_the_sample():
    images = torch.rand(5, 1, 4, 4, generator=stream(0))
    plan = ResizeMix(scope=(0.1, 0.2)).plan(images, generator=stream(1)).check()
    assert torch.equal(plan.images(images), images)
    assert torch.equal(plan.weight[:, 0], torch.ones(5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scope": (0.0, 0.5)}, "scope is 0.0"),
        ({"scope": (0.5, 1.1)}, "scope is 1.1"),
        ({"law": "normal"}, "law is 'normal'"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"interpolation": "cubic"}, "interpolation is 'cubic'"),
        ({"placement": "clip"}, "placement is 'clip'"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=f"ResizeMix: {message}"):
        ResizeMix(**settings)
