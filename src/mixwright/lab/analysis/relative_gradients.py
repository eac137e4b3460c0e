"""How sure the offset profiles of input gradients are, and how two models differ in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from mixwright.lab.analysis.statistics.interval import Interval
from mixwright.lab.analysis.statistics.resampling import (
    Floats,
    draws,
    percentiles,
    resampled_means,
)


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
    columns = [column.double().cpu() for column in (*own, *other)]
    shapes = [tuple(column.shape) for column in columns]
    if len(set(shapes)) != 1 or columns[0].ndim != 1 or not len(columns[0]):
        raise ValueError(
            f"relative_near_far: shapes are {shapes}; expected four of (n,), on the same images."
        )
    table = torch.stack(columns, dim=1).numpy()
    whole = _ratio(table.mean(axis=0, keepdims=True))
    batches = resampled_means(table, resamples=resamples, rng=draws(generator))
    resampled = np.concatenate([_ratio(means) for means in batches])
    low, high = percentiles(resampled, level)
    return Interval(float(whole[0]), low, high, len(table), float(resampled.std(ddof=1)))


def relative_near_far_of_runs(
    own: Sequence[Mapping[str, Tensor]],
    other: Sequence[Mapping[str, Tensor]],
    *,
    generator: Generator,
) -> Interval | None:
    """Compare two methods by ``relative_near_far``, runs averaged image by image first.

    Args:
        own: ``near`` and ``far`` ``(n,)`` of each run, arrays of the evaluation ``gradients``.
        other: those of the other method, the runs paired with those of ``own``.
        generator: source of all randomness.

    Returns:
        None where there are no runs, or their images are not as many, or fewer than two.
    """
    columns = [[run[name].double() for run in runs] for runs in (own, other)
               for name in ("near", "far")]  # fmt: skip
    shapes = {run.shape for column in columns for run in column}
    if not own or not other or len(shapes) != 1 or shapes.pop()[0] < 2:
        return None
    near, far, other_near, other_far = (torch.stack(column).mean(dim=0) for column in columns)
    return relative_near_far((near, far), (other_near, other_far), generator=generator)


def profile_half_widths(profiles: Tensor, used: Tensor) -> list[float] | None:
    """Return half the normal 95 % interval, over images, of a single run's mean profile.

    Args:
        profiles: ``(n, R)``, a profile of each image.
        used: ``(n,)`` bool, images that count.

    Returns:
        ``R`` half widths; None for fewer than two images.
    """
    counted = profiles[used.bool()].double()
    if len(counted) < 2:
        return None
    return (1.96 * counted.std(dim=0) / math.sqrt(len(counted))).tolist()


def _ratio(means: Floats) -> Floats:
    return means[:, 0] * means[:, 3] / (means[:, 1] * means[:, 2])
