"""Methods against a baseline by seed: Dunnett's distribution, the pooled spread, and its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mixwright.lab.analysis.statistics import Contrast, many_to_one, paired_t
from mixwright.lab.analysis.statistics.dunnett import (
    detectable_t,
    largest_t_p,
    largest_t_quantile,
    seeds_to_show,
)

Scores = dict[int, float]


@pytest.mark.parametrize(
    ("freedom", "count", "value"),
    # Dunnett 1964, Biometrics 20, table of two-sided 5 % points.
    [(5, 2, 3.03), (5, 3, 3.29), (10, 2, 2.57), (10, 5, 2.99), (20, 3, 2.54), (20, 9, 2.95)],
)
def test_quantiles_are_those_of_the_published_table(freedom: int, count: int, value: float) -> None:
    found = largest_t_quantile(0.95, count=count, freedom=freedom)
    assert found == pytest.approx(value, abs=0.005)
    assert largest_t_p(found, count=count, freedom=freedom) == pytest.approx(0.05, rel=1e-5)


def test_one_question_is_a_t_test() -> None:
    assert largest_t_p(2.5, count=1, freedom=4) == pytest.approx(2 * stats.t.sf(2.5, 4))
    assert largest_t_quantile(0.9, count=1, freedom=7) == pytest.approx(stats.t.ppf(0.95, 7))


@pytest.mark.parametrize(
    ("t", "count", "freedom", "correlation"),
    [(2.0, 3, 1, 0.5), (3.0, 5, 4, 0.5), (2.0, 4, 30, 0.2), (4.0, 2, 2, 0.0)],
)
def test_p_is_that_of_a_multivariate_t(
    t: float, count: int, freedom: int, correlation: float
) -> None:
    shape = np.full((count, count), correlation) + (1 - correlation) * np.eye(count)
    edge = np.full(count, t)
    inside = stats.multivariate_t.cdf(
        edge, shape=shape, df=freedom, lower_limit=-edge, random_state=0, maxpts=200_000
    )
    found = largest_t_p(t, count=count, freedom=freedom, correlation=correlation)
    assert found == pytest.approx(1 - inside, abs=3e-4)


def test_agrees_with_scipys_dunnett_where_groups_are_independent() -> None:
    """Its degrees of freedom are those of independent groups; the rest is one distribution."""
    rng = np.random.default_rng(0)
    control, *groups = (rng.normal(shift, 1, size=6) for shift in (0.0, 0.2, 1.0, 1.6))
    oracle = stats.dunnett(*groups, control=control)
    for t, p in zip(oracle.statistic, oracle.pvalue, strict=True):
        assert largest_t_p(abs(t), count=3, freedom=20) == pytest.approx(p, abs=1e-3)
    variance = np.mean([np.var(group, ddof=1) for group in (control, *groups)])
    half = largest_t_quantile(0.95, count=3, freedom=20) * math.sqrt(2 * variance / 6)
    low = oracle.confidence_interval(0.95).low
    assert [group.mean() - control.mean() - half for group in groups] == pytest.approx(
        [*low], abs=0.01
    )


NONE: Scores = {0: 64.0, 1: 63.0, 2: 65.0}
FULL: dict[str, Scores] = {"a": {0: 68.0, 1: 67.5, 2: 69.0}, "c": {0: 66.0, 1: 64.0, 2: 66.5}}


def test_agrees_with_a_linear_model_of_methods_and_seeds() -> None:
    """Figures of statsmodels 0.15, OLS with a column for each method and each seed."""
    found = many_to_one(NONE, FULL)
    a, c = found["a"], found["c"]
    assert (a.interval.mean, c.interval.mean) == pytest.approx((4.16666667, 1.5))
    assert (a.interval.deviation**2 / 2, a.freedom) == pytest.approx((0.15277778, 4))
    error = 0.31914237
    half = largest_t_quantile(0.95, count=2, freedom=4) * error
    assert (a.interval.low, a.interval.high) == pytest.approx(
        (4.16666667 - half, 4.16666667 + half)
    )
    assert c.p == pytest.approx(largest_t_p(1.5 / error, count=2, freedom=4))
    assert (c.above, c.below, c.pooled) == (3, 0, True)


def test_a_seed_that_a_method_lacks_leaves_its_other_pairs() -> None:
    """The same with a hole: statsmodels says scale 0.17430556 on 5 degrees of freedom."""
    found = many_to_one(NONE, {**FULL, "b": {0: 64.5, 1: 62.5, 7: 99.0}})
    b = found["b"]
    assert (b.interval.mean, b.interval.count, b.above, b.below) == (0.0, 2, 1, 1)
    assert all(one.freedom == 5 for one in found.values())
    assert b.interval.deviation == pytest.approx(math.sqrt(2 * 0.17430556))
    assert found["a"].interval.mean == pytest.approx(4.16666667)
    # Differences of 2 and 3 seeds of which 2 are common correlate by 2 / (2 * sqrt(6)), the least.
    least = 1 / math.sqrt(6)
    half = largest_t_quantile(0.95, count=3, freedom=5, correlation=least)
    assert b.interval.high == pytest.approx(half * math.sqrt(0.17430556))


def test_one_method_is_a_paired_t_test() -> None:
    own = {0: 0.7, 1: 0.72, 2: 0.69}
    base = {0: 0.65, 1: 0.69, 2: 0.66}
    found = many_to_one(base, {"a": own})["a"]
    alone = paired_t([*own.values()], [*base.values()])
    assert found.p == pytest.approx(alone.p)
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (alone.interval.low, alone.interval.high)
    )
    assert (found.interval.deviation, found.freedom) == (
        pytest.approx(alone.interval.deviation), 2,
    )  # fmt: skip


def test_one_seed_says_what_was_seen_and_no_more() -> None:
    found = many_to_one(
        {0: 64.2, 1: 63.8}, {"hmix": {0: 67.7, 1: 68.1}, "cutmix": {0: 65.6}, "late": {5: 70.0}}
    )
    assert list(found) == ["hmix", "cutmix"]
    assert found["cutmix"].interval.mean == pytest.approx(1.4)
    assert math.isnan(found["cutmix"].interval.low)
    assert math.isnan(found["cutmix"].p)
    assert (found["cutmix"].above, found["cutmix"].freedom) == (1, 0)
    # By hand: differences 3.5 and 4.3, mean 3.9, t = 3.9 / 0.4 with one degree of freedom.
    assert found["hmix"].p == pytest.approx(1 - 2 / math.pi * math.atan(3.9 / 0.4))


def noisy(deviations: list[float], seeds: int, rng: np.random.Generator) -> list[Scores]:
    return [
        dict(enumerate(row))
        for row in (
            rng.normal(size=(len(deviations), seeds)) * np.array(deviations)[:, None]
        ).tolist()
    ]


def test_a_collapsed_run_neither_hides_the_others_nor_is_judged_by_them() -> None:
    base, *others = noisy([1.0] * 6, 3, np.random.default_rng(0))
    names = "abcde"
    methods = {name: {seed: score + 10 for seed, score in own.items()}
               for name, own in zip(names, others, strict=True)}  # fmt: skip
    methods["e"][0] -= 60
    found = many_to_one(base, methods)
    assert [found[name].pooled for name in names] == [True, True, True, True, False]
    assert all(found[name].p < 0.001 for name in "abcd")
    assert found["a"].freedom == 8  # of four methods; one family of five
    alone = paired_t([*methods["e"].values()], [*base.values()])
    assert found["e"].p == pytest.approx(min(1.0, 5 * alone.p))
    # Without the way out the collapsed run hides everything: t of about 10 / 20.
    assert found["a"].interval.deviation < 3


def test_where_the_baseline_is_noisy_nothing_is_pooled() -> None:
    base, *others = noisy([20.0, *[1.0] * 5], 4, np.random.default_rng(3))
    found = many_to_one(base, dict(zip("abcde", others, strict=True)))
    assert not any(one.pooled for one in found.values())
    alone = paired_t([*others[0].values()], [*base.values()])
    assert found["a"].p == pytest.approx(min(1.0, 5 * alone.p))


def test_equal_differences_are_judged_by_the_spread_of_the_others() -> None:
    base = {0: 0.5, 1: 0.6, 2: 0.7}
    still = {seed: score + 0.1 for seed, score in base.items()}
    alone = many_to_one(base, {"still": still})["still"]
    assert alone.interval.no_spread
    assert math.isnan(alone.p)
    assert (alone.above, alone.below) == (3, 0)
    with_other = {"still": still, "b": {0: 0.52, 1: 0.59, 2: 0.73}}
    found = many_to_one(base, with_other)
    assert found["still"].freedom == found["b"].freedom == 2  # as if b were there alone
    assert found["still"].interval.deviation == found["b"].interval.deviation
    same = many_to_one(base, {"twice": dict(base), "b": with_other["b"]})["twice"]
    assert (same.interval.mean, same.p, same.above, same.below) == (0.0, pytest.approx(1.0), 0, 0)


def test_families_err_as_often_as_they_say() -> None:
    """Six methods that are no better, three seeds: 5 % of families claim something."""
    rng, families = np.random.default_rng(5), 200
    wrong = 0
    for _ in range(families):
        base, *others = noisy([1.0] * 7, 3, rng)
        found = many_to_one(base, dict(zip("abcdef", others, strict=True)))
        wrong += min(one.p for one in found.values()) < 0.05
    assert 0.01 < wrong / families < 0.09  # 2.6 standard errors


def test_what_would_have_been_found() -> None:
    """By simulation: a true difference of that size exceeds the quantile four times in five."""
    quantile, freedom = largest_t_quantile(0.95, count=3, freedom=6), 6
    true = detectable_t(quantile, freedom)
    rng = np.random.default_rng(0)
    t = (true + rng.normal(size=40_000)) / np.sqrt(rng.chisquare(freedom, size=40_000) / freedom)
    assert np.mean(t > quantile) == pytest.approx(0.8, abs=0.007)
    a: Contrast = many_to_one(NONE, FULL)["a"]
    error = a.interval.deviation / math.sqrt(3)
    assert a.detectable == pytest.approx(
        error * detectable_t(largest_t_quantile(0.95, count=2, freedom=4), 4)
    )


def test_seeds_that_would_show_a_difference() -> None:
    def shown(seeds: int) -> float:
        freedom = 6 * (seeds - 1)
        quantile = largest_t_quantile(0.95, count=6, freedom=freedom)
        return float(stats.nct.sf(quantile, freedom, 2.0 / math.sqrt(2 / seeds)))

    assert seeds_to_show(-2.0, deviation=1.0, methods=6) == 7
    assert shown(6) < 0.8 <= shown(7)
    assert seeds_to_show(100.0, deviation=1.0, methods=2) == 2
    # Two seeds of one method have one degree of freedom: 16 standard errors, each of 1.
    assert seeds_to_show(10.0, deviation=1.0, methods=1) == 3
    assert seeds_to_show(0.01, deviation=1.0, methods=2) is None


def test_bad_scores() -> None:
    with pytest.raises(ValueError, match="not finite"):
        many_to_one({0: 1.0}, {"a": {0: math.nan}})
    with pytest.raises(ValueError, match=r"level is 1\.5"):
        many_to_one({0: 1.0, 1: 2.0}, {"a": {0: 1.0, 1: 3.0}}, level=1.5)
