"""Images as amplitudes and phases of their frequencies, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def spectrum(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return amplitudes and phases of images, in ``rfft2``'s order ``(B, C, H, W // 2 + 1)``.

    Half of the plane is enough, since real images have the other half in mirror image. Where the
    amplitude is 0 the phase is 1. No graph: the amplitude of an image has no slope where it is 0.

    Example:
        >>> amplitude, phase = spectrum(torch.full((1, 1, 4, 4), 0.5))
        >>> amplitude[0, 0, 0].tolist()  # a sum over the pixels, and no waves
        [8.0, 0.0, 0.0]
        >>> torch.fft.irfft2(amplitude * phase, s=(4, 4)).unique().tolist()
        [0.5]
    """
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        waves = torch.fft.rfft2(images.float())
        phase = torch.sgn(waves)
        return waves.abs(), torch.where(phase == 0, torch.ones_like(phase), phase)


def from_spectrum(amplitude: Tensor, phase: Tensor, size: Sequence[int]) -> Tensor:
    """Put images of ``size`` together again, not limited to any range; amplitudes keep their graph.

    Of two values at mirror images of each other, as in the first column, the mean is taken.
    """
    with torch.autocast(amplitude.device.type, enabled=False):
        return torch.fft.irfft2(amplitude.float() * phase, s=tuple(size))


def mirrored(half: Tensor, width: int) -> Tensor:
    """Make values ``(..., H, W // 2 + 1)`` on half a plane agree with their mirror images.

    The column of horizontal frequency 0, and for an even width the last one, are mirror images of
    themselves: the value at row k belongs to row -k too. There the upper half of the rows decides.

    Example:
        >>> half = torch.arange(8.0).view(4, 2)
        >>> mirrored(half, 3)[:, 0].tolist()
        [0.0, 2.0, 4.0, 2.0]
        >>> mirrored(half, 3)[:, 1].tolist()
        [1.0, 3.0, 5.0, 7.0]
    """
    height, columns = half.shape[-2:]
    rows = torch.arange(height, device=half.device)
    upper = half.index_select(-2, torch.minimum(rows, (height - rows) % height))
    column = torch.arange(columns, device=half.device)
    own = (column == 0) | (2 * column == width)
    return torch.where(own, upper, half)


def whole(half: Tensor, width: int) -> Tensor:
    """Return values of both halves of the plane, in the order of ``fft2``, from one half.

    Example:
        >>> whole(torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]), 3).tolist()
        [[0.0, 1.0, 1.0], [2.0, 3.0, 5.0], [2.0, 5.0, 3.0]]
    """
    half = mirrored(half, width)
    height = half.shape[-2]
    rows = -torch.arange(height, device=half.device) % height
    columns = torch.arange(half.shape[-1], width, device=half.device)
    other = half.index_select(-2, rows).index_select(-1, width - columns)
    return torch.cat([half, other], dim=-1)
