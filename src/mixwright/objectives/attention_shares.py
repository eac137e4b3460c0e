"""Label weights from attention: the share of it that falls on a sample's own places."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mixwright.masks.blocks import area_mean
from mixwright.plan import MixPlan

Resize = Literal["nearest", "area"]
RESIZES: tuple[Resize, ...] = ("nearest", "area")


def own_share(attention: Tensor, keep: Tensor) -> Tensor:
    """Give the share of attention on own places.

    Args:
        attention: ``(B, T)``, at least 0, in any scale.
        keep: ``(B, T)`` in [0, 1], the own share of each place.

    Returns:
        ``(B,)`` float32 in [0, 1], without gradient; where there is no attention, the mean of
        ``keep``.

    Example:
        >>> own_share(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 0.0]])).tolist()
        [0.25]
    """
    with torch.no_grad(), torch.autocast(attention.device.type, enabled=False):
        attention, keep = attention.float(), keep.float()
        total = attention.sum(dim=1)
        share = (attention * keep).sum(dim=1) / total.clamp_min(1e-38)
        # A share of a sum can exceed 1 by rounding.
        return torch.where(total > 0, share.clamp(0, 1), keep.mean(dim=1))


def keep_at(plan: MixPlan, grid: tuple[int, int], resize: Resize = "area") -> Tensor:
    """Bring the own masks of a plan to a grid of tokens.

    Args:
        plan: of images.
        grid: rows and columns of tokens.
        resize: ``"area"``, the mean over a token's pixels; ``"nearest"``, its first pixel.

    Returns:
        ``(B, T)`` float32, places row by row.
    """
    with torch.no_grad(), torch.autocast(plan.index.device.type, enabled=False):
        keep = plan.held.first()[:, :1].float()
        if resize == "nearest":
            return F.interpolate(keep, size=grid, mode="nearest").flatten(1)
        return area_mean(keep, grid).flatten(1)


def with_own_weight(plan: MixPlan, own: Tensor) -> MixPlan:
    """Give a plan of pairs with other label weights: ``own`` ``(B,)``, and the rest."""
    return plan.replace(weight=torch.stack([own, 1 - own], dim=1))
