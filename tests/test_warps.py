"""Warps against cropping, resizing and mirroring done by hand or by torch."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mixwright.sampling import stream
from mixwright.warps import Affine, Blocks, Interpolation, Rect

HEIGHT, WIDTH = 8, 12
IMAGES = torch.rand(2, 3, HEIGHT, WIDTH, generator=stream(1))


def _rect(
    source: list[list[float]],
    target: list[list[float]],
    interpolation: Interpolation = "nearest",
    rows: Tensor | None = None,
) -> Rect:
    count = 2 if rows is None else len(rows)
    return Rect(
        source=torch.tensor([source]).expand(count, 2, 2),
        target=torch.tensor([target]).expand(count, 2, 2),
        size=(HEIGHT, WIDTH),
        interpolation=interpolation,
        rows=rows,
    )


FULL = [[0.0, HEIGHT], [0.0, WIDTH]]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "antialias", "corners"])
def test_the_whole_image_on_itself_is_the_image(interpolation: Interpolation) -> None:
    shown = _rect(FULL, FULL, interpolation).apply(IMAGES)
    torch.testing.assert_close(shown, IMAGES)


def test_nearest_equals_an_independent_resize() -> None:
    shown = _rect(FULL, [[2.0, 6.0], [3.0, 8.0]]).apply(IMAGES)
    for r in range(2, 6):
        for c in range(3, 8):
            row, column = (r - 2) * HEIGHT // 4, (c - 3) * WIDTH // 5
            assert torch.equal(shown[..., r, c], IMAGES[..., row, column])


@pytest.mark.parametrize(("interpolation", "antialias"), [("bilinear", False), ("antialias", True)])
def test_linear_resizes_equal_those_of_torch(interpolation: Interpolation, antialias: bool) -> None:
    shown = _rect(FULL, [[1.0, 5.0], [2.0, 8.0]], interpolation).apply(IMAGES)
    expected = F.interpolate(
        IMAGES, (4, 6), mode="bilinear", align_corners=False, antialias=antialias
    )
    torch.testing.assert_close(shown[..., 1:5, 2:8], expected, atol=2e-3, rtol=0)


def test_corners_lie_on_corners() -> None:
    source, target = [[1.0, 5.0], [2.0, 11.0]], [[2.0, 8.0], [3.0, 9.0]]
    shown = _rect(source, target, "corners").apply(IMAGES)
    cut = IMAGES[..., 1:5, 2:11]
    expected = F.interpolate(cut, (6, 6), mode="bilinear", align_corners=True)
    torch.testing.assert_close(shown[..., 2:8, 3:9], expected)
    mirrored = _rect([[5.0, 1.0], [11.0, 2.0]], target, "corners").apply(IMAGES)
    torch.testing.assert_close(mirrored[..., 2:8, 3:9], expected.flip(2, 3))


def test_corners_of_a_target_of_one_pixel_show_the_first_of_the_source() -> None:
    shown = _rect([[1.0, 5.0], [2.0, 11.0]], [[3.0, 4.0], [6.0, 7.0]], "corners").apply(IMAGES)
    torch.testing.assert_close(shown[..., 3, 6], IMAGES[..., 1, 2])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32])
def test_blocks_move_whole_blocks(dtype: torch.dtype) -> None:
    images = (IMAGES * 255).to(dtype)
    perm = torch.tensor([[5, 4, 3, 2, 1, 0], [0, 0, 2, 2, 4, 1]])
    warp = Blocks(perm=perm, grid=(2, 3))
    shown = warp.apply(images)
    for b in range(2):
        for k in range(6):
            (r, c), (sr, sc) = divmod(k, 3), divmod(int(perm[b, k]), 3)
            block = shown[b, :, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
            assert torch.equal(block, images[b, :, 4 * sr : 4 * sr + 4, 4 * sc : 4 * sc + 4])
    one = warp.one_by_one()
    window = (slice(None), slice(1, 6), slice(2, 9))
    for b in range(2):
        assert torch.equal(one(images[b], b, None), shown[b])
        assert torch.equal(one(images[b], b, window), shown[b][window])


def test_blocks_fit_feature_maps_and_refuse_what_they_do_not_divide() -> None:
    warp = Blocks(perm=torch.tensor([[1, 0]]), grid=(1, 2))
    small = torch.arange(4.0).view(1, 1, 2, 2)
    assert warp.at((2, 2)).apply(small).flatten().tolist() == [1, 0, 3, 2]
    with pytest.raises(ValueError, match="grid of 1 x 2 blocks divides"):
        warp.apply(torch.zeros(1, 1, 2, 3))


def test_falling_edges_mirror() -> None:
    shown = _rect([[0.0, HEIGHT], [WIDTH, 0.0]], FULL).apply(IMAGES)
    assert torch.equal(shown, IMAGES.flip(3))


def test_a_shift_repeats_the_border() -> None:
    shown = _rect([[2.0, HEIGHT + 2.0], [-3.0, WIDTH - 3.0]], FULL).apply(IMAGES)
    rows = (torch.arange(HEIGHT) + 2).clamp_max(HEIGHT - 1)
    columns = (torch.arange(WIDTH) - 3).clamp_min(0)
    assert torch.equal(shown, IMAGES[:, :, rows][..., columns])


def test_only_the_named_rows_are_warped_and_the_input_stays() -> None:
    before = IMAGES.clone()
    rows = torch.tensor([1])
    shown = _rect([[HEIGHT, 0.0], [0.0, WIDTH]], FULL, rows=rows).apply(IMAGES)
    assert torch.equal(shown[0], IMAGES[0])
    assert torch.equal(shown[1], IMAGES[1].flip(1))
    assert torch.equal(IMAGES, before)


def test_nearest_is_exact_for_bytes_and_linear_rounds() -> None:
    whole = (IMAGES * 255).byte()
    shrink = [[0.0, 4.0], [0.0, 6.0]]
    assert _rect(FULL, shrink).apply(whole).dtype == torch.uint8
    linear = _rect(FULL, shrink, "bilinear").apply(whole)
    expected = _rect(FULL, shrink, "bilinear").apply(whole.float())
    assert torch.equal(linear, expected.round().byte())


def test_a_quarter_turn_by_an_affine_map() -> None:
    square = IMAGES[..., :HEIGHT]
    turn = torch.tensor([[[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]]).expand(2, 2, 3)
    shown = Affine(theta=turn).apply(square)
    torch.testing.assert_close(shown, torch.rot90(square, -1, (2, 3)), atol=1e-5, rtol=0)


def picked_by_hand(images: Tensor, source: list[list[float]], target: list[list[float]]) -> Tensor:
    """Pixel after pixel: ``floor(r * source / target)``, from the other end where edges fall."""
    places: list[list[int]] = []
    for (start, stop), (first, last), length in zip(
        source, target, images.shape[2:], strict=True
    ):  # fmt: skip
        line = []
        for pixel in range(length):
            step = math.floor((pixel - first) * abs(stop - start) / (last - first))
            place = start - 1 - step if stop < start else start + step
            low, high = min(start, stop), max(start, stop) - 1
            place = min(max(place, max(low, 0)), min(high, length - 1))
            line.append(int(place))
        places.append(line)
    out = torch.empty_like(images)
    for r, row in enumerate(places[0]):
        for c, column in enumerate(places[1]):
            out[..., r, c] = images[..., row, column]
    return out


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("layout", ["dense", "channels_last", "part of a larger one"])
@pytest.mark.parametrize("size", [(8, 12), (12, 8), (1, 5), (7, 7)], ids=str)
def test_nearest_picks_pixel_by_pixel(
    dtype: torch.dtype, layout: str, size: tuple[int, int]
) -> None:
    height, width = size
    images = (torch.rand(2, 3, height, width + 2, generator=stream(1)) * 255).to(dtype)
    if layout == "part of a larger one":
        images = images[..., 1:-1]
    elif layout == "channels_last":
        images = images[..., :width].contiguous(memory_format=torch.channels_last)
    else:
        images = images[..., :width].contiguous()
    # The whole; mirrored down and past the last row; enlarged, and mirrored across likewise.
    sources = [
        [[0.0, float(height)], [0.0, float(width)]],
        [[height + 2.0, 1.0], [-1.0, width - 1.0]],
        [[0.0, max(1.0, height / 2)], [width + 2.0, 1.0]],
    ]
    target = [[0.0, max(1.0, height - 2.0)], [1.0, float(width)]]
    for source in sources:
        warp = Rect(
            source=torch.tensor([source]).expand(2, 2, 2),
            target=torch.tensor([target]).expand(2, 2, 2),
            size=size,
        )
        wanted = picked_by_hand(images, source, target)
        assert torch.equal(warp.apply(images), wanted)
        one = warp.one_by_one()
        assert torch.equal(torch.stack([one(images[k], k, None) for k in range(2)]), wanted)


def test_each_image_is_picked_by_its_own_rectangles() -> None:
    sources = [[[0.0, 8.0], [12.0, 0.0]], [[2.0, 6.0], [3.0, 9.0]], [[8.0, 0.0], [0.0, 12.0]]]
    targets = [[[0.0, 4.0], [0.0, 6.0]], [[1.0, 8.0], [0.0, 12.0]], [[0.0, 8.0], [0.0, 12.0]]]
    images = torch.rand(5, 3, 8, 12, generator=stream(1))
    rows = torch.tensor([4, 0, 2])
    warp = Rect(source=torch.tensor(sources), target=torch.tensor(targets), size=(8, 12), rows=rows)
    wanted = images.clone()
    for row, source, target in zip(rows.tolist(), sources, targets, strict=True):
        wanted[row] = picked_by_hand(images[row : row + 1], source, target)[0]
    assert torch.equal(warp.apply(images), wanted)


def test_rect_scales_to_feature_maps() -> None:
    small = _rect([[0.0, 4.0], [0.0, 6.0]], FULL).at((4, 6))
    assert small.size == (4, 6)
    features = F.avg_pool2d(IMAGES, 2)
    assert torch.equal(small.apply(features)[..., 0, 0], features[..., 0, 0])
    assert torch.equal(small.apply(features)[..., 3, 5], features[..., 1, 2])


def test_volumes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3, 4, 4, 4\); expected \(B, C, H, W\)"):
        _rect(FULL, FULL).apply(torch.zeros(2, 3, 4, 4, 4))
