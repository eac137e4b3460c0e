"""Several methods against one baseline over common seeds: one spread for all of them.

Every method is run with the same seeds, a randomised block design: a score is a term of its method,
a term of its seed, and chance. Chance is taken to be as large for one method as for another, so all
of them tell how large it is, which is what gives two or three seeds any power: six methods at two
seeds have six degrees of freedom where one pair of methods has one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mixwright.lab.analysis.statistics.dunnett import (
    detectable_t,
    largest_t_p,
    largest_t_quantile,
)
from mixwright.lab.analysis.statistics.interval import (
    Contrast,
    Interval,
    difference_interval,
    differences,
)

UNLIKE = 0.001
"""P-value of a method's spread against that of the others, below which it is judged alone.

Whoever leaves makes the spread of the rest look smaller than it is: at 0.01 one family in sixteen
would err for no other reason.
"""

UNLIKE_BASELINE = 0.05
"""The same for the baseline, whose spread is in every difference: then nothing is pooled."""

Gains = dict[Hashable, float]
"""Differences to the baseline, by seed."""


def many_to_one(
    baseline: Mapping[Hashable, float],
    methods: Mapping[str, Mapping[Hashable, float]],
    level: float = 0.95,
) -> dict[str, Contrast]:
    """Compare methods with one baseline, paired by seed, by Dunnett's simultaneous intervals.

    A difference is the mean over the seeds that a method shares with the baseline; other seeds do
    not count, and not every method needs every seed. The variance of a score is the residual one of
    the additive model of methods and seeds, on those cells. Methods of one seed have no interval.

    Pooling is unfair where one method varies much more than the rest: a run that collapsed would
    hide what the others show. A method whose differences vary more than those of the others lead to
    expect (F test, p below ``UNLIKE``) leaves the pool and is judged by a t test over its own pairs
    with Bonferroni's correction; so are all of them where it is the baseline that varies more
    (``UNLIKE_BASELINE``). Differences that are the same in every seed, as scores of few test images
    can be, are judged by the spread of the others and say nothing of it.

    Args:
        baseline: score by seed, finite.
        methods: score by seed of each method, finite.
        level: share of families in which all intervals hold their true differences, in (0, 1).

    Returns:
        what was found, of each method that shares a seed with the baseline.

    Raises:
        ValueError: ``level`` is out of range, or a score is not finite.

    Example:
        >>> none = {0: 64.0, 1: 63.0, 2: 65.0}
        >>> found = many_to_one(none, {"a": {0: 68.0, 1: 67.5, 2: 69.0}, "b": {0: 64.5, 1: 62.5}})
        >>> [(round(one.interval.mean, 2), round(one.p, 3)) for one in found.values()]
        [(4.17, 0.002), (0.0, 1.0)]
        >>> found["a"].freedom  # eight scores less three methods and two more seeds
        3

    Source: Dunnett 1955, Journal of the American Statistical Association 50, 1096-1121.
    """
    gains: dict[str, Gains] = {}
    for key, own in methods.items():
        if seeds := [seed for seed in own if seed in baseline]:
            found = differences([own[seed] for seed in seeds], [baseline[seed] for seed in seeds])
            gains[key] = dict(zip(seeds, found, strict=True))
    judged = {key: gain for key, gain in gains.items() if len(gain) > 1}
    still = {key for key, gain in judged.items() if len(set(gain.values())) == 1}
    pool = _alike({key: gain for key, gain in judged.items() if key not in still})
    variance, freedom = _residual_variance(pool)
    alone = 1 - (1 - level) / max(1, len(judged))
    correlation = _least_correlation(judged)
    contrasts: dict[str, Contrast] = {}
    for key, gain in gains.items():
        values = list(gain.values())
        contrast = Contrast(
            interval=difference_interval(values, alone),
            own=statistics.fmean(methods[key][seed] for seed in gain),
            baseline=statistics.fmean(baseline[seed] for seed in gain),
            p=math.nan,
            above=sum(value > 0 for value in values),
            below=sum(value < 0 for value in values),
        )
        if key in judged and freedom > 0 and (key in pool or key in still):
            contrast = _by_pool(contrast, variance, freedom, len(judged), correlation, level)
        elif key in judged and key not in still:
            contrast = _by_itself(contrast, len(judged), alone)
        contrasts[key] = contrast
    return contrasts


def _by_pool(
    contrast: Contrast, variance: float, freedom: int, count: int, correlation: float, level: float
) -> Contrast:
    """Add what Dunnett's distribution says of a difference."""
    own = contrast.interval
    error = math.sqrt(2 * variance / own.count)
    quantile = largest_t_quantile(level, count=count, freedom=freedom, correlation=correlation)
    half = quantile * error
    return replace(
        contrast,
        interval=Interval(
            own.mean, own.mean - half, own.mean + half, own.count, math.sqrt(2 * variance)
        ),
        p=largest_t_p(abs(own.mean) / error, count=count, freedom=freedom, correlation=correlation),
        detectable=detectable_t(quantile, freedom) * error,
        freedom=freedom,
        pooled=True,
    )


