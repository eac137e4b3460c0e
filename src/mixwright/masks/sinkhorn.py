"""Which place of one picture goes to which of another: entropic transport with equal shares."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def square_distances(first: Tensor, second: Tensor) -> Tensor:
    """Return the squared distances between two sets of points, ``(B, P, D)`` and ``(B, Q, D)``.

    No tensor of differences is made. Both sets are moved by the same vector first: far from the
    origin the sum of squares and products would lose the digits that matter.

    Example:
        >>> square_distances(torch.tensor([[[0.0]]]), torch.tensor([[[1.0], [3.0]]])).tolist()
        [[[1.0, 9.0]]]
    """
    kind = torch.promote_types(first.dtype, torch.float32)
    with torch.autocast(first.device.type, enabled=False):
        centre = second.to(kind).mean(dim=1, keepdim=True)
        first, second = first.to(kind) - centre, second.to(kind) - centre
        lengths = first.square().sum(dim=2)[..., None] + second.square().sum(dim=2)[:, None]
        return torch.baddbmm(lengths, first, second.transpose(1, 2), alpha=-2).clamp_min(0)


def transport(cost: Tensor, *, eps: float, iters: int) -> Tensor:
    """Return which share of each place of a target comes from which place of a source.

    Sinkhorn's iterations in logarithms: the row and column factors of ``exp(-cost / eps)`` that
    make all rows and all columns add up alike, of costs ``(B, P, Q)``. A fixed number of them, so
    that nobody waits to see whether they have converged. Rows come last and add up to 1 whatever
    the number, so that each target place is a mean of source places; columns do so, to ``P / Q``,
    in the limit. The smaller ``eps`` against the costs, the nearer is the result to one source
    place for each target place, and the more iterations it takes.

    Example:
        >>> cost = torch.tensor([[[4.0, 0.0], [0.0, 4.0]]])
        >>> transport(cost, eps=0.1, iters=20).round(decimals=3).tolist()
        [[[0.0, 1.0], [1.0, 0.0]]]

    Source: Cuturi, "Sinkhorn Distances: Lightspeed Computation of Optimal Transport", 2013,
    arXiv:1306.0895; gpeyre/SinkhornAutoDiff.
    """
    if cost.ndim != 3 or not cost.is_floating_point():
        raise ValueError(
            f"transport: cost has shape {tuple(cost.shape)} and dtype {cost.dtype}; expected a "
            "floating (B, P, Q) tensor, one matrix a sample."
        )
    if not (math.isfinite(eps) and eps > 0) or iters < 1:
        raise ValueError(
            f"transport: eps is {eps!r} and iters {iters!r}; expected a finite eps above 0 and at "
            "least 1 iteration."
        )
    kind = torch.promote_types(cost.dtype, torch.float32)
    # In logarithms, because exp(-cost / eps) underflows for the small eps that give sharp results;
    # a product with a factor then is a sum, and a sum of products a logsumexp.
    with torch.autocast(cost.device.type, enabled=False):
        log_kernel = cost.to(kind) / -eps
        share = math.log(cost.shape[1] / cost.shape[2])
        row = torch.zeros_like(log_kernel[:, :, :1])
        column = torch.zeros_like(log_kernel[:, :1])
        for _ in range(iters):
            column = share - (log_kernel + row).logsumexp(dim=1, keepdim=True)
            row = -(log_kernel + column).logsumexp(dim=2, keepdim=True)
        return (log_kernel + column).softmax(
            dim=2
        )  # exp(log_kernel + row + column) without its rounding
