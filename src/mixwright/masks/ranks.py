"""Ranks, and masks of the highest scores: an exact count for each sample, on grids of blocks.

``masks.fourier.rank_mask`` does it for planes of pixels, where a sort would cost too much.
"""

from __future__ import annotations

import torch
from torch import Tensor


def highest(scores: Tensor, kept: Tensor) -> Tensor:
    """Mark exactly the ``kept`` ``(B,)`` highest scores of grids ``(B, h, w)``: ``(B, 1, h, w)``.

    Of equal scores the first in reading order are marked.

    Example:
        >>> highest(torch.tensor([[[1.0, 3.0, 3.0]]]), torch.tensor([1])).tolist()
        [[[[False, True, False]]]]
    """
    if scores.ndim != 3 or kept.shape != scores.shape[:1]:
        raise ValueError(
            f"highest: scores have shape {tuple(scores.shape)} and kept {tuple(kept.shape)}; "
            "expected (B, h, w) and (B,)."
        )
    return (ranks(scores.flatten(1)) < kept[:, None]).view(len(scores), 1, *scores.shape[1:])


def ranks(value: Tensor) -> Tensor:
    """Place of each column in its row, 0 for the highest; earlier columns first among equals."""
    order = value.argsort(dim=1, descending=True, stable=True)
    places = torch.arange(value.shape[1], device=value.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places)
