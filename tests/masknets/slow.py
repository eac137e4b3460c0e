"""The networks of masks written out: one sample, one source, one place at a time, in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def seen_through(conv: nn.Conv2d, maps: Tensor, row: int, column: int) -> Tensor:
    """Apply a 1x1 convolution at one place of ``(c, h, w)``."""
    found = conv.weight[:, :, 0, 0].double() @ maps[:, row, column].double()
    return found if conv.bias is None else found + conv.bias.double()


def project(conv: nn.Conv2d, maps: Tensor) -> Tensor:
    """Apply a 1x1 convolution to ``(c, h, w)``."""
    _, h, w = maps.shape
    out = torch.zeros(conv.out_channels, h, w, dtype=torch.float64)
    for row in range(h):
        for column in range(w):
            out[:, row, column] = seen_through(conv, maps, row, column)
    return out


def attended(query: Tensor, keys: list[Tensor], value: Tensor) -> Tensor:
    """Attend ``(h, w)`` values by ``(d, h, w)`` queries, scores added over several key maps."""
    d, h, w = query.shape
    out = torch.zeros(h, w, dtype=torch.float64)
    for row in range(h):
        for column in range(w):
            weights, total = torch.zeros(h, w, dtype=torch.float64), 0.0
            for y in range(h):
                for x in range(w):
                    score = sum(float(query[:, row, column] @ key[:, y, x]) for key in keys)
                    weights[y, x] = math.exp(score / math.sqrt(d))
                    total += float(weights[y, x])
            out[row, column] = (weights * value).sum() / total
    return out


def enlarged(plane: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Enlarge ``(h, w)``; pixel i looks at ``(i + 1/2) h / H`` of the map."""
    (h, w), (rows, columns) = plane.shape, size

    def weights(i: int, small: int, large: int) -> dict[int, float]:
        at = (i + 0.5) * small / large
        if mode == "nearest":
            return {min(int(at), small - 1): 1.0}
        at = max(at - 0.5, 0.0)
        low = min(int(at), small - 1)
        high, part = min(low + 1, small - 1), at - int(at)
        found = {low: 1 - part}
        found[high] = found.get(high, 0.0) + part
        return found

    values: list[list[float]] = plane.tolist()
    out = [[0.0] * columns for _ in range(rows)]
    for i in range(rows):
        for j in range(columns):
            for y, of_row in weights(i, h, rows).items():
                for x, of_column in weights(j, w, columns).items():
                    out[i][j] += of_row * of_column * values[y][x]
    return torch.tensor(out, dtype=torch.float64)


def told(maps: Tensor, share: Tensor, encode: bool) -> Tensor:
    """Put a share beside ``(c, h, w)``."""
    if not encode:
        return maps
    return torch.cat([maps, torch.full((1, *maps.shape[1:]), float(share))])
