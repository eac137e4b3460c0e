"""Mask forms written out, brought to a size, and chosen row by row from two."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mixwright.masks.blocks import upsample_blocks
from mixwright.masks.mask_forms import Box, DenseMask, MaskForm


def all_planes(form: MaskForm) -> Tensor:
    """Render the masks of all N sources, bool where they are known to be 0 or 1."""
    if isinstance(form, DenseMask) and form.whole:
        return form.values
    first = form.first()
    if first.dtype == torch.bool:
        last = ~first.any(dim=1, keepdim=True)
    else:
        last = (1 - first.sum(dim=1, keepdim=True)).clamp_min(0)
    return torch.cat([first, last], dim=1)


def resolve(values: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bring masks ``(..., *spatial)`` to a size: constants as they are, block grids repeated."""
    have = tuple(values.shape[2:])
    if have == size:
        return values
    if math.prod(have) == 1:
        # A constant fits images of any rank, token sequences included.
        same = len(have) == len(size)
        return values if same else values.view(*values.shape[:2], *([1] * len(size)))
    if len(have) != len(size) or any(new % old for new, old in zip(size, have, strict=True)):
        raise ValueError(
            f"plan: masks of spatial size {have} do not fit images of spatial size {size}; each "
            "size must be 1, a divisor, or equal. Draw the plan for these images, or resize it "
            "with plan.at(...)."
        )
    return upsample_blocks(values, size)


def where_mask(select: Tensor, mine: MaskForm, theirs: MaskForm) -> MaskForm:
    """Take rows of ``mine`` where ``select``, in the most compact form that holds both."""
    if isinstance(mine, Box) or isinstance(theirs, Box):
        a, b = _as_box(mine, theirs), _as_box(theirs, mine)
        if a is not None and b is not None and a.size == b.size:
            edges = torch.where(select[:, None, None], a.edges, b.edges)
            if a.binary and b.binary:
                return Box(edges, a.size)
            (ai, ao), (bi, bo) = a.shares(), b.shares()
            return Box(edges, a.size, torch.where(select, ai, bi), torch.where(select, ao, bo))
    a, b = mine.first(), theirs.first()
    sizes = tuple(a.shape[2:]), tuple(b.shape[2:])
    if sizes[0] != sizes[1]:
        # Both divide the image, so their least common multiple does.
        size = tuple(math.lcm(*pair) for pair in zip(*sizes, strict=True))
        a, b = resolve(a, size), resolve(b, size)
    if mine.binary and theirs.binary:
        a, b = a.bool(), b.bool()
    else:
        a, b = a.float(), b.float()
    return DenseMask(torch.where(select.view(-1, *([1] * (a.ndim - 1))), a, b))


def _as_box(form: MaskForm, other: MaskForm) -> Box | None:
    """Write a box, or a share beside another box, as a box; None for all else."""
    if isinstance(form, Box):
        return form
    if not isinstance(form, DenseMask) or not form.constant or form.sources != 2:
        return None
    assert isinstance(other, Box)
    empty = torch.zeros_like(other.edges)
    if form.binary:  # a share of 0 or 1: the box is all of the image or nothing
        partners = ~form.first().view(-1).bool()
        stop = torch.stack([partners * length for length in other.size], dim=1)
        return Box(torch.stack([empty[..., 0], stop], dim=2), other.size)
    level = form.means()[:, 0]
    return Box(empty, other.size, level, level)


def where_fill(select: Tensor, mine: Tensor | None, theirs: Tensor | None) -> Tensor | None:
    """Choose rows of what two plans show for their null source, where they have one."""
    if mine is None or theirs is None:
        return theirs if mine is None else mine
    if mine is theirs:
        return mine
    rank = max(mine.ndim, theirs.ndim, 2)

    def full_rank(fill: Tensor) -> Tensor:
        batched = fill[None] if fill.ndim == 1 else fill
        return batched.view(*batched.shape, *([1] * (rank - batched.ndim)))

    rows = select.view(-1, *([1] * (rank - 1)))
    return torch.where(rows, full_rank(mine), full_rank(theirs))
