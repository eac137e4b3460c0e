"""Does the training underfit or overfit? From numbers that every run leaves behind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mixwright.lab.analysis.curves import Curve, Curves
from mixwright.lab.analysis.findings import Group

FITTED = 0.95
"""Share of training images that are right from which there is little left to learn of them.

The rest are odd images and labels; with less, the loss still asks for more of the same.
"""

GAP = 0.08
"""Training less test accuracy from which there is something for a regulariser to win back.

Seeds and test images move accuracies by a point or two: eight points are more than that by far.
"""

RISING = 0.01
"""Rise of test accuracy over the last fifth of the epochs that is no wobble of single epochs."""

_LAST = 0.2  # share of the epochs that is looked at for a rise

State = Literal["overfits", "fits", "begins", "underfits", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How one method's runs fit their training images, and how the test images follow.

    Attributes:
        method: its METHOD.
        state: ``overfits``: training images are learned, test images are not as well; ``fits``:
            both are; ``underfits``: neither is, and both alike; ``begins``: training images are
            not learned, yet already better than test images; ``unknown`` without accuracies.
        train: accuracy on training images; NaN where it is not known.
        clean: whether that is of images as they are, after the last epoch; else it is of the
            training batches of the last epoch, cropped and flipped, which is somewhat less.
        test: top-1 of the trained weights.
        gap: ``train`` less ``test``; NaN likewise.
        rise: of test accuracy over the last fifth of the epochs, of averaged weights where there
            are any: that of trained weights rises whenever the learning rate falls to nothing. NaN
            for fewer than two values.
    """

    method: str
    state: State
    train: float
    clean: bool
    test: float
    gap: float
    rise: float

    @property
    def unlearned(self) -> bool:
        """Whether the training images are not learned yet, so that mixing cannot be judged."""
        return self.state in ("underfits", "begins")

    @property
    def rising(self) -> bool:
        """Whether the test accuracy still rose in the end."""
        return self.rise >= RISING  # NaN is not


def fits(groups: Sequence[Group], curves: Mapping[str, Curves]) -> tuple[Fit, ...]:
    """Return how all methods fit, by the trained weights; the baseline first."""
    raw = [group for group in groups if group.weights == "raw"]
    return tuple(
        fit(group, curves.get(group.method)) for group in sorted(raw, key=lambda g: not g.baseline)
    )


def fit(group: Group, curves: Curves | None) -> Fit:
    """Return how one method fits.

    Where clean training images were not measured, as in older records, training batches stand in
    for those of the baseline; those of other methods are mixed, and tell nothing.
    """
    test = group.intervals["top1"].mean
    measured = group.intervals.get("clean_train.top1")
    clean = measured is not None and math.isfinite(measured.mean)
    train = math.nan
    if measured is not None and clean:
        train = measured.mean
    elif group.baseline and curves is not None and curves.train.mean:
        train = curves.train.mean[-1]
    tests = {} if curves is None else curves.test
    seen = [curve for name in ("ema", "raw") if (curve := tests.get(name)) and curve.epochs]
    rise = last_rise(seen[0]) if seen else math.nan
    gap = train - test
    state: State = "unknown"
    if math.isfinite(train):
        if train >= FITTED:
            state = "overfits" if gap >= GAP else "fits"
        else:
            state = "begins" if gap >= GAP else "underfits"
    return Fit(
        method=group.method, state=state, train=train, clean=clean, test=test, gap=gap, rise=rise
    )


def last_rise(curve: Curve) -> float:
    """Return how much a curve rose over the last fifth of its epochs.

    That is the mean of the last third of its values there less that of the first third, where there
    are six or more, else the last less the first; NaN for fewer than two.

    Example:
        >>> round(last_rise(Curve(epochs=(5, 8, 10), mean=(0.5, 0.6, 0.63))), 2)
        0.03
    """
    begin = (1 - _LAST) * max(curve.epochs, default=0)
    values = [mean for epoch, mean in zip(curve.epochs, curve.mean, strict=True) if epoch >= begin]
    if len(values) < 2:
        return math.nan
    third = max(1, len(values) // 3)
    return math.fsum(values[-third:]) / third - math.fsum(values[:third]) / third
