"""Gaussian bumps: 1 at their centre, falling to 0 around it.

A bump whose axes are the image's is the product of a row and a column factor; a turned one is not
and fills ``(B, H, W)``. Offsets are in pixels from pixel ``(cy, cx)``, for any height and width.
"""

import math

import torch
from torch import Tensor

from mixwright.constants import once

_BISECTIONS = 24

# e ** x is 2 ** (x * log2(e)), in less than half of the time on a CPU, where ``exp`` takes ten
# times as long wherever the result underflows, as it does around every small bump.
_HALF = 0.5 * math.log2(math.e)


def gaussian_factors(
    cy: Tensor, cx: Tensor, variance: Tensor, *, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Return rows ``(B, H)`` and columns ``(B, W)`` of round bumps, whose product they are.

    A factor is ``exp(-d ** 2 / (2 * variance))`` of the distance ``d`` along its axis. Variance 0
    lights the peak's own pixel alone.

    Example:
        >>> one = torch.tensor([1])
        >>> rows, _ = gaussian_factors(one, one, torch.tensor([0.5]), height=3, width=4)
        >>> rows.round(decimals=4)
        tensor([[0.3679, 1.0000, 0.3679]])

    Source: the bumps of naver-ai/hmix-gmix, in factors.
    """
    slope = exponent_slope(variance.float())[:, None]
    rows, columns = _squared_offset(cy, height), _squared_offset(cx, width)
    return (rows * slope).exp2_(), (columns * slope).exp2_()


def area_variance(share: Tensor, *, height: int, width: int) -> Tensor:
    """Return the variance of the round bump that covers ``share`` of the image on an endless plane.

    On the image itself the bump covers less, for its tails are cut; ``calibrated_variance`` makes
    up for that. In square pixels, of both axes.

    Source: naver-ai/hmix-gmix, whose bump is ``exp(-pi * d ** 2 / (share * height * width))``.
    """
    return share * (height * width / (2 * math.pi))


def calibrated_variance(
    share: Tensor, *, cy: Tensor, cx: Tensor, height: int, width: int
) -> Tensor:
    """Find the variance at which a round bump at (cy, cx) covers ``share`` of the image itself.

    A bisection with a fixed number of steps in the logarithm of the variance; each step costs one
    row and one column factor. A mean below that of one single pixel gives the narrowest bump.

    Example:
        >>> cy, cx, share = torch.tensor([3]), torch.tensor([0]), torch.tensor([0.3])
        >>> variance = calibrated_variance(share, cy=cy, cx=cx, height=9, width=16)
        >>> rows, columns = gaussian_factors(cy, cx, variance, height=9, width=16)
        >>> round((rows.mean() * columns.mean()).item(), 4)
        0.3
    """
    rows, columns = _squared_offset(cy, height), _squared_offset(cx, width)
    wanted = share.float()[:, None]
    # From a bump of one pixel to one that is flat to within float32 on the longest side.
    low = torch.full_like(wanted, -5.0)
    high = torch.full_like(wanted, math.log(max(height, width)) * 2 + 17)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        slope = exponent_slope(middle.exp())
        covered = (rows * slope).exp2_().mean(1, keepdim=True)
        covered = covered * (columns * slope).exp2_().mean(1, keepdim=True)
        too_small = covered < wanted
        low = torch.where(too_small, middle, low)
        high = torch.where(too_small, high, middle)
    return ((low + high) / 2).exp()[:, 0]


def turned_bump(
    *,
    cy: Tensor,
    cx: Tensor,
    variance: Tensor,
    correlation: Tensor,
    angle: Tensor,
    height: int,
    width: int,
) -> Tensor:
    """Make a turned elliptic bump per sample, 1 at its peak (cy, cx).

    Its covariance is ``variance * R [[1, q], [q, 1]] R^T``, ``q`` the correlation, strictly between
    -1 and 1, and ``R`` the rotation by ``angle`` in radians, with coordinates ``(x, y)``. The axes
    of its contours are as ``sqrt((1 + |q|) / (1 - |q|))``.

    Example:
        >>> one = torch.ones(1)
        >>> bump = turned_bump(cy=one, cx=one, variance=one, correlation=0 * one, angle=one,
        ...                    height=3, width=3)
        >>> bump[0, 1].round(decimals=4).tolist() == [0.6065000295639038, 1.0, 0.6065000295639038]
        True

    Source: AGMix of MiAMix, Liang et al. 2023, arXiv:2308.02804.
    """
    # R [[1, q], [q, 1]] R^T = I + q [[-sin 2t, cos 2t], [cos 2t, sin 2t]], inverted in closed form.
    factor = _HALF / (variance * (correlation * correlation - 1))
    twisted, twice = factor * correlation, angle * 2
    skew = twisted * twice.sin()
    dy = positions(height, cy.device) - cy[:, None]
    dx = positions(width, cx.device) - cx[:, None]
    along_rows = (factor - skew)[:, None] * dy * dy
    along_columns = (factor + skew)[:, None] * dx * dx
    exponent = along_rows[:, :, None] + along_columns[:, None, :]
    across = (twisted * twice.cos())[:, None] * dy
    exponent.addcmul_(across[:, :, None], dx[:, None, :], value=-2)
    return exponent.exp2_()


@once
def positions(size: int, device: torch.device) -> Tensor:
    """Give 0, 1, ..., ``size - 1``: ``(size,)`` float32."""
    return torch.arange(size, device=device, dtype=torch.float32)


def _squared_offset(centre: Tensor, size: int) -> Tensor:
    return (positions(size, centre.device) - centre[:, None]).square_()


def exponent_slope(variance: Tensor) -> Tensor:
    """Give what a squared distance is times, for ``exp2`` to make a Gaussian of a variance."""
    # The floor keeps 0 / 0 out of the peak's pixel and is far below one pixel's width.
    return -_HALF / variance.clamp_min(1e-6)
