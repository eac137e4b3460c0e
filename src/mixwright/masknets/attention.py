"""Attention between the places of two maps, in float32 whatever the loop has switched on."""

from __future__ import annotations

import torch
from torch import Tensor


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return for each place a mean of values, weighted by how its query fits the keys.

        out[t] = sum_u softmax_u(query[:, t] . key[:, u] / sqrt(d)) value[:, u]

    Of ``(G, d, T)`` queries, ``(G, d, U)`` keys and ``(G, v, U)`` values, ``(G, v, T)``.

    Example:
        >>> key = torch.tensor([[[100.0, -100.0]]])
        >>> attend(torch.tensor([[[1.0, 0.0, -1.0]]]), key, torch.tensor([[[1.0, 3.0]]]))
        tensor([[[1., 2., 3.]]])

    Source: Vaswani et al. 2017, arXiv:1706.03762, equation 1.
    """
    # Queries are divided by ``sqrt(d)`` before the product, not the scores after it. Autocast is
    # off: casting the operands alone would not do, for under it a product of float32 operands is
    # still made in half precision.
    kind = torch.promote_types(query.dtype, torch.float32)
    with torch.autocast(query.device.type, enabled=False):
        scaled = query.to(kind) * query.shape[1] ** -0.5
        shares = torch.bmm(scaled.transpose(1, 2), key.to(kind)).softmax(dim=2)
        return torch.bmm(value.to(kind), shares.transpose(1, 2))
