"""Over runs: paired and Welch t, Holm, ranks."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from mixwright.lab.analysis.statistics import (
    Ranks,
    holm,
    mean_ranks,
    paired_t,
    welch_t,
)
from mixwright.lab.analysis.statistics.ranks import critical_difference

OWN, OTHER = [0.91, 0.93, 0.92, 0.95], [0.90, 0.915, 0.925, 0.92]


def test_paired_t_has_its_known_answer_and_agrees_with_scipy() -> None:
    known = paired_t([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5)
    assert known.p == pytest.approx(0.0132356, abs=1e-7)
    found, oracle = paired_t(OWN, OTHER), stats.ttest_rel(OWN, OTHER)
    ends = oracle.confidence_interval(0.95)
    assert found.p == pytest.approx(oracle.pvalue)
    assert found.interval.low == pytest.approx(ends.low)
    assert found.interval.high == pytest.approx(ends.high)
    assert paired_t(OTHER, OWN).p == pytest.approx(found.p)


UNIFORM = [
    ((0.75, 0.5, 0.25), (0.5, 0.25, 0.0)),  # exactly a quarter each
    ((0.9, 0.8, 0.7), (0.8, 0.7, 0.6)),  # a tenth each, but for rounding
    ((0.6, 0.7, 0.8), (0.5, 0.6, 0.7)),
    ((0.90011, 0.80011, 0.70011), (0.9001, 0.8001, 0.7001)),  # small beside what it comes from
    ((90.3, 80.3), (90.1, 80.1)),
    ((0.91, 0.93, 0.92), (0.91, 0.93, 0.92)),  # by nothing
    ((1e-9, 1e-9), (1e-9, 1e-9)),
    ((0.0, 0.0), (0.0, 0.0)),
]


@pytest.mark.parametrize(("own", "other"), UNIFORM)
def test_differences_without_spread_have_one_answer(
    own: tuple[float, ...], other: tuple[float, ...]
) -> None:
    found = paired_t(own, other)
    assert math.isnan(found.p)
    assert found.note == "no spread was measured"
    assert found.interval.no_spread
    assert found.interval.mean == pytest.approx(own[0] - other[0], rel=1e-9)
    assert math.isnan(found.interval.low)
    assert math.isnan(found.interval.high)


def test_the_smallest_spread_that_was_measured_counts() -> None:
    for own in ((0.6, 0.7001), (0.6, 0.7 + 1e-9)):
        found = paired_t(own, (0.5, 0.6))
        assert found.p == pytest.approx(stats.ttest_rel(own, (0.5, 0.6)).pvalue, rel=1e-5)
        assert found.note == ""
    alone = paired_t([0.6], [0.5])
    assert math.isnan(alone.p)
    assert math.isnan(alone.interval.low)
    assert (alone.note, alone.interval.no_spread) == ("", False)


def test_welch_without_spread_has_the_same_answer() -> None:
    for own, other in (
        ((0.5, 0.5), (0.25, 0.25)),
        ((0.5, 0.5), (0.5, 0.5)),
        ((0.3, 0.1 + 0.2), (0.4, 0.4, 0.4)),  # equal but for rounding
    ):
        found = welch_t(own, other)
        assert math.isnan(found.p)
        assert math.isnan(found.interval.low)
        assert found.note == "no spread was measured"
    half = welch_t((0.5, 0.5), (0.4, 0.3))  # one group's spread is enough
    assert half.p == pytest.approx(2 * stats.t.sf(3, 1))  # 0.15 / 0.05, one degree


def test_a_test_without_spread_is_none_of_the_family() -> None:
    ps = [paired_t((0.5, 0.6, 0.8), (0.4, 0.4, 0.4)).p, paired_t(*UNIFORM[1]).p]
    adjusted = holm(ps)
    assert adjusted[0] == ps[0]
    assert math.isnan(adjusted[1])


def test_welch_agrees_with_scipy() -> None:
    few = OTHER[:3]
    found, oracle = welch_t(OWN, few), stats.ttest_ind(OWN, few, equal_var=False)
    ends = oracle.confidence_interval(0.95)
    assert found.p == pytest.approx(oracle.pvalue)
    assert (found.interval.low, found.interval.high) == pytest.approx((ends.low, ends.high))
    assert found.interval.count == 7


def test_holm_has_its_known_answer_and_follows_the_definition() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 19):
        ps = list(rng.uniform(size=size) ** 3)
        rank = {p: place for place, p in enumerate(sorted(ps))}
        slow = [max(min(1.0, (size - rank[q]) * q) for q in ps if rank[q] <= rank[p]) for p in ps]
        assert holm(ps) == pytest.approx(slow)
    with_hole = holm([0.02, math.nan, 0.04])
    assert with_hole[::2] == pytest.approx([0.04, 0.04])
    assert math.isnan(with_hole[1])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_critical_differences_of_the_literature() -> None:
    # Studentised range over sqrt(2): 2.343, 2.569, 2.728 for three, four and five methods.
    assert critical_difference(3, 1) / math.sqrt(3 * 4 / 6) == pytest.approx(2.343, abs=1e-3)
    assert critical_difference(5, 30) == pytest.approx(2.728 * math.sqrt(30 / 180), abs=1e-3)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)
    assert critical_difference(5, 30, level=0.9) < critical_difference(5, 30)


def test_mean_ranks() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.7], [0.8, 0.9, 0.6, 0.5], [0.9, 0.7, 0.8, 0.6]])
    found = mean_ranks(scores)
    assert found.mean == pytest.approx((4 / 3, 2.0, (3.5 + 3 + 2) / 3, (3.5 + 4 + 4) / 3))
    assert sum(found.mean) == pytest.approx(10)
    assert found.p == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    assert mean_ranks(np.ones((3, 3))).p == 1.0
    assert found.blocks == 3


def test_groups_that_cannot_be_told_apart() -> None:
    def groups(*mean: float, distance: float = 1.0) -> tuple[tuple[int, ...], ...]:
        return Ranks(mean=mean, blocks=5, p=0.0, distance=distance).alike

    assert groups(1.0, 1.5, 2.2, 4.0) == ((0, 1), (1, 2))
    assert groups(4.0, 1.0, 1.5) == ((1, 2),)
    assert groups(1.0, 1.2, 1.4) == ((0, 1, 2),)
    assert groups(1.0, 2.0, 3.0) == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_t([1.0], [1.0, 2.0]), "1 scores against 2"),
        (lambda: paired_t([math.nan, 1.0], [1.0, 2.0]), "not finite"),
        (lambda: welch_t([1.0], [1.0, 2.0]), "1 and 2 runs"),
        (lambda: holm([0.5, 1.5]), "1.5 is no p-value"),
        (lambda: mean_ranks([[1.0, 2.0], [1.0, 2.0]]), r"shape \(2, 2\)"),
        (lambda: critical_difference(1, 3), "critical_difference: 1 method, 3 blocks, "),
    ],
)
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_interval_alone_costs_no_import() -> None:
    script = (
        "import sys; from mixwright.lab.analysis.statistics import Interval, t_interval, holm\n"
        "from mixwright.lab.analysis.statistics import paired_t\n"
        "print(sorted({'torch', 'scipy', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
