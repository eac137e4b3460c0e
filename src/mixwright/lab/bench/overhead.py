"""What a method adds to a training step, with an interval: pairs of blocks of steps, side by side.

Steps of one block are alike in what disturbs them, so that the bootstrap draws blocks, and not
steps. The two steps of a pair stand next to each other in time, so that a machine that slows down
slows down both.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mixwright.sampling import Stream, stream

_BLOCKS, _STEPS = 10, 20  # pairs of blocks, and steps of a block at most
_DISTURBED = 0.15  # share by which a vanilla block differs from its neighbours
_RESAMPLES = 2000
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Overhead:
    """How much longer a step takes than one without mixing.

    Attributes:
        share: the median over pairs of blocks of ``method / vanilla - 1``; 0.11 is 11 %. None
            where every pair was disturbed. ``low`` and ``high`` are the ends of its 95 % interval,
            by bootstrap over pairs; None for fewer than two.
        pairs: pairs of blocks that count.
        rejected: pairs left out, since the vanilla block was disturbed.
        steps: steps of a block.
    """

    share: float | None
    low: float | None
    high: float | None
    pairs: int
    rejected: int
    steps: int


def paired_overhead(
    method: Sequence[float], vanilla: Sequence[float], *, steps: int | None = None, seed: int = 0
) -> Overhead:
    """Compare steps that were timed in turn, block by block.

    The turns are cut into blocks of ``steps`` (None: a tenth of the turns, 20 at most; what is left
    over does not count); the medians of two blocks that were timed together make a ratio. A pair is
    left out where its vanilla block differs by more than 15 % from both blocks nearest to it:
    something else was at work then. ``method`` and ``vanilla`` are seconds, in the order of the
    turns.

    Example:
        >>> paired_overhead([2.0, 3.0, 2.2], [1.0, 1.5, 1.1]).share
        1.0
    """
    length = min(_STEPS, max(1, len(vanilla) // _BLOCKS)) if steps is None else steps
    if length < 1 or len(method) != len(vanilla) or len(vanilla) < length:
        raise ValueError(
            f"paired_overhead: {len(method)} and {len(vanilla)} turns in blocks of {length}; "
            "expected as many of both, and enough for one block."
        )
    mixed, plain = _medians(method, length), _medians(vanilla, length)
    kept = [not _disturbed(plain, block) for block in range(len(plain))]
    ratios = [a / b - 1 for a, b, keep in zip(mixed, plain, kept, strict=True) if keep]
    low, high = _interval(ratios, seed)
    return Overhead(
        share=statistics.median(ratios) if ratios else None,
        low=low,
        high=high,
        pairs=len(ratios),
        rejected=len(plain) - len(ratios),
        steps=length,
    )


def _medians(seconds: Sequence[float], length: int) -> list[float]:
    whole = len(seconds) // length * length
    return [statistics.median(seconds[at : at + length]) for at in range(0, whole, length)]


def _disturbed(blocks: Sequence[float], block: int) -> bool:
    """Whether a block differs from both that are nearest; the first and last have none beyond."""
    others = [other for other in range(len(blocks)) if other != block]
    nearest = sorted(others, key=lambda other: abs(other - block))[:2]
    return len(nearest) == 2 and all(
        abs(blocks[block] / blocks[other] - 1) > _DISTURBED for other in nearest
    )


def _interval(ratios: Sequence[float], seed: int) -> tuple[float | None, float | None]:
    """Return the percentile interval of the median by bootstrap over pairs."""
    if len(ratios) < 2:
        return None, None
    # All resamples are sorted at once. torch's median would take the lower of two middle values.
    values = torch.tensor(ratios, dtype=torch.float64)
    drawn = torch.randint(
        len(values), (_RESAMPLES, len(values)), generator=stream(seed, Stream.BENCH_RESAMPLES)
    )
    ordered = values[drawn].sort(dim=1).values
    middle = len(values) // 2
    medians = ordered[:, middle]
    if len(values) % 2 == 0:
        medians = (medians + ordered[:, middle - 1]) / 2
    tail = (1 - _LEVEL) / 2
    low, high = medians.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high
