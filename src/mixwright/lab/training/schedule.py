"""The learning rate, as a pure function of how far the run is."""

import math


def learning_rate(
    progress: float, *, step: float, highest: float, lowest: float = 0.0, warmup: float = 0.0
) -> float:
    """Return the rate of a step: linear warm-up to ``highest``, then half a cosine to ``lowest``.

    Everything is given in shares of the run, not in steps, so that data may grow meanwhile:
    ``progress`` is done before this optimiser step, which is ``step`` itself, and ``warmup`` is
    warm-up. A step of it, which starts from 0, has ``(progress + step) / warmup`` of the highest
    rate, so that the first one moves already.

    Example:
        >>> run = {"step": 1 / 8, "highest": 1.0, "warmup": 2 / 8}
        >>> [learning_rate(k / 8, **run) for k in (0, 1, 2, 5)]
        [0.5, 1.0, 1.0, 0.5]

    Source: Goyal et al. 2017, arXiv:1706.02677 (warm-up); Loshchilov and Hutter 2017,
    arXiv:1608.03983 (cosine).
    """
    if progress + step <= warmup:
        return highest * (progress + step) / warmup
    done = (progress - warmup) / (1 - warmup) if warmup < 1 else 0.0
    share = 0.5 * (1 + math.cos(math.pi * max(0.0, done)))
    return lowest + (highest - lowest) * share
