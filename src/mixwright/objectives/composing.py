"""Two plans after one another as one: images that are mixed, then their tokens or features."""

from __future__ import annotations

import torch

from mixwright.masks.mask_forms import DenseMask
from mixwright.plan import MixPlan


def composed(first: MixPlan, second: MixPlan) -> MixPlan:
    """Return the plan of labels that were mixed by one plan and then by another.

    ``targets = second.targets(first.targets(labels))``, as one plan of the labels of ``first``:
    each of the M sources of ``second`` is itself a row of ``first`` with N sources, so the sources
    multiply to M N, those of the first of ``second`` in front, and so do their weights. The mask
    knows shares alone, one number a source, for what ``second`` mixed need not have pixels; warps
    are left out with them.

    Example:
        >>> swap = MixPlan.pair(torch.tensor([1, 0]), torch.full((2, 1, 1, 1), 0.75))
        >>> composed(swap, swap).targets(torch.tensor([0, 1]), num_classes=2).tolist()
        [[0.625, 0.375], [0.375, 0.625]]
    """
    if second.pool != len(first):
        raise ValueError(
            f"composed: the second plan has a pool of {second.pool}, the first gives {len(first)} "
            "outputs; expected the same number. Draw the second for what the first has mixed."
        )
    shares = _shares(second)[..., None] * _shares(first)[second.index]
    weight = second.weight[..., None] * first.weight[second.index]
    spatial = [1] * len(first.mask_form.size)
    return MixPlan(
        index=first.index[second.index].flatten(1),
        mask=DenseMask(shares.flatten(1).view(len(second), -1, *spatial), whole=True),
        weight=weight.flatten(1),
        pool=first.pool,
        fill=first.fill,
        self_first=first.self_first and second.self_first,
    )


def _shares(plan: MixPlan) -> torch.Tensor:
    """Return the mean of each source's mask, ``(B, N)`` float32."""
    means = plan.mask_form.means()
    return torch.cat([means, (1 - means.sum(dim=1, keepdim=True)).clamp_min(0)], dim=1)
