"""The stationary field whose correlation is nearest to a wanted one.

Correlations of fields are positive semidefinite: the Fourier transform of one, the spectrum, is
nowhere negative. The field is made on a torus of twice the image's sides, of which the image shows
a quarter, so that opposite borders know nothing of each other unless that is wanted.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mixwright.lab.evaluation.offset_maps import from_torus, overlap

_ROUNDS = 200


def nearest_spectrum(rho: Tensor, *, rounds: int = _ROUNDS) -> Tensor:
    """Return the spectrum of the field whose correlation is nearest, over all pairs of pixels.

    ``rho`` is the wanted correlation ``(2H - 1, 2W - 1)``, symmetric about offset 0 in the middle;
    the result ``(2H, 2W)`` float64, the power at each frequency of the torus. A convex problem:
    spectra are points of a simplex (not negative, of mean 1, so that each pixel has variance 1),
    and the correlation is linear in them.

    Example:
        >>> nearest_spectrum(torch.tensor([[0.0, 1.0, 0.0]])).tolist()  # white noise
        [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]

    Source: Beck and Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm", SIAM J. Imaging
    Sciences 2009.
    """
    # FISTA. A gradient is two Fourier transforms; with weights of at most 1 it has Lipschitz
    # constant 1 in these units, so a step of 1 is safe and needs no search. Offsets that the image
    # does not have weigh nothing: there the field is free.
    wanted, weight = _on_torus(rho.double()), _on_torus(_pairs(rho))
    weight = weight / weight.max()
    power = torch.ones_like(wanted)
    ahead, momentum = power, 1.0
    for _ in range(rounds):
        residual = weight * (torch.fft.ifft2(ahead).real - wanted)
        moved = project_simplex(ahead - torch.fft.fft2(residual).real)
        after = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = moved + (momentum - 1) / after * (moved - power)
        power, momentum = moved, after
    return power


def project_simplex(power: Tensor) -> Tensor:
    """Return the nearest point that is nowhere negative and has mean 1.

    Example:
        >>> project_simplex(torch.tensor([3.0, 2.0, -5.0, 0.0])).tolist()
        [2.5, 1.5, 0.0, 0.0]
    """
    # The nearest point is power - level, cut off at 0. Sorted, the level at which the n largest
    # have the wanted sum is known for every n, and the right n is the last whose value is above it.
    count = power.numel()
    falling = power.flatten().sort(descending=True).values
    levels = (falling.cumsum(0) - count) / torch.arange(1, count + 1, device=power.device)
    last = int((falling > levels).sum()) - 1
    return (power - levels[last]).clamp_min(0)


def spectrum_correlation(power: Tensor) -> Tensor:
    """Return the correlation ``(2H - 1, 2W - 1)`` of a field of this spectrum ``(2H, 2W)``."""
    torus = torch.fft.ifft2(power.double()).real
    return from_torus(torus) / torus[0, 0]


def pair_shares(offsets: Tensor) -> Tensor:
    """Return the share of all pairs of pixels that have each offset of a map of this shape."""
    pairs = _pairs(offsets)
    return pairs / pairs.sum()


def _pairs(offsets: Tensor) -> Tensor:
    height, width = ((side + 1) // 2 for side in offsets.shape)
    return overlap((height, width))


def _on_torus(offsets: Tensor) -> Tensor:
    """The inverse of ``from_torus``; 0 at the offset that no image has."""
    down, right = (-(side // 2) for side in offsets.shape)
    return F.pad(offsets, (0, 1, 0, 1)).roll((down, right), (0, 1))
