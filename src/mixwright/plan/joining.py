"""Two plans whose sources are brought side by side, so that rows of either can be taken."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from mixwright.masks.mask_forms import DenseMask, MaskForm
from mixwright.masks.mask_ops import all_planes, where_fill, where_mask
from mixwright.warps import Warp


class _Plan(Protocol):
    """What is read of a ``MixPlan``, which imports this."""

    @property
    def index(self) -> Tensor: ...

    @property
    def weight(self) -> Tensor: ...

    @property
    def mask_form(self) -> MaskForm: ...

    @property
    def warp(self) -> tuple[Warp | None, ...] | None: ...

    @property
    def fill(self) -> Tensor | None: ...

    @property
    def lam(self) -> Tensor | None: ...

    @property
    def self_first(self) -> bool: ...

    def replace(self, **changes: Any) -> Any: ...


_P = TypeVar("_P", bound=_Plan)


def joined(select: Tensor, first: _Plan, second: _Plan) -> dict[str, Any]:
    """Give the arguments of a plan with rows of one where ``select``, of the other elsewhere."""
    mine, theirs = first, second
    if first.warp is not None or second.warp is not None:
        mine, theirs = _side_by_side(first, second)
    elif first.index.shape[1] != second.index.shape[1]:
        most = max(first.index.shape[1], second.index.shape[1])
        mine, theirs = _padded(first, most), _padded(second, most)
    rows = select[:, None]
    warp = None
    if mine.warp is not None and theirs.warp is not None:
        warp = tuple(a or b for a, b in zip(mine.warp, theirs.warp, strict=True))
    return {
        "index": torch.where(rows, mine.index, theirs.index),
        "mask": where_mask(select, mine.mask_form, theirs.mask_form),
        "weight": torch.where(rows, mine.weight, theirs.weight),
        "warp": warp,
        "fill": where_fill(select, mine.fill, theirs.fill),
        "lam": None
        if mine.lam is None or theirs.lam is None
        else torch.where(select, mine.lam, theirs.lam),
        "self_first": first.self_first and second.self_first and warp is None,
    }


def _padded(plan: _P, sources: int) -> _P:
    """Add sources of mask and weight 0, which repeat column 0."""
    missing = sources - plan.index.shape[1]
    if missing == 0:
        return plan
    own = plan.index[:, :1].expand(-1, missing)
    mask = all_planes(plan.mask_form)
    blank = torch.zeros_like(mask[:, :1]).expand(-1, missing, *mask.shape[2:])
    zero = torch.zeros_like(plan.weight[:, :1]).expand(-1, missing)
    return plan.replace(
        index=torch.cat([plan.index, own], dim=1),
        mask=DenseMask(torch.cat([mask, blank], dim=1)[:, :-1]),
        weight=torch.cat([plan.weight, zero], dim=1),
        warp=None if plan.warp is None else (*plan.warp, *([None] * missing)),
    )


def _side_by_side(first: _P, second: _P) -> tuple[_P, _P]:
    """Give both plans the sources of both, each with its own masks and weights."""
    n, m = first.index.shape[1], second.index.shape[1]
    mine, theirs = _padded(first, n + m), _padded(second, n + m)
    order = [*range(m, n + m), *range(m)]
    index = torch.cat([first.index, second.index], dim=1)
    warp = (*(first.warp or [None] * n), *(second.warp or [None] * m))
    return mine.replace(index=index, warp=warp), theirs.replace(
        index=index,
        mask=DenseMask(all_planes(theirs.mask_form)[:, order][:, :-1]),
        weight=theirs.weight[:, order],
        warp=warp,
    )
