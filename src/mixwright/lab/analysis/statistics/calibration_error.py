"""How far a calibration error moves on other images of the same kind."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Generator

from mixwright.lab.analysis.statistics.interval import Interval
from mixwright.lab.analysis.statistics.resampling import (
    Floats,
    draws,
    one_per_image,
    percentiles,
    resampled_means,
)


def ece_interval(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    generator: Generator,
    bins: int = 15,
    level: float = 0.95,
    resamples: int = 2_000,
) -> Interval:
    """Return a calibration error with how far it moves on other images of the same kind.

    Resampling raises a calibration error, by about its noise floor. The ends are therefore
    mirrored at the error itself (the basic bootstrap), which takes that rise out again, and cut
    off at 0.

    Args:
        confidence: ``(n,)`` in [0, 1].
        correct: ``(n,)``, 1 where the image is right.
        generator: source of all randomness.
        bins: bins of equal width, closed on the right.
        level: share of the resamples that the interval holds, in (0, 1).
        resamples: draws, at least 2.

    Returns:
        The error with its interval; the count is that of the images, the deviation that of the
        resamples.

    Raises:
        ValueError: shapes do not fit, or values are not finite.
    """
    columns = _gaps(confidence, correct, bins=bins)
    batches = resampled_means(columns, resamples=resamples, rng=draws(generator))
    resampled = np.concatenate([np.abs(means).sum(axis=-1) for means in batches])
    error = float(np.abs(columns.mean(axis=0)).sum())
    low, high = (max(0.0, 2 * error - end) for end in percentiles(resampled, level)[::-1])
    return Interval(error, low, high, len(columns), float(resampled.std(ddof=1)))


def _gaps(confidence: npt.ArrayLike, correct: npt.ArrayLike, *, bins: int) -> Floats:
    """``(n, bins)``: right minus confidence, in the column of the image's bin."""
    sure = one_per_image("calibration error", confidence, least=1)
    right = one_per_image("calibration error", correct, least=1)
    if sure.shape != right.shape or bins < 1:
        raise ValueError(
            f"calibration error: {len(sure)} confidences, {len(right)} outcomes and {bins} bins; "
            "expected one outcome per confidence and at least one bin."
        )
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    table = np.zeros((len(sure), bins))
    table[np.arange(len(sure)), index] = right - sure
    return table
