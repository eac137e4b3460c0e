"""Label weights from attention: the share of it that falls on a sample's own places."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mixwright.masks.blocks import area_mean
from mixwright.plan import MixPlan

Resize = Literal["nearest", "area"]


def own_share(attention: Tensor, keep: Tensor) -> Tensor:
    """Return the share of attention ``(B, T)`` on own places ``keep``, ``(B,)`` without gradient.

    Without any attention the mean of ``keep`` counts.

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
    """Return the own masks of a plan on a grid of tokens, ``(B, T)`` float32, row by row.

    A token has the mean over its pixels (``"area"``), or its first pixel (``"nearest"``).
    """
    with torch.no_grad(), torch.autocast(plan.index.device.type, enabled=False):
        keep = plan.mask_form.first()[:, :1].float()
        if resize == "nearest":
            return F.interpolate(keep, size=grid, mode="nearest").flatten(1)
        return area_mean(keep, grid).flatten(1)


def with_own_weight(plan: MixPlan, own: Tensor) -> MixPlan:
    """Return a plan of pairs with other label weights: ``own`` ``(B,)``, and the rest."""
    return plan.replace(weight=torch.stack([own, 1 - own], dim=1))
