"""Masks on regular grids: a lattice of holes, and whole cells."""

import torch
from torch import Tensor

from mixwright.masks.fourier import ranks


def lattice_factors(
    *,
    start: Tensor,
    length: Tensor,
    period: Tensor,
    hole: Tensor,
    size: int,
    phase: Tensor | None = None,
) -> Tensor:
    """Mark the holes of a lattice along one axis, per sample.

    A lattice is the product of its rows and its columns: a pixel is in a hole where both factors
    are True (``SeparableMask``). From ``start``, every ``period`` pixels a hole begins; none is
    outside the crop.

    Args:
        start: ``(B,)`` integer; first pixel of the crop.
        length: ``(B,)`` integer; pixels of the crop.
        period: ``(B,)`` integer, at least 1; pixels from one hole's begin to the next.
        hole: ``(B,)`` integer in [0, period]; pixels of one hole.
        size: pixels of the axis.
        phase: ``(B,)`` integer; pixels of the first period that lie before the crop, 0 if None.

    Returns:
        ``(B, size)`` bool on the device of ``start``; True inside a hole.

    Example:
        >>> one = torch.tensor([1])
        >>> lattice_factors(start=one, length=5 * one, period=3 * one, hole=2 * one, size=8).int()
        tensor([[0, 1, 1, 0, 1, 1, 0, 0]], dtype=torch.int32)

    Source: IlyaDobrynin/GridMixup, as a closed form; the patches of Westlake-AI/openmixup.
    """
    place = torch.arange(size, device=start.device) - start[:, None]
    in_crop = (place >= 0) & (place < length[:, None])
    if phase is not None:
        place = place + phase[:, None]
    # Division is by far the dearest part, and half as dear in 32 bits.
    within = place.int().remainder(period[:, None].int())
    return in_crop & (within < hole[:, None])


def cell_mask(scores: Tensor, kept: Tensor) -> Tensor:
    """Keep exactly the ``kept`` cells of highest score in each grid of cells.

    Args:
        scores: ``(B, g, g)`` floating; uniform scores make every choice of cells equally likely.
        kept: ``(B,)`` integer in [0, g * g]. Values are trusted.

    Returns:
        ``(B, 1, g, g)`` bool, a block grid; True keeps the sample's own cell.

    Raises:
        ValueError: ``scores`` is not ``(B, g, g)`` or ``kept`` is not ``(B,)``.

    Source: the grid of GridMix (Baek, Bang and Shim 2021, Pattern Recognition 109).
    """
    if scores.ndim != 3 or kept.shape != scores.shape[:1]:
        raise ValueError(
            f"cell_mask: scores have shape {tuple(scores.shape)} and kept {tuple(kept.shape)}; "
            "expected (B, g, g) and (B,). Give one count per sample."
        )
    keep = ranks(scores.flatten(1)) < kept[:, None]
    return keep.view(len(scores), 1, *scores.shape[1:])
