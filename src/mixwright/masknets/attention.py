"""Attention between the places of two maps, in float32 whatever the loop has switched on."""

from __future__ import annotations

import torch
from torch import Tensor


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Give for each place a mean of values, weighted by how its query fits the keys.

        out[t] = sum_u softmax_u(query[:, t] . key[:, u] / sqrt(d)) value[:, u]

    Queries are divided by ``sqrt(d)`` before the product, not the scores after it, and nothing is
    left to autocast: casting the operands alone would not do, for under autocast a product of
    float32 operands is still made in half precision.

    Args:
        query: ``(G, d, T)`` floating.
        key: ``(G, d, U)`` floating.
        value: ``(G, v, U)`` floating.

    Returns:
        ``(G, v, T)`` float32 (float64 for float64 queries).

    Example:
        >>> key = torch.tensor([[[100.0, -100.0]]])
        >>> attend(torch.tensor([[[1.0, 0.0, -1.0]]]), key, torch.tensor([[[1.0, 3.0]]]))
        tensor([[[1., 2., 3.]]])

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1.
    """
    kind = torch.promote_types(query.dtype, torch.float32)
    with torch.autocast(query.device.type, enabled=False):
        scaled = query.to(kind) * query.shape[1] ** -0.5
        shares = torch.bmm(scaled.transpose(1, 2), key.to(kind)).softmax(dim=2)
        return torch.bmm(value.to(kind), shares.transpose(1, 2))
