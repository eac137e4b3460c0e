"""How far the calibration errors of one model move on other images of the same kind."""

from __future__ import annotations

from collections.abc import Iterable

import numpy.typing as npt

from mixwright.lab.analysis.statistics.calibration_error import ece_interval
from mixwright.sampling import Stream, stream


def calibration_intervals(
    confidence: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    bins: Iterable[int],
    seed: int,
    resamples: int,
) -> dict[int, tuple[float, float]]:
    """Return a bootstrap interval over images for each number of bins; see ``ece_interval``.

    Args:
        confidence: ``(n,)`` in [0, 1], of the evaluation ``calibration``.
        correct: ``(n,)`` bool, of the same images.
        bins: numbers of bins.
        seed: of the evaluation; each number of bins draws from a stream of its own.
        resamples: of the images.

    Returns:
        Number of bins -> lower and upper end of the 95 % interval of its ECE.
    """
    found = {
        count: ece_interval(
            confidence,
            correct,
            generator=stream(seed, Stream.CALIBRATION_IMAGES, count),
            bins=count,
            resamples=resamples,
        )
        for count in bins
    }
    return {count: (interval.low, interval.high) for count, interval in found.items()}
