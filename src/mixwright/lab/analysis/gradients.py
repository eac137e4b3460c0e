"""Near-far ratios of input gradients against the baseline's; how sure profiles are; maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Generator, Tensor

from mixwright.lab.analysis.families import baseline_of, common_seeds
from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.statistics.interval import Interval
from mixwright.lab.analysis.statistics.resampling import (
    Floats,
    draws,
    percentiles,
    resampled_means,
)
from mixwright.sampling import stream

MAPS = ("mean", "highest")
"""Arrays over offsets that are kept for figures, averaged over runs, each with 1 in the middle."""


@dataclass(frozen=True, kw_only=True)
class InputGradients:
    """What tables and figures of input gradients need beside the summaries.

    Attributes:
        relative: by key, the near-far ratio in that of the baseline, see ``relative_near_far``;
            none without a baseline or arrays.
        over_images: of groups of a single run, by key: the mean profile with its normal interval
            over images; none without arrays.
    """

    relative: dict[str, Interval] = field(default_factory=dict[str, Interval])
    over_images: dict[str, tuple[Interval, ...]] = field(
        default_factory=dict[str, tuple[Interval, ...]]
    )


def analyse(groups: Sequence[Group]) -> tuple[InputGradients, dict[str, Tensor]]:
    """Compare near-far ratios with the baseline's; average ``MAPS`` over runs as ``key/name``."""
    found, maps = InputGradients(), dict[str, Tensor]()
    for group in groups:
        if not group.arrays:
            continue
        base = baseline_of(group, groups)
        if base is not None and base.arrays:
            pairs = common_seeds(group, base)
            ratio = relative_near_far_of_runs(
                [group.arrays[own] for own, _ in pairs],
                [base.arrays[other] for _, other in pairs],
                generator=stream(0),
            )
            if ratio is not None:
                found.relative[group.key] = ratio
        if len(group.seeds) == 1 and (profile := _over_images(group)):
            found.over_images[group.key] = profile
        maps |= {f"{group.key}/{name}": _average_map(group, name) for name in MAPS}
    return found, maps


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
    """Compare two methods by ``relative_near_far``, paired runs averaged image by image first.

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
    """Return half the normal 95 % intervals, ``R``, of the mean over ``(n, R)`` profiles.

    Images count where ``used`` ``(n,)`` is true; None for fewer than two.
    """
    counted = profiles[used.bool()].double()
    if len(counted) < 2:
        return None
    return (1.96 * counted.std(dim=0) / math.sqrt(len(counted))).tolist()


def _over_images(group: Group) -> tuple[Interval, ...]:
    """The mean profile of a single run; empty for fewer than two images."""
    arrays = group.arrays[0]
    widths = profile_half_widths(arrays["profiles"], arrays["used"])
    count = int(arrays["used"].sum())
    means: list[float] = group.first["profile_mean"]
    return tuple(
        Interval(mean, mean - half, mean + half, count, math.nan)
        for mean, half in zip(means, widths or (), strict=widths is not None)
    )


def _average_map(group: Group, name: str) -> Tensor:
    maps = torch.stack([run[name].double() for run in group.arrays])
    middle = maps[:, maps.shape[1] // 2, maps.shape[2] // 2, None, None]
    return (maps / middle.clamp_min(1e-300)).mean(dim=0).float()


def _ratio(means: Floats) -> Floats:
    return means[:, 0] * means[:, 3] / (means[:, 1] * means[:, 2])
