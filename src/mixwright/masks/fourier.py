"""Masks from low-frequency noise: a smooth field, cut at a rank so that an exact count stays.

Two steps that know nothing of each other: a *field* (white noise shaped in the frequency domain)
and a *rank mask* of any field. All draws are arguments; nothing here reads a value on the host.
"""

import torch
from torch import Tensor

from mixwright.constants import once, steps
from mixwright.masks.ranks import ranks

# Two digits of the rank search. Finer digits separate values better, larger histograms cost more;
# 2 ** 18 levels over a field's range are nearly as fine as a float32 Fourier transform is exact.
_DIGIT_BITS = 9
_DIGITS = 1 << _DIGIT_BITS

# Pixels that are ranked together: few enough for the caches, which all passes over them want.
_CACHED = 1 << 19


def fourier_field(noise: Tensor, *, decay: float = 3.0) -> Tensor:
    """Shape white noise ``(B, H, W)`` into a smooth isotropic field, one per sample, of any scale.

    The noise is divided by ``f ** decay`` in the frequency domain, ``f`` in cycles per pixel and
    at least ``1 / max(height, width)``. A larger ``decay`` gives fewer, rounder hills; ``decay=0``
    gives the noise back. Any law of finite variance gives nearly normal fields, for each of their
    values is a sum over all pixels.

    Example:
        >>> noise = torch.randn(2, 24, 40, generator=torch.Generator().manual_seed(0))
        >>> fourier_field(noise).shape
        torch.Size([2, 24, 40])

    Source: Harris et al. 2020, arXiv:2002.12047.

    Departs from the paper in drawing the noise per pixel instead of per frequency: normals on the
    half plane that ``irfft2`` reads would lose half of the power at horizontal frequency zero.
    """
    if noise.ndim != 3 or not noise.is_floating_point():
        raise ValueError(
            f"fourier_field: noise has shape {tuple(noise.shape)} and dtype {noise.dtype}; expected"
            " a floating (B, H, W) tensor. Draw it with sampling.normal((B, H, W), ...)."
        )
    count, height, width = noise.shape
    # Two fields to a transform, as its real and its imaginary part: the factor is real and the same
    # at opposite frequencies, so that nothing of one gets into the other. ``irfft2`` takes longer.
    even = noise if count % 2 == 0 else torch.cat([noise, noise[:1]])
    spectrum = torch.fft.fft2(torch.complex(*even.float().chunk(2)))
    # Real and imaginary parts as numbers of their own: a product of complex numbers takes longer.
    torch.view_as_real(spectrum).mul_(_isotropic_falloff(height, width, decay, noise.device))
    parts = torch.view_as_real(torch.fft.ifft2(spectrum)).permute(3, 0, 1, 2).contiguous()
    return parts.view(-1, height, width)[:count]


