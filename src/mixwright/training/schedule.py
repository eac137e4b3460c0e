"""The learning rate, as a pure function of the step."""

import math


def learning_rate(
    step: int, *, steps: int, warmup: float, highest: float, lowest: float = 0.0
) -> float:
    """Linear warm-up, then half a cosine down to a floor.

    Args:
        step: optimiser steps taken so far, in [0, ``steps``).
        steps: optimiser steps of the whole run, at least 1.
        warmup: steps of the warm-up, in [0, ``steps``]; fractions count. Step s of it has
            ``(s + 1) / warmup`` of the highest rate, so that the first one moves already.
        highest: rate at the end of the warm-up.
        lowest: rate that the cosine reaches when all steps are done. It holds for the cosine
            only: the warm-up starts from 0.

    Returns:
        The rate for this step.

    Example:
        >>> [learning_rate(s, steps=6, warmup=2, highest=1.0) for s in (0, 1, 2, 4)]
        [0.5, 1.0, 1.0, 0.5]

    Source: Goyal et al. 2017, arXiv:1706.02677 (warm-up); Loshchilov and Hutter 2017,
    arXiv:1608.03983 (cosine).
    """
    if step + 1 <= warmup:
        return highest * (step + 1) / warmup
    done = (step - warmup) / (steps - warmup) if steps > warmup else 0.0
    share = 0.5 * (1 + math.cos(math.pi * max(0.0, done)))
    return lowest + (highest - lowest) * share
