"""What a thresholded Gaussian field's correlation makes of the second moments of its masks.

A field with standard normal values, cut where a share ``lam`` stays, gives masks M of 0 and 1 with
``E[M_j M_k] = Phi2(t, t; rho)``, ``Phi(-t) = lam``. Taken over the law of ``lam`` and without what
every pair has (``E[lam^2]``), in parts of what a pixel has with itself (``E[lam (1 - lam)]``), this
is the *likeness* of two pixels: 1 for one and the same, 0 for independent ones.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from mixwright.arguments import check_number

_NODES = 48  # of each quadrature
_POINTS = 1025  # of the table
_TERMS = 300  # of the series for soft masks, which falls off fast


def orthant(level: Tensor, rho: Tensor) -> Tensor:
    """Return the probability that two standard normals of one correlation both exceed a level.

    Levels of any shape, infinities too; ``rho`` in [-1, 1] is broadcast against them. Float64.

    Example:
        >>> orthant(torch.tensor(0.0), torch.tensor([-1.0, 0.0, 0.5, 1.0])).round(decimals=4)
        tensor([0.0000, 0.2500, 0.3333, 0.5000], dtype=torch.float64)

    Source: Plackett, "A Reduction Formula for Normal Multivariate Integrals", Biometrika 1954: the
    derivative in ``rho`` is the density at (t, t); with ``rho = sin(x)`` it is bounded.
    """
    from numpy.polynomial.legendre import leggauss

    t, angle = torch.broadcast_tensors(level.double(), rho.double().clamp(-1, 1).asin())
    # Gauss-Legendre over x from 0 to asin(rho), where the integrand is smooth up to rho = +-1.
    nodes, weights = (torch.from_numpy(array) for array in leggauss(_NODES))
    x = angle[..., None] * (nodes + 1) / 2
    density = torch.exp(-t[..., None].square() / (1 + x.sin()).clamp_min(1e-300))
    apart = torch.special.ndtr(-t).square()
    return apart + angle / (4 * math.pi) * (density * weights).sum(dim=-1)


def likeness(rho: Tensor, *, alpha: float, softness: float = 0.0) -> Tensor:
    """Return the likeness of two pixels of cut fields whose correlation is ``rho``, see the module.

    It is float64 of the shape of ``rho``, rises with it, is 0 at 0, and at 1 the likeness of a
    pixel with itself: 1 for masks of 0 and 1, less for soft ones. ``softness`` in [0, 0.5] is half
    the width of a linear ramp around the cut, as a share of all pixels, less where ``lam`` leaves
    no room; see ``masks.fourier.soft_rank_mask``. ``lam`` is of Beta(alpha, alpha), alpha above 0.

    Example:
        >>> likeness(torch.tensor([-0.5, 0.5, 1.0]), alpha=1.0).round(decimals=3)
        tensor([-0.2590,  0.3100,  1.0000], dtype=torch.float64)
    """
    table = _table(alpha, softness)
    return _interpolated(rho.double().clamp(-1, 1).asin(), _angles(), table)


def correlation(wanted: Tensor, *, alpha: float, softness: float = 0.0) -> Tensor:
    """Return the float64 correlation that gives a likeness; what none reaches is cut off."""
    table = _table(alpha, softness)
    return _interpolated(wanted.double().clamp(table[0], table[-1]), table, _angles()).sin()


def likeness_range(alpha: float, softness: float = 0.0) -> tuple[float, float]:
    """Return the likeness of opposite pixels, below 0, and that of a pixel with itself."""
    table = _table(alpha, softness)
    return float(table[0]), float(table[-1])


def _angles() -> Tensor:
    return torch.linspace(-math.pi / 2, math.pi / 2, _POINTS, dtype=torch.float64)


@functools.lru_cache(maxsize=32)
def _table(alpha: float, softness: float) -> Tensor:
    """Likeness at equally spaced arcsines of the correlation, in which it is smooth."""
    from scipy.special import roots_jacobi

    check_number("likeness", "alpha", alpha, open_low=True)
    check_number("likeness", "softness", softness, high=0.5)
    # Gauss-Jacobi: its weight function is the density of Beta(alpha, alpha) itself, so that the
    # mean over lam is exact for smooth integrands, also where that density is infinite at 0 and 1.
    nodes, weights = map(torch.from_numpy, roots_jacobi(_NODES, alpha - 1, alpha - 1))
    lam, weights = (nodes + 1) / 2, weights / weights.sum()
    rho = _angles().sin()
    if softness == 0:
        both = orthant(-torch.special.ndtri(lam)[:, None], rho[None, :])
        excess = weights @ (both - lam[:, None].square())
    else:
        shares = weights @ _hermite_shares(lam, softness)
        excess = torch.zeros_like(rho)
        for share in shares.flip(0):  # Horner's rule
            excess = (excess + share) * rho
    # The inverse needs a rising table; rounding alone can make it fall.
    return (excess / (weights @ (lam - lam.square()))).clamp_max(1).cummax(dim=0).values


def _hermite_shares(lam: Tensor, softness: float) -> Tensor:
    """Return what each power of the correlation adds to ``E[M_j M_k] - lam^2`` of soft masks.

    A mask is a function of the field's value at its pixel; with its coefficients c_n in normalised
    Hermite polynomials, ``E[M_j M_k] = sum_n c_n^2 rho^n`` (Mehler). A ramp is a mean of steps at
    levels t, whose c_n is ``phi(t) h_{n-1}(t) / sqrt(n)``, with h by its three-term recurrence.
    The squares from n = 1 are ``(len(lam), _TERMS)`` float64.
    """
    from numpy.polynomial.legendre import leggauss

    nodes, weights = (torch.from_numpy(array) for array in leggauss(_NODES))
    room = torch.minimum(lam, 1 - lam).clamp_max(softness)[:, None]
    level = torch.special.ndtri((1 - lam[:, None] + room * nodes).clamp(1e-300, 1 - 1e-16))
    before = torch.zeros_like(level)
    now = torch.exp(-level.square() / 2) / math.sqrt(2 * math.pi)
    squares: list[Tensor] = []
    for n in range(1, _TERMS + 1):
        squares.append((now @ weights / 2).square() / n)
        before, now = now, (level * now - math.sqrt(n - 1) * before) / math.sqrt(n)
    return torch.stack(squares, dim=1)


def _interpolated(x: Tensor, known: Tensor, values: Tensor) -> Tensor:
    """Straight lines between the points of a table with rising ``known``."""
    right = torch.searchsorted(known, x.contiguous()).clamp(1, len(known) - 1)
    low, high = known[right - 1], known[right]
    part = ((x - low) / (high - low).clamp_min(1e-300)).clamp(0, 1)
    return torch.lerp(values[right - 1], values[right], part)
