"""What accuracies are worth, against values worked out by hand."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
import torch
from scipy import stats

from lab.analysis.made import IMAGES, accurate, gained, six_groups
from lab.reports.pages import made_group
from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.measures import with_statistics
from mixwright.lab.analysis.significance import Significance, analyse
from mixwright.lab.analysis.statistics import (
    largest_t_p,
    largest_t_quantile,
    wilson_interval,
)

ALL, NO = torch.ones(IMAGES, dtype=torch.bool), torch.zeros(IMAGES, dtype=torch.bool)


def judged(groups: list[Group]) -> Significance:
    found, arrays = analyse(groups)
    assert arrays == {}
    return found


def test_differences_over_runs() -> None:
    raw, ema, teacher = judged(six_groups()).families
    assert (raw.weights, ema.weights, teacher.weights) == ("raw", "ema", "teacher")
    assert [(one.key, one.baseline) for one in raw.methods] == [
        ("mixup raw", "none raw"), ("cutmix raw", "none raw"),
    ]  # fmt: skip
    assert teacher.methods[0].baseline == "none ema"
    found = {group.key: group.differences.get("top1") for group in with_statistics(six_groups())}
    mixup, cutmix = found["mixup raw"], found["cutmix raw"]
    assert mixup is not None
    assert cutmix is not None
    # Gains of 1, -2, 2 and of 10, 10.5, 9.5 points. Less the means of methods and seeds, squares
    # add up to 78/9 + 1/2 - 3 (16 + 121 + 49) / 324 = 67/9, on four degrees of freedom.
    spread = 0.01 * (67 / 36) ** 0.5
    for one, mean in ((mixup, 0.01 / 3), (cutmix, 0.1)):
        assert (one.interval.mean, one.freedom) == (pytest.approx(mean), 4)
        assert one.interval.deviation == pytest.approx(2**0.5 * spread)
        t = mean / (spread * (2 / 3) ** 0.5)
        assert one.p == pytest.approx(largest_t_p(t, count=2, freedom=4))
    half = largest_t_quantile(0.95, count=2, freedom=4) * spread * (2 / 3) ** 0.5
    assert (cutmix.interval.low, cutmix.interval.high) == pytest.approx((0.1 - half, 0.1 + half))
    assert (mixup.above, mixup.below, cutmix.above) == (2, 1, 3)
    averaged, taught = found["cutmix ema"], found["cutmix teacher"]
    assert averaged is not None
    assert taught is not None
    assert averaged.interval.mean == pytest.approx(-0.085 / 3)  # to the EMA of no mixing
    assert taught.interval.mean == pytest.approx(0.29 / 3)


def test_differences_over_images_are_own_less_baseline() -> None:
    """Right on every image against right on none: nothing is left to chance."""
    groups = [accurate("none", "raw", [0.0, 0.0]), accurate("a", "raw", [1.0, 1.0])]
    (method,) = judged(groups).families[0].methods
    assert method.images is not None
    assert method.crossed is not None
    assert (method.images.mean, method.images.low, method.images.high) == (1, 1, 1)
    assert method.crossed.mean == 1
    assert math.isnan(method.crossed.low)  # of runs: no spread was measured
    assert method.p_images == pytest.approx(1 / 20_000)


def test_p_values_over_images_are_adjusted_within_the_family() -> None:
    mixup, cutmix = judged(six_groups()).families[0].methods
    assert mixup.crossed is not None
    assert cutmix.crossed is not None
    assert mixup.crossed.mean == pytest.approx(0.01 / 3)
    assert cutmix.crossed.mean == pytest.approx(0.1)
    assert cutmix.crossed.low > 0
    assert cutmix.p_images_holm == pytest.approx(2 * cutmix.p_images)
    assert mixup.p_images_holm == mixup.p_images > 0.05


def test_without_arrays_nothing_is_told_of_images() -> None:
    groups = [accurate(k, "raw", [0.6, 0.7], arrays=False) for k in ("none", "a")]
    (method,) = judged(groups).families[0].methods
    assert method.images is method.crossed is None
    assert math.isnan(method.p_images)
    assert math.isnan(method.p_images_holm)


def test_single_runs_have_wilsons_interval_over_images() -> None:
    found = judged([accurate("none", "raw", [0.6]), accurate("a", "raw", [0.6, 0.7])])
    assert found.over_images.keys() == {"none raw"}
    interval = found.over_images["none raw"]
    z, n, p = stats.norm.ppf(0.975), 400, 0.6
    centre, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    assert (interval.low, interval.high) == pytest.approx(
        ((centre - half) / scale, (centre + half) / scale)
    )
    assert (interval.mean, interval.count) == (0.6, 400)
    (method,) = found.families[0].methods
    assert method.images is not None


def test_wilson_interval() -> None:
    # z = 1.959964, centre (0.8 + z^2 / 20) / (1 + z^2 / 10) = 0.716740, half 0.226578
    assert wilson_interval(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    low, high = wilson_interval(10, 10)
    assert low == pytest.approx(1 / (1 + 1.959964**2 / 10), abs=1e-6)
    assert high == pytest.approx(1.0)


def test_ranks_of_the_first_weights_with_three_groups() -> None:
    ranking = judged(six_groups()).ranking
    assert ranking is not None
    assert ranking.keys == ("none raw", "mixup raw", "cutmix raw")
    assert ranking.seeds == (0, 1, 2)
    assert ranking.mean == pytest.approx((8 / 3, 7 / 3, 1))
    # Sums of ranks 8, 7 and 3: chi squared of 12 / 36 * 122 - 36 with two degrees of freedom.
    assert ranking.p == pytest.approx(math.exp(-(122 / 3 - 36) / 2))
    assert judged(six_groups()[:2]).ranking is None
    two = [accurate(k, "raw", gained(0.0, 0.1)) for k in ("none", "a", "b")]
    assert judged(two).ranking is None  # of two seeds


def test_nothing_to_compare() -> None:
    found = judged([accurate("a", "raw", [0.6, 0.7])])
    assert asdict(found) == {"over_images": {}, "families": (), "ranking": None}
    apart = accurate("a", "raw", [0.6, 0.7])
    apart = Group(**{**vars(apart), "seeds": (7, 8)})
    assert judged([accurate("none", "raw", [0.6, 0.7]), apart]).families == ()


def test_whole_numbers_are_no_measures() -> None:
    """How many images, bins or steps there were is the same for all, and no difference."""
    summary = {"top1": 0.5, "images": 400, "bins": {"15": {"ece": 0.1, "count": 3}}}
    groups = with_statistics(
        [
            made_group("none", "raw", [summary, summary | {"top1": 0.6}], baseline=True),
            made_group("a", "raw", [summary | {"top1": 0.7}, summary | {"top1": 0.9}]),
        ]
    )
    assert list(groups[1].differences) == ["top1", "bins.15.ece"]
    assert groups[1].intervals["images"].mean == 400
    ece = groups[1].differences["bins.15.ece"]
    assert (ece.interval.mean, ece.interval.no_spread) == (0.0, True)
    assert math.isnan(ece.p)
