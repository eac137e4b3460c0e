"""Intervals over images of the calibration errors of one model."""

from __future__ import annotations

import pytest
import torch

from mixwright.lab.analysis.calibration_intervals import calibration_intervals
from mixwright.lab.analysis.statistics import ece_interval, wilson_interval
from mixwright.sampling import stream


def test_images_that_are_all_alike_leave_no_doubt() -> None:
    sure, right = torch.full((30,), 0.75), torch.ones(30, dtype=torch.bool)
    found = calibration_intervals(sure, right, bins=(15, 10), seed=0, resamples=20)
    assert list(found) == [15, 10]
    assert found[15] == pytest.approx((0.25, 0.25))
    assert found[10] == pytest.approx((0.25, 0.25))


def test_each_number_of_bins_has_a_stream_of_its_own() -> None:
    sure = torch.rand(60, generator=stream(1), dtype=torch.float64)
    right = torch.rand(60, generator=stream(2)) < 0.5
    found = calibration_intervals(sure, right, bins=(15, 10), seed=3, resamples=100)
    for bins in (15, 10):
        drawn = ece_interval(
            sure, right, generator=stream(3, 104, bins), bins=bins, resamples=100
        )  # the words of the stream are part of the record
        assert found[bins] == (drawn.low, drawn.high)
    assert found != calibration_intervals(sure, right, bins=(15, 10), seed=4, resamples=100)


def test_wilson_interval() -> None:
    # z = 1.959964, centre (0.8 + z^2 / 20) / (1 + z^2 / 10) = 0.716740, half 0.226578
    assert wilson_interval(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    low, high = wilson_interval(10, 10)
    assert low == pytest.approx(1 / (1 + 1.959964**2 / 10), abs=1e-6)
    assert high == pytest.approx(1.0)
