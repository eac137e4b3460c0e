"""Are two checkpoints different on new images? One value per base image is the unit.

Variants of one image (its corruptions, its occlusions) depend on each other, so they are averaged
first: counting each as an image of its own makes intervals several times too narrow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Generator

from mixwright.lab.analysis.statistics.interval import ROUNDING, Interval, equal
from mixwright.lab.analysis.statistics.resampling import (
    NUMBERS,
    Floats,
    draws,
    one_per_image,
    percentiles,
    resampled_means,
)


def wilson_interval(right: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Return where an accuracy would lie on other images of the same kind, for this one run.

    Args:
        right: images that are right.
        count: images, at least 1.
        level: share of such intervals that hold the true accuracy, in (0, 1).

    Example:
        >>> [round(end, 3) for end in wilson_interval(8, 10)]
        [0.49, 0.943]
    """
    from scipy.stats import binomtest

    ends = binomtest(right, count).proportion_ci(level, method="wilson")
    return float(ends.low), float(ends.high)


def bootstrap_interval(
    values: npt.ArrayLike,
    *,
    generator: Generator,
    method: Literal["percentile", "bca"] = "bca",
    level: float = 0.95,
    resamples: int = 10_000,
) -> Interval:
    """Return the mean over images and where it would lie for other images of the same kind.

    For a difference of two models give the difference per image: that pairs them.

    Args:
        values: ``(n,)``, one number per base image, finite, at least two.
        generator: source of all randomness.
        method: ``bca`` corrects the percentiles for bias and skewness; ``percentile`` does not.
        level: share of such intervals that hold the true mean, in (0, 1).
        resamples: how often all images are drawn with replacement, at least 1.

    Raises:
        ValueError: shape, values, ``method`` or ``level`` are out of range.

    Example:
        >>> import torch
        >>> rng = torch.Generator().manual_seed(0)
        >>> found = bootstrap_interval([0.0] * 50 + [1.0] * 50, generator=rng)
        >>> found.mean, round(found.low, 2), round(found.high, 2)
        (0.5, 0.4, 0.6)

    Source: Efron 1987, Better Bootstrap Confidence Intervals.
    """
    table = one_per_image("bootstrap_interval", values)
    if method not in ("percentile", "bca") or resamples < 1:
        raise ValueError(
            f"bootstrap_interval: method is {method!r} and resamples {resamples}; expected "
            "'percentile' or 'bca', and at least 1."
        )
    rng = draws(generator)
    batches = resampled_means(table[:, None], resamples=resamples, rng=rng)
    means = np.concatenate([batch[:, 0] for batch in batches])
    mean, deviation = float(table.mean()), float(table.std(ddof=1))
    low, high = percentiles(means, level)
    if method == "bca" and not equal(table.tolist()):
        low, high = _bca(table, means, level)
    return Interval(mean, low, high, len(table), deviation)


def sign_flip_p(values: npt.ArrayLike, *, generator: Generator, flips: int = 19_999) -> float:
    """Test whether differences per image are centred on zero, by flipping their signs at random.

    Where the two models are exchangeable, each difference is as likely as its opposite.

    Args:
        values: ``(n,)``, one difference per base image, finite.
        generator: source of all randomness.
        flips: random patterns of signs, at least 1. The smallest p-value is ``1 / (1 + flips)``,
            so correcting for 19 tests at 0.001 needs 19,999.

    Returns:
        Two-sided p-value ``(1 + #{|T*| >= |T|}) / (1 + flips)``, in (0, 1].

    Raises:
        ValueError: shape or values are out of range.
    """
    table = one_per_image("sign_flip_p", values, least=1)
    if flips < 1:
        raise ValueError(f"sign_flip_p: flips is {flips}; expected at least 1, say 19999.")
    # Sums of the same numbers in another order are equal.
    least = abs(float(table.sum())) - ROUNDING * float(np.abs(table).sum())
    reached = sum(
        int((np.abs(sums) >= least).sum()) for sums in _flipped(table, flips, draws(generator))
    )
    return (1 + reached) / (1 + flips)


def _flipped(table: Floats, flips: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Sums of the values with random signs, batch by batch.

    Of values of one size, how many are positive is drawn (binomial); of many sizes, every sign.
    """
    size, having = np.unique(np.abs(table), return_counts=True)
    few = 8 * len(size) <= len(table)
    batch = max(1, NUMBERS // (len(size) if few else len(table)))
    for start in range(0, flips, batch):
        rows = min(batch, flips - start)
        if few:
            plus = rng.binomial(having, 0.5, size=(rows, len(size)))
            yield np.asarray((2.0 * plus - having) @ size, dtype=np.float64)
        else:
            width = -(-len(table) // 8)
            packed = np.frombuffer(rng.bytes(rows * width), dtype=np.uint8).reshape(rows, width)
            plus = np.unpackbits(packed, axis=1, count=len(table))
            yield 2.0 * (plus.astype(np.float64) @ table) - float(table.sum())


def _bca(table: Floats, means: Floats, level: float) -> tuple[float, float]:
    """Percentiles moved for the bias of the resamples and the skewness of the values."""
    from scipy.stats import norm

    mean = table.mean()
    below = (means < mean).mean() + (means == mean).mean() / 2  # ties count half
    bias = norm.ppf(np.clip(below, 1 / (2 * len(means)), 1 - 1 / (2 * len(means))))
    away = table - mean  # of a mean, the jackknife moves by what is left out
    skew = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    ends = bias + norm.ppf([(1 - level) / 2, (1 + level) / 2])
    shares = norm.cdf(bias + ends / (1 - skew * ends))
    low, high = np.quantile(means, shares)
    return float(low), float(high)
