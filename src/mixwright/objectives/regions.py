"""The mean of a feature map over a box of the image: RoIAlign with one bin."""

from __future__ import annotations

import torch
from torch import Tensor


def box_features(features: Tensor, edges: Tensor, size: tuple[int, int]) -> Tensor:
    """Average a feature map ``(B, C, h, w)`` over a box of the image: RoIAlign with one bin.

    The box, ``(B, 2, 2)`` edges in the image of ``size``, is laid over the map edge to edge, and
    the map is read by bilinear interpolation at the centres of a regular grid of about one point a
    map pixel. Gradients flow into the map; an empty box gives 0.

    Example:
        >>> row = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 4)
        >>> box_features(row, torch.tensor([[[0, 8], [8, 16]]]), (8, 16)).item()
        3.5

    Source: He et al., "Mask R-CNN", 2017, arXiv:1703.06870; the same numbers as torchvision's
    ``roi_align(..., output_size=1, sampling_ratio=-1, aligned=True)``.
    """
    # With one bin the samples are a weight for each row times one for each column: nothing is
    # gathered, and shapes are fixed, so that no device waits.
    kind = torch.promote_types(features.dtype, torch.float32)
    with torch.autocast(features.device.type, enabled=False):
        rows, columns = (
            _weights(edges[:, axis].to(kind), old=size[axis], new=features.shape[axis + 2])
            for axis in (0, 1)
        )
        return torch.einsum("bchw,bh,bw->bc", features.to(kind), rows, columns)


def _weights(edges: Tensor, *, old: int, new: int) -> Tensor:
    """Return how much each row of a map counts in the mean over a box, ``(B, new)``."""
    start, stop = (edges * (new / old)).unbind(dim=1)
    length = stop - start
    points = length.ceil()
    number = torch.arange(new, device=edges.device)
    place = start[:, None] + (number + 0.5) * (length / points.clamp_min(1))[:, None] - 0.5
    place = place.clamp(0, new - 1)
    hat = (1 - (place[..., None] - number).abs()).clamp_min(0)  # (B, points, new)
    hat = hat * (number < points[:, None])[..., None]
    return hat.sum(dim=1) / points.clamp_min(1)[:, None]