def _by_itself(contrast: Contrast, count: int, level: float) -> Contrast:
    """Add what the pairs of a method alone say, corrected for as many methods."""
    own, freedom = contrast.interval, contrast.interval.count - 1
    error = own.deviation / math.sqrt(own.count)
    p = count * largest_t_p(abs(own.mean) / error, count=1, freedom=freedom)
    quantile = largest_t_quantile(level, count=1, freedom=freedom)
    return replace(
        contrast, p=min(1.0, p), detectable=detectable_t(quantile, freedom) * error, freedom=freedom
    )


def _alike(gains: Mapping[str, Gains]) -> dict[str, Gains]:
    """Return the methods that can share a spread with each other and with the baseline."""
    from scipy.special import fdtrc  # the upper tail of F; scipy.stats takes ten times as long

    pool = dict(gains)
    while len(pool) > 1:  # the oddest goes first, since it makes others look even
        ps: dict[str, float] = {}
        for key, gain in pool.items():
            others = {other: their for other, their in pool.items() if other != key}
            variance, freedom = _residual_variance(others)
            own = float(np.var(list(gain.values()), ddof=1)) / 2
            ps[key] = float(fdtrc(len(gain) - 1, freedom, own / variance))
        oddest = min(ps, key=ps.__getitem__)
        if ps[oddest] >= UNLIKE:
            break
        del pool[oddest]
    return {} if _baseline_varies_more(pool) else pool


def _baseline_varies_more(pool: Mapping[str, Gains]) -> bool:
    """Whether the baseline's scores vary more than those of the methods do among themselves.

    Judged on the seeds that all methods have.
    """
    from scipy.special import fdtrc

    count = len(pool)
    if count < 2:
        return False
    first, *others = pool.values()
    seeds = [seed for seed in first if all(seed in gain for gain in others)]
    # Less the first method in place of the baseline: what is left is chance of the methods alone.
    among = {str(place): {seed: gain[seed] - first[seed] for seed in seeds}
             for place, gain in enumerate(others)}  # fmt: skip
    variance, freedom = _residual_variance(among)
    if freedom == 0:
        return False
    means = [sum(gain[seed] for gain in pool.values()) / count for seed in seeds]
    own = float(np.var(means, ddof=1)) * count / (count + 1)
    if variance == 0:  # methods that are one and the same
        return own > 0
    return float(fdtrc(len(seeds) - 1, freedom, own / variance)) < UNLIKE_BASELINE


def _residual_variance(gains: Mapping[str, Gains]) -> tuple[float, int]:
    """Variance of a score beside its method and its seed, and its degrees of freedom.

    Scores of a seed less that of its baseline have the same residuals as the scores themselves, and
    no rounding of what is common to them.
    """
    seeds = list(dict.fromkeys(seed for gain in gains.values() for seed in gain))
    rows: list[list[float]] = []
    scores: list[float] = []
    for place, gain in enumerate([dict.fromkeys(seeds, 0.0), *gains.values()]):
        for seed, value in gain.items():
            method = [float(place == other + 1) for other in range(len(gains))]
            rows.append([*method, *(float(seed == other) for other in seeds)])
            scores.append(value)
    if not rows:
        return math.nan, 0
    design, observed = np.array(rows), np.array(scores)
    fitted, _, rank, _ = np.linalg.lstsq(design, observed, rcond=None)
    freedom = len(observed) - int(rank)
    residual = observed - design @ fitted
    return (float(residual @ residual) / freedom if freedom else math.nan), freedom


def _least_correlation(gains: Mapping[str, Gains]) -> float:
    """The lowest correlation of two differences: one half where all have the same seeds.

    Taken for all of them it makes intervals a little too wide, never too narrow.
    """
    sets: Sequence[set[Hashable]] = [set(gain) for gain in gains.values()]
    found = [
        len(own & other) / (2 * math.sqrt(len(own) * len(other)))
        for place, own in enumerate(sets)
        for other in sets[:place]
    ]
    return min(found, default=0.5)
