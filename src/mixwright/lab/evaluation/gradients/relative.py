"""How two models differ in the ratio of near to far offsets, and how sure that is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from mixwright.lab.analysis.statistics.interval import Interval
from mixwright.lab.analysis.statistics.resampling import draws, percentiles, resampled_means


def relative_near_far(
    own: tuple[Tensor, Tensor],
    other: tuple[Tensor, Tensor],
    *,
    generator: Generator,
    level: float = 0.95,
    resamples: int = 2000,
) -> Interval:
    """Divide a model's near-far ratio by another's, with a bootstrap interval over images.

    The ratio of a model is its mean over images of near products, over that of far ones; images
    are drawn with replacement, the same for both models.

    Args:
        own: near and far of each image, ``(n,)`` both.
        other: those of the other model on the same images.
        generator: source of all randomness.
        level: share of the resamples that the interval holds, in (0, 1).
        resamples: draws.

    Returns:
        The ratio of ratios with its percentile interval for new images, not for new runs; below 1
        where the first model looks farther. Count is n, the deviation that of the resamples.

    Raises:
        ValueError: the images are not as many, or none.

    Example:
        >>> near, far = torch.tensor([2.0, 3.0]), torch.tensor([1.0, 1.0])
        >>> relative_near_far((near, far), (near / 2, far), generator=torch.Generator()).mean
        2.0
    """
    columns = [one.double().cpu() for one in (*own, *other)]
    if len({one.shape for one in columns}) != 1 or columns[0].ndim != 1 or not len(columns[0]):
        raise ValueError(
            f"relative_near_far: shapes are {[tuple(one.shape) for one in columns]}; expected four "
            "of (n,), on the same images."
        )
    table = torch.stack(columns, dim=1).numpy()
    whole = _ratio(table.mean(axis=0, keepdims=True))
    drawn = np.concatenate(
        [_ratio(b) for b in resampled_means(table, resamples=resamples, rng=draws(generator))]
    )
    low, high = percentiles(drawn, level)
    return Interval(float(whole[0]), low, high, len(table), float(drawn.std(ddof=1)))


def _ratio(means: np.ndarray) -> np.ndarray:
    return means[:, 0] * means[:, 3] / (means[:, 1] * means[:, 2])