def official_fourier_field(
    real: Tensor, imaginary: Tensor, *, height: int, width: int, decay: float = 3.0
) -> Tensor:
    """Make the striped field of the FMix authors' code, one per sample, of any scale.

    That code takes two rows of its spectrum where the real and the imaginary part are meant. What
    is left has only the horizontal frequencies zero and one, so that a row of a mask changes
    sides at most twice while a column changes as often as it likes. Published FMix figures come
    from such masks. ``real`` and ``imaginary`` are ``(B, width // 2 + 1, 2)`` standard normals.

    Example:
        >>> real, imaginary = torch.ones(2, 3, 17, 2)
        >>> official_fourier_field(real, imaginary, height=32, width=32).shape
        torch.Size([3, 32, 32])

    Source: ecs-vlc/FMix: fmix.py:7-66, as a formula for any height and width.
    """
    expected = (len(real), width // 2 + 1, 2)
    if real.shape != expected or imaginary.shape != expected:
        raise ValueError(
            f"official_fourier_field: real and imaginary have shapes {tuple(real.shape)} and "
            f"{tuple(imaginary.shape)}; expected {expected}, that is (B, width // 2 + 1, 2), for a "
            f"width of {width}. Draw both with sampling.normal."
        )
    along = torch.arange(width // 2 + 1, device=real.device, dtype=torch.float32)[:, None] / width
    first = _falloff(along.new_zeros(()), along, height=height, width=width, decay=decay)
    once = torch.full_like(along, 1 / height)
    second = _falloff(once, along, height=height, width=width, decay=decay)
    spectrum = torch.complex(real.float() * first, imaginary.float() * second)
    return torch.fft.irfft2(spectrum, s=(height, width))


def rank_mask(field: Tensor, kept: Tensor) -> Tensor:
    """Keep exactly the ``kept`` ``(B,)`` highest pixels of each field ``(B, H, W)``, as bool.

    Among equal pixels at the cut the first in reading order are kept, so that the count is exact
    for every field, a constant one included. On an accelerator, and compiled, pixels whose values
    agree to four millionths of the field's range count as equal.

    Example:
        >>> field = torch.tensor([[[0.1, 0.9], [0.5, 0.5]]])
        >>> rank_mask(field, torch.tensor([2])).int().tolist()
        [[[[0, 1], [1, 0]]]]

    Source: the ranking of ecs-vlc/FMix: fmix.py:91-117.

    Departs from it in the method: no sort of all pixels, which costs three to eight times as much
    on a CPU.
    """
    _check_rank_arguments("rank_mask", field, kept)
    value = field.float().flatten(1).contiguous()
    if torch.compiler.is_compiling() or value.device.type != "cpu":
        keep = _by_two_digits(value, kept)
    else:
        rows = max(1, _CACHED // value.shape[1])
        parts = zip(value.split(rows), kept.split(rows), strict=True)
        keep = torch.cat([_by_one_digit(some, counts) for some, counts in parts])
    return keep.view(len(field), 1, *field.shape[1:])


def soft_rank_mask(field: Tensor, kept: Tensor, *, softness: float) -> Tensor:
    """Keep the ``kept`` highest pixels of each field with a linear ramp around the cut, float32.

    The ramp covers ``softness`` of all pixels, at most 0.5, on both sides of the cut, less where
    the count does not leave so much room on one side; in ranks it is straight, so that the sum
    stays ``kept``.

    Example:
        >>> field = torch.tensor([[[4.0, 3.0, 2.0, 1.0]]])
        >>> soft_rank_mask(field, torch.tensor([2]), softness=0.5).tolist()
        [[[[0.875, 0.625, 0.375, 0.125]]]]

    Source: ``max_soft`` of ecs-vlc/FMix: fmix.py:103-115.

    Departs from it by half a step of the ramp, which makes the sum exact.
    """
    _check_rank_arguments("soft_rank_mask", field, kept)
    count = field[0].numel()
    kept = kept.to(torch.int64)[:, None]
    room = torch.minimum(kept, count - kept).clamp_max(int(softness * count))
    rank = ranks(field.float().flatten(1))
    hard = (rank < kept).float()
    ramp = ((kept + room - rank).float() - 0.5) / (2 * room).clamp_min(1)
    keep = torch.where(room > 0, ramp.float().clamp(0, 1), hard)
    return keep.view(len(field), 1, *field.shape[1:])


@once
def _isotropic_falloff(height: int, width: int, decay: float, device: torch.device) -> Tensor:
    """Give a factor for both parts of each number that ``fft2`` gives, ``(H, W, 2)``."""
    vertical = torch.fft.fftfreq(height, device=device, dtype=torch.float32)[:, None]
    horizontal = torch.fft.fftfreq(width, device=device, dtype=torch.float32)[None, :]
    factor = _falloff(vertical, horizontal, height=height, width=width, decay=decay)
    return torch.stack([factor, factor], dim=-1)


def _falloff(
    vertical: Tensor, horizontal: Tensor, *, height: int, width: int, decay: float
) -> Tensor:
    """``f ** -decay`` of the radial frequency, which is at least one cycle per longer side."""
    # In cycles per longer side, at least 1: a large decay then underflows instead of overflowing.
    longer = max(height, width)
    return (torch.hypot(vertical, horizontal) * longer).clamp_min(1).pow(-decay)


# A pixel is kept if its rank is below the count, which does without the ranks: the value at the cut
# is enough. Values become levels; a histogram of their upper digit finds the digit in which the
# count is reached, by a scatter and a cumulative sum over 512 bins instead of a sort.


def _by_two_digits(value: Tensor, kept: Tensor) -> Tensor:
    """Mark the highest of each row, by the level at the cut; the host reads nothing.

    Levels have 18 bits; a second histogram, over the pixels of the digit at the cut alone, finds
    the lower digit.
    """
    level = _levels(value, _DIGITS * _DIGITS, torch.int32)
    left = kept.to(torch.int32)[:, None]
    coarse = level >> _DIGIT_BITS
    coarse_cut, left = _cut(coarse, torch.ones_like(level), left)
    inside = (coarse == coarse_cut).to(torch.int32)
    fine_cut, left = _cut(level & (_DIGITS - 1), inside, left)

    cut = (coarse_cut << _DIGIT_BITS) + fine_cut
    equal = level == cut
    among_equals = equal.cumsum(1, dtype=torch.int32) <= left
    return (level > cut) | (equal & among_equals)


def _by_one_digit(value: Tensor, kept: Tensor) -> Tensor:
    """Mark the highest of each row, those of the digit at the cut by a sort: there are few."""
    # Of levels 16 bits do, and are compared twice as many at once.
    level = _levels(value, _DIGITS, torch.int16)
    votes = torch.ones_like(level[:1], dtype=torch.int32).expand_as(level)  # read from the cache
    cut, left = _cut(level, votes, kept.int()[:, None])
    level.sub_(cut.to(torch.int16))
    # In place, since comparing into bool is four times as slow.
    place = _places_of_ones(level.clone().eq_(0).view(-1))
    keep = level.gt_(0).to(torch.bool)
    # By value, then by row, both stable: within each row the first in reading order among equals.
    downward = value.view(-1).index_select(0, place).argsort(descending=True, stable=True)
    place = place.index_select(0, downward)
    row, order = (place // value.shape[1]).sort(stable=True)
    # Each one's number among those of its row.
    number = torch.arange(len(row), device=row.device) - torch.searchsorted(row, row)
    wanted = number < left[:, 0].index_select(0, row)
    keep.view(-1).index_copy_(0, place.index_select(0, order), wanted)
    return keep


def _places_of_ones(marks: Tensor) -> Tensor:
    """Find the few ones among zeros, ``(n,)`` int16."""
    if len(marks) % 4:
        return marks.nonzero()[:, 0]
    # Four at a time, since ``nonzero`` takes as long for eight bytes as for one.
    four = torch.add(steps(4, marks.device), marks.view(torch.int64).nonzero(), alpha=4).view(-1)
    return four.index_select(0, marks.index_select(0, four).nonzero()[:, 0])


def _levels(value: Tensor, count: int, kind: torch.dtype) -> Tensor:
    """Divide the range of each row into ``count`` levels, numbered from 0."""
    low, high = value.amin(1, keepdim=True), value.amax(1, keepdim=True)
    # Down to whole numbers of few bits: to 64 at once takes twenty times as long.
    return (value - low).mul_((count - 1) / (high - low).clamp_min(1e-30)).to(kind)


def _cut(digit: Tensor, votes: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the digit where ``wanted`` votes are reached, and how many of its own are wanted."""
    histogram = votes.new_zeros(len(digit), _DIGITS).scatter_add_(1, digit.long(), votes)
    up_to = histogram.cumsum(1, dtype=torch.int32)
    total = up_to[:, -1:]
    # Digits with at most ``total - wanted`` votes up to them are below the cut. With nothing
    # wanted the cut is the last digit, above which there is nothing.
    cut = torch.searchsorted(up_to, total - wanted, right=True).clamp_max(_DIGITS - 1)
    above = total - up_to.gather(1, cut)
    return cut.int(), wanted - above


def _check_rank_arguments(name: str, field: Tensor, kept: Tensor) -> None:
    if field.ndim != 3 or kept.shape != field.shape[:1]:
        raise ValueError(
            f"{name}: field has shape {tuple(field.shape)} and kept {tuple(kept.shape)}; expected "
            "(B, H, W) and (B,). Give one count per sample."
        )
