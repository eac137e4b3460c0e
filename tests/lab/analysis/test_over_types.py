"""Consistency over corruption types, against values worked out by hand."""

from __future__ import annotations

import math
from itertools import product

import pytest
from scipy import stats

from lab.analysis.made import IMAGES, TYPES, corrupted
from lab.reports.pages import made_group
from mixwright.lab.analysis.over_types import analyse, by_type

GAINS = [0.1, 0.08, 0.2, 0.05, 0.0, -0.1]


def test_consistency_over_types_and_each_type_clustered_by_image() -> None:
    base, own = corrupted("none", [0.5] * 6), corrupted("a", [0.5 + gain for gain in GAINS])
    found = by_type(own, base)
    assert found is not None
    assert (found.key, found.runs) == ("a raw", 2)
    assert found.differences == pytest.approx(dict(zip(TYPES, GAINS, strict=True)))
    assert found.across.interval.mean == pytest.approx(0.055)
    assert found.across.p_t == pytest.approx(stats.ttest_1samp(GAINS, 0).pvalue)
    sums = [sum(s * gain for s, gain in zip(signs, GAINS, strict=True))
            for signs in product((1, -1), repeat=6)]  # fmt: skip
    assert found.across.p_exact == sum(abs(one) >= 0.33 - 1e-9 for one in sums) / 64 == 0.3125
    assert found.across.families == pytest.approx(
        {"weather": 0.38 / 3, "digital": 0.025, "extra": -0.1}
    )
    assert found.agreeing == 2
    told = [
        sum(group.arrays[seed]["correct"].double() for seed in (0, 1)).mean(dim=1) / 2
        for group in (own, base)
    ]
    per_image = told[0] - told[1]  # one value an image, over severities and runs
    z = per_image.mean(dim=1) / (per_image.std(dim=1) / math.sqrt(IMAGES))
    # No gain at all, and one of 5 points: Holm multiplies by 1 and by 2.
    assert found.p_holm["pixelate"] == 1.0
    normal = 2 * float(stats.norm.sf(abs(float(z[TYPES.index("contrast")]))))
    assert found.p_holm["contrast"] == pytest.approx(2 * normal, abs=0.03)
    assert found.p_holm["fog"] < 0.001 < found.p_holm["contrast"] < 1


def test_tests_are_adjusted_for_the_number_of_methods() -> None:
    other = [0.1, 0.12, 0.1, 0.12, 0.1, 0.12]
    groups = [
        corrupted("none", [0.5] * 6),
        corrupted("a", [0.5 + gain for gain in GAINS]),
        corrupted("b", [0.5 + gain for gain in other]),
    ]
    found, arrays = analyse(groups)
    assert arrays == {}
    assert found is not None
    a, b = found.methods
    assert (a.key, b.key) == ("a raw", "b raw")
    assert (a.p_exact_holm, b.p_exact_holm) == (0.3125, 4 / 64)
    assert b.p_t_holm == pytest.approx(2 * stats.ttest_1samp(other, 0).pvalue)
    assert a.p_t_holm == pytest.approx(stats.ttest_1samp(GAINS, 0).pvalue)
    assert a.p_wilcoxon_holm == pytest.approx(stats.wilcoxon(GAINS).pvalue)


def test_nothing_to_compare() -> None:
    base = corrupted("none", [0.5] * 6)
    assert analyse([base]) == (None, {})
    apart = made_group("c", "raw", base.summaries[:1], seeds=(7,))
    assert by_type(apart, base) is None
    assert analyse([base, apart]) == (None, {})
    bare = made_group("c", "raw", corrupted("c", [0.6] * 6).summaries)
    found = by_type(bare, base)
    assert found is not None
    assert all(math.isnan(p) for p in found.p_holm.values())
    assert len(found.p_holm) == 6
