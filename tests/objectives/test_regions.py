"""The mean over a box of a map, against a loop over points and against torchvision."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mixwright.objectives.regions import box_features
from mixwright.sampling import normal, stream

EDGES = torch.tensor(
    [
        [[0, 24], [0, 40]],  # the whole image
        [[3, 9], [11, 38]],
        [[0, 1], [39, 40]],  # a corner pixel
        [[20, 24], [0, 7]],
        [[5, 5], [0, 40]],  # nothing
        [[7, 17], [12, 13]],
    ]
)
FEATURES = normal((6, 3, 6, 10), device=torch.device("cpu"), generator=stream(1))


def _read(plane: Tensor, row: float, column: float) -> float:
    """Interpolate between four pixels; beyond the last pixel's centre it goes on as it is."""
    height, width = plane.shape
    row, column = min(max(row, 0.0), height - 1), min(max(column, 0.0), width - 1)
    top, left = int(row), int(column)
    down, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = (1 - (column - left)) * plane[top, left] + (column - left) * plane[top, right]
    lower = (1 - (column - left)) * plane[down, left] + (column - left) * plane[down, right]
    return float((1 - (row - top)) * upper + (row - top) * lower)


def _by_hand(plane: Tensor, edges: Tensor, scales: tuple[float, float]) -> float:
    places = []
    for (start, stop), scale in zip(edges.tolist(), scales, strict=True):
        points = math.ceil((stop - start) * scale)
        step = (stop - start) * scale / max(points, 1)
        places.append([start * scale + (i + 0.5) * step - 0.5 for i in range(points)])
    read = [_read(plane, row, column) for row in places[0] for column in places[1]]
    return sum(read) / len(read) if read else 0.0


@pytest.mark.parametrize("map_size", [(6, 10), (3, 4), (24, 40), (1, 1)])
def test_box_features_are_the_mean_of_points(map_size: tuple[int, int]) -> None:
    height, width = map_size
    features = normal((6, 2, height, width), device=torch.device("cpu"), generator=stream(2))
    found = box_features(features, EDGES, (24, 40))
    scales = height / 24, width / 40
    by_hand = [
        [_by_hand(plane, edges, scales) for plane in one]
        for one, edges in zip(features, EDGES, strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(by_hand), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("map_size", [(6, 10), (24, 40), (1, 1)])
def test_torchvision_says_the_same(map_size: tuple[int, int]) -> None:
    ops = pytest.importorskip("torchvision.ops")
    height = map_size[0]
    features = FEATURES[:, :, :1, :1] if height == 1 else FEATURES
    features = features.repeat_interleave(height // features.shape[2], dim=2)
    features = features.repeat_interleave(height // FEATURES.shape[2] or 1, dim=3)
    size = (24, 40) if height > 1 else (24, 24)  # its one scale is for both axes
    edges = EDGES.clamp_max(size[1])
    (top, bottom), (left, right) = (edges[:, axis].float().unbind(1) for axis in (0, 1))
    boxes = torch.stack([torch.arange(6.0), left, top, right, bottom], dim=1)
    theirs = ops.roi_align(
        features, boxes, 1, spatial_scale=height / 24, sampling_ratio=-1, aligned=True
    )
    ours = box_features(features, edges, size)
    torch.testing.assert_close(ours, theirs.flatten(1), atol=1e-5, rtol=1e-5)


def test_the_whole_image_is_the_mean_and_gradients_stay_under_the_box() -> None:
    features = FEATURES.clone().requires_grad_()
    found = box_features(features, EDGES, (24, 40))
    torch.testing.assert_close(found[0], FEATURES[0].mean(dim=(1, 2)))
    assert found[4].abs().sum() == 0
    found.sum().backward()
    assert features.grad is not None
    torch.testing.assert_close(features.grad[0], torch.full((3, 6, 10), 1 / 60))
    far = features.grad[1].clone()
    far[:, :4, 2:] = 0  # rows 3 to 9 of 24 and columns 11 to 38 of 40 reach no further
    assert far.abs().sum() == 0


def test_half_precision_maps_are_read_in_float32() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = box_features(FEATURES.bfloat16(), EDGES, (24, 40))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, box_features(FEATURES.bfloat16().float(), EDGES, (24, 40)))
