"""Calibration errors of single runs on other images, and bins of several runs together."""

from __future__ import annotations

import math

import pytest
import torch

from lab.analysis.made import calibrated
from mixwright.lab.analysis.calibration import analyse, pooled
from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.statistics import ece_interval
from mixwright.sampling import stream

COUNT = 400


def sure(group: Group, **changes: object) -> Group:
    """Of the same confidence everywhere, right on every other image."""
    arrays = {
        "confidence": torch.full((COUNT,), 0.9),
        "correct": torch.arange(COUNT) % 2 == 0,
    }
    summaries = [summary | changes for summary in group.summaries]
    return Group(**{**vars(group), "arrays": (arrays,), "summaries": tuple(summaries)})


def test_bins_of_runs_are_pooled_by_their_images() -> None:
    low, high = pooled(calibrated("none", [0.05, 0.15]))
    assert (low.count, high.count) == (20, 20)
    assert high.accuracy == pytest.approx(0.96 - 0.2)
    assert high.confidence == pytest.approx(0.96)
    assert (high.low, high.high) == (14 / 15, 1.0)


def test_a_single_run_has_an_interval_over_images() -> None:
    found, arrays = analyse([sure(calibrated("none", [0.4]))])
    assert arrays == {}
    # The error is the distance of a share of 1/2 to 0.9, so it moves as the share does.
    half = 1.96 * math.sqrt(0.25 / COUNT)
    assert found.over_images["none raw"].keys() == {"15", "10"}
    for interval in found.over_images["none raw"].values():
        assert interval.mean == 0.4
        assert (interval.low, interval.high) == pytest.approx((0.4 - half, 0.4 + half), abs=0.006)
        assert interval.count == COUNT


def test_each_number_of_bins_has_a_stream_of_its_own() -> None:
    group = sure(calibrated("none", [0.4]))
    drawn = analyse([group])[0].over_images["none raw"]
    for bins in (15, 10):
        own = ece_interval(
            group.arrays[0]["confidence"], group.arrays[0]["correct"],
            generator=stream(3, 104, bins), bins=bins, resamples=1000,
        )  # fmt: skip
        # The words of the stream are part of the record.
        assert (drawn[str(bins)].low, drawn[str(bins)].high) == (own.low, own.high)


def test_intervals_are_drawn_with_the_seed_of_the_evaluation() -> None:
    group = sure(calibrated("none", [0.4]))
    with_temperature = analyse([group])[0].over_images
    assert analyse([sure(group, temperature=None, seed=3)])[0].over_images == with_temperature
    other = sure(group, temperature={"seed": 4})
    assert analyse([other])[0].over_images != with_temperature


def test_no_interval_over_images_for_several_runs_or_without_arrays() -> None:
    groups = [calibrated("none", [0.05, 0.04]), calibrated("a", [0.05], arrays=False)]
    found, _ = analyse(groups)
    assert found.over_images == {}
    assert found.pooled.keys() == {"none raw", "a raw"}
