"""The t interval: known answers, its oracle and its coverage."""

from __future__ import annotations

import math
import random

import pytest

from mixwright.lab.analysis.statistics import Interval, t_interval


def test_known_answer() -> None:
    interval = t_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.7764451051977934 * math.sqrt(2.5) / math.sqrt(5)  # t.975 with 4 degrees of freedom
    assert interval.mean == 3.0
    assert interval.deviation == pytest.approx(math.sqrt(2.5))
    assert interval.count == 5
    assert (interval.low, interval.high) == (pytest.approx(3 - half), pytest.approx(3 + half))
    assert interval.half_width == pytest.approx(half)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_agrees_with_scipy(level: float) -> None:
    from scipy import stats

    values = [0.91, 0.925, 0.9, 0.93]
    oracle = stats.ttest_1samp(values, 0.0).confidence_interval(level)
    interval = t_interval(values, level)
    assert (interval.low, interval.high) == (pytest.approx(oracle.low), pytest.approx(oracle.high))


def test_one_run_has_no_interval() -> None:
    interval = t_interval([0.5])
    assert (interval.mean, interval.count) == (0.5, 1)
    assert all(math.isnan(x) for x in (interval.low, interval.high, interval.deviation))
    assert math.isnan(interval.half_width)


@pytest.mark.parametrize("values", [[0.7, 0.7, 0.7], [0.0, 0.0], [0.1 + 0.2, 0.3]])
def test_equal_runs_have_an_interval_of_no_length(values: list[float]) -> None:
    interval = t_interval(values)
    assert interval == Interval(interval.mean, interval.mean, interval.mean, len(values), 0.0)
    assert interval.mean == pytest.approx(values[0])
    assert t_interval([0.3, 0.3 + 1e-9]).deviation > 0


def test_covers_what_it_says() -> None:
    rng = random.Random(0)
    for count in (2, 5):
        held = 0
        for _ in range(400):
            interval = t_interval([rng.gauss(10.0, 2.0) for _ in range(count)])
            held += interval.low <= 10.0 <= interval.high
        # A normal interval would hold 70 % at two runs and 88 % at five.
        assert held / 400 == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([], 0.95, "0 values"),
        ([1.0, math.nan], 0.95, "2 values of which 1 are not finite"),
        ([1.0, 2.0], 1.0, r"level is 1.0; expected a share in \(0, 1\)"),
        ([1.0, 2.0], 95, "level is 95"),
    ],
)
def test_bad_arguments(values: list[float], level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        t_interval(values, level)
