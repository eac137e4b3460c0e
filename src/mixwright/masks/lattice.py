"""Masks on a regular lattice of holes."""

from torch import Tensor

from mixwright.constants import steps


def lattice_factors(
    *,
    start: Tensor,
    length: Tensor,
    period: Tensor,
    hole: Tensor,
    size: int,
    phase: Tensor | None = None,
) -> Tensor:
    """Mark the holes of a lattice along one axis, per sample: ``(B, size)`` bool.

    A lattice is the product of its rows and its columns: a pixel is in a hole where both factors
    are True (``SeparableMask``). From ``start``, for ``length`` pixels, a hole of ``hole`` pixels
    begins every ``period``; ``phase`` pixels of the first period lie before that, 0 if None.

    Example:
        >>> import torch
        >>> one = torch.tensor([1])
        >>> lattice_factors(start=one, length=5 * one, period=3 * one, hole=2 * one, size=8).int()
        tensor([[0, 1, 1, 0, 1, 1, 0, 0]], dtype=torch.int32)

    Source: IlyaDobrynin/GridMixup, as a closed form; the patches of Westlake-AI/openmixup.
    """
    offset = steps(size, start.device) - start[:, None]
    in_crop = (offset >= 0) & (offset < length[:, None])
    if phase is not None:
        offset = offset + phase[:, None]
    # Division is by far the dearest part, and half as dear in 32 bits.
    within = offset.int().remainder(period[:, None].int())
    return in_crop & (within < hole[:, None])
