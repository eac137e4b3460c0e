"""How far a calibration error, or a difference of two, moves on other images of the same kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def ece_difference(
    own: tuple[npt.ArrayLike, npt.ArrayLike],
    other: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    generator: Generator,
    bins: int = 15,
    level: float = 0.95,
    resamples: int = 2_000,
) -> Interval:
    """Return the difference of two calibration errors on new images of the same kind.

    Images are drawn with replacement, the same for both models. Resampling raises a calibration
    error (bins get emptier), less so a difference of two; for a test prefer the likelihood or the
    Brier score, which are means over images.

    Args:
        own: confidences in [0, 1] and correctness, each ``(n,)``.
        other: those of the other model on the same images, in the same order.
        generator: source of all randomness.
        bins: bins of equal width, closed on the right.
        level: share of the resamples that the interval holds, in (0, 1).
        resamples: draws.

    Returns:
        ``ece(own) - ece(other)`` with its percentile interval; the count is that of the images,
        the deviation that of the resamples.

    Raises:
        ValueError: shapes do not fit, or values are not finite.
    """
    columns = [_gaps(*model, bins=bins) for model in (own, other)]
    if len(columns[0]) != len(columns[1]):
        raise ValueError(
            f"ece_difference: {len(columns[0])} images against {len(columns[1])}; expected the "
            "same images in the same order."
        )

    def difference(means: Floats) -> Floats:
        errors = np.abs(means)
        return errors[..., :bins].sum(axis=-1) - errors[..., bins:].sum(axis=-1)

    return _bootstrapped(np.concatenate(columns, axis=1), difference, generator, level, resamples)


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
    off at 0. ``confidence`` and ``correct`` are ``(n,)``; for the rest see ``ece_difference``.
    """
    found = _bootstrapped(
        _gaps(confidence, correct, bins=bins),
        lambda means: np.abs(means).sum(axis=-1),
        generator,
        level,
        resamples,
    )
    low, high = (max(0.0, 2 * found.mean - end) for end in (found.high, found.low))
    return Interval(found.mean, low, high, found.count, found.deviation)


def _bootstrapped(
    columns: Floats,
    of: Callable[[Floats], Any],
    generator: Generator,
    level: float,
    resamples: int,
) -> Interval:
    rng = draws(generator)
    parts = [of(means) for means in resampled_means(columns, resamples=resamples, rng=rng)]
    resampled = np.concatenate(parts)
    low, high = percentiles(resampled, level)
    deviation = float(resampled.std(ddof=1)) if resamples > 1 else np.nan
    return Interval(float(of(columns.mean(axis=0))), low, high, len(columns), deviation)


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
