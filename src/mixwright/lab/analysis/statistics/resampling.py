"""The bootstrap over images, and over images and seeds at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from torch import Generator, randint

from mixwright.lab.analysis.statistics.interval import Interval, equal

Floats = npt.NDArray[np.float64]

NUMBERS = 4_000_000
"""Drawn at a time: 32 MB of them."""


def draws(generator: Generator) -> np.random.Generator:
    """Make NumPy's generator, which has the multinomial and binomial laws, from one draw of ours.

    The CPU generator stays the only state there is to save; equal states give equal generators.
    """
    return np.random.default_rng(int(randint(2**62, (), generator=generator)))


def one_per_image(name: str, values: npt.ArrayLike, *, least: int = 2) -> Floats:
    """Take values as ``(n,)`` float64 and refuse what has no interval.

    Raises:
        ValueError: another shape, fewer than ``least``, or one that is not finite.
    """
    taken = np.asarray(values, dtype=np.float64)
    if taken.ndim != 1 or len(taken) < least or not np.isfinite(taken).all():
        raise ValueError(
            f"{name}: values have shape {taken.shape}, {int((~np.isfinite(taken)).sum())} of them "
            f"not finite; expected one finite number per image, at least {least} images. Average "
            "over conditions first: variants of one image are not independent."
        )
    return taken


def resampled_means(
    columns: npt.ArrayLike, *, resamples: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """Draw images with replacement, again and again, and average each column over them.

    Where images take few distinct values, as differences of right and wrong do, their counts are
    drawn instead (multinomial): the same law, and hundreds of times as fast. From ``(n, m)``, a row
    an image, to ``(b, m)`` float64 means, batch by batch, ``resamples`` rows in all.
    """
    table = np.asarray(columns, dtype=np.float64)
    count = len(table)
    kinds, having = np.unique(table, axis=0, return_counts=True)
    few = 8 * len(kinds) <= count
    batch = max(1, NUMBERS // (len(kinds) if few else count))
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        if few:
            yield rng.multinomial(count, having / count, size=size) @ kinds / count
            continue
        chosen = rng.integers(count, size=(size, count), dtype=np.int32)
        # One column is looked up; several share the weights that images have in each resample.
        yield (
            table[:, 0][chosen].mean(axis=1)[:, None]
            if table.shape[1] == 1
            else _weights(chosen) @ table / count
        )


def crossed_interval(
    own: npt.ArrayLike,
    other: npt.ArrayLike,
    *,
    generator: Generator,
    paired: bool = True,
    level: float = 0.95,
    resamples: int = 10_000,
) -> Interval:
    """Return the difference of two methods for new runs and new images, by a two-way bootstrap.

    Seeds and images are drawn with replacement, independently of each other. A check of the t
    interval over runs, not its rival: R seeds have few distinct draws and their part of the
    spread comes out too small by ``sqrt((R - 1) / R)``, so below eight seeds it is too narrow.

    Args:
        own: ``(R, n)``, for each run its score on each image, such as 1 for right and 0 for wrong,
            or a mean over corruptions.
        other: ``(S, n)``, of the other method on the same images.
        generator: source of all randomness.
        paired: whether row r of both comes from one seed (then S = R), so that both are drawn.
        level: share of the resamples that the interval holds, in (0, 1).
        resamples: draws.

    Returns:
        The mean difference with its percentile interval; count and deviation are those of the
        runs, over seeds (of the differences of means where paired, NaN for one run). Where all
        runs differ by the same, or all images, no spread was measured and the ends are NaN.

    Raises:
        ValueError: the shapes do not fit, or values are not finite.
    """
    mine, theirs = (np.asarray(scores, dtype=np.float64) for scores in (own, other))
    fits = mine.ndim == theirs.ndim == 2 and mine.shape[1:] == theirs.shape[1:]
    if not fits or mine.size == 0 or (paired and mine.shape != theirs.shape):
        raise ValueError(
            f"crossed_interval: own has shape {mine.shape} and other {theirs.shape}; expected "
            "(runs, images) of the same images, and as many runs of both where they are paired."
        )
    if not (np.isfinite(mine).all() and np.isfinite(theirs).all()):
        raise ValueError("crossed_interval: values that are not finite; expected scores of images.")
    rng = draws(generator)
    # Images are drawn by resampled_means, for every run at once; then runs by the multinomial law
    # of how often each is taken. Unpaired groups of runs are drawn each by itself.
    rows = mine - theirs if paired else np.concatenate([mine, -theirs])
    groups = [slice(len(mine))] if paired else [slice(len(mine)), slice(len(mine), None)]
    parts: list[Floats] = []
    for means in resampled_means(rows.T, resamples=resamples, rng=rng):
        total = np.zeros(len(means))
        for group in groups:
            inside = means[:, group]
            weights = rng.multinomial(
                inside.shape[1], [1 / inside.shape[1]] * inside.shape[1], size=len(means)
            )
            total += (weights * inside).sum(axis=1) / inside.shape[1]
        parts.append(total)
    per_run = rows.mean(axis=1)
    mean = float(sum(per_run[group].mean() for group in groups))
    size = float(np.abs(rows).max(initial=0.0))
    still = [len(per_run[g]) > 1 and equal(per_run[g].tolist(), size) for g in groups]
    spread = [
        0.0 if no_spread else float(per_run[g].std(ddof=1)) if len(per_run[g]) > 1 else np.nan
        for g, no_spread in zip(groups, still, strict=True)
    ]
    resampled = np.concatenate(parts)
    low, high = percentiles(resampled, level)
    if all(still) or equal([float(resampled.min()), float(resampled.max())], size):
        low, high = np.nan, np.nan
    return Interval(mean, low, high, len(per_run), float(np.linalg.norm(spread)))


def percentiles(resampled: Floats, level: float) -> tuple[float, float]:
    """Return the lower and upper end that leave a share ``level``, in (0, 1), of the resamples."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"bootstrap: level is {level}; expected a share in (0, 1), say 0.95.")
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _weights(chosen: npt.NDArray[np.int32]) -> Floats:
    """``(size, count)``: how often each image is in each resample."""
    size, count = chosen.shape
    places = chosen + (np.arange(size, dtype=np.int32) * count)[:, None]
    return np.bincount(places.ravel(), minlength=size * count).reshape(size, count).astype(float)
