"""Over images and corruption types: bootstraps, sign flips, McNemar, consistency over types."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Generator

from mixwright.lab.analysis.statistics import (
    across_types,
    bootstrap_interval,
    crossed_interval,
    ece_interval,
    exact_sign_flip_p,
    sign_flip_p,
    t_interval,
)
from mixwright.sampling import stream

CONTINUOUS = np.random.default_rng(1).gamma(2.0, size=300)
DISCRETE = np.random.default_rng(2).choice([-1.0, 0.0, 1.0], size=2000, p=[0.1, 0.75, 0.15])


def rng(*words: int) -> Generator:
    return stream(7, *words)


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("values", [CONTINUOUS, DISCRETE], ids=["index", "counts"])
def test_bootstrap_agrees_with_scipy(values: np.ndarray, method: str) -> None:
    found = bootstrap_interval(values, generator=rng(), method=method, resamples=10_000)
    oracle = stats.bootstrap(
        (values,), np.mean, method=method, n_resamples=20_000, batch=500,
        rng=np.random.default_rng(0), vectorized=True,
    ).confidence_interval  # fmt: skip
    tolerance = 0.06 * (oracle.high - oracle.low)
    assert found.low == pytest.approx(oracle.low, abs=tolerance)
    assert found.high == pytest.approx(oracle.high, abs=tolerance)
    assert found.mean == pytest.approx(values.mean())
    assert found.count == len(values)


def test_bca_follows_skewness_where_percentiles_do_not() -> None:
    few = np.random.default_rng(3).exponential(size=25) ** 2
    plain = bootstrap_interval(few, generator=rng(), method="percentile", resamples=20_000)
    found = bootstrap_interval(few, generator=rng(), resamples=20_000)
    oracle = stats.bootstrap(
        (few,), np.mean, method="BCa", n_resamples=20_000, rng=np.random.default_rng(0)
    ).confidence_interval
    width = plain.high - plain.low
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=0.05 * width)
    assert found.high > plain.high + 0.05 * width


def test_one_state_gives_one_interval() -> None:
    def ends(seed: int) -> tuple[float, float]:
        one = bootstrap_interval(CONTINUOUS, generator=rng(seed), resamples=200)
        return one.low, one.high

    assert ends(0) == ends(0) != ends(1)
    generator = rng()
    first, second = (
        bootstrap_interval(CONTINUOUS, generator=generator, resamples=200) for _ in range(2)
    )
    assert first != second


def test_intervals_cover_what_they_say() -> None:
    held = {"percentile": 0, "bca": 0}
    chance = np.random.default_rng(5)
    for trial in range(500):
        own, other = chance.random(200) < 0.8, chance.random(200) < 0.75
        values = own.astype(float) - other
        for method in held:
            one = bootstrap_interval(values, generator=rng(trial), method=method, resamples=500)
            held[method] += one.low <= 0.05 <= one.high
    assert held["percentile"] / 500 == pytest.approx(0.95, abs=0.02)
    assert held["bca"] / 500 == pytest.approx(0.95, abs=0.02)


def test_variants_of_an_image_are_one_value() -> None:
    chance = np.random.default_rng(6)
    base = (chance.random((400, 5)) < 0.8).astype(float) - (chance.random((400, 5)) < 0.75)
    twice = np.concatenate([base, base], axis=1)  # every condition counted twice

    def error(values: np.ndarray) -> float:
        one = t_interval(values.ravel().tolist())
        return one.deviation / math.sqrt(one.count)

    for values in (base, twice):
        one = bootstrap_interval(values.mean(axis=1), generator=rng())
        half = 1.96 * error(values.mean(axis=1))
        assert one.half_width == pytest.approx(half, rel=0.05)
    assert error(twice.mean(axis=1)) == pytest.approx(error(base.mean(axis=1)))
    assert error(twice) == pytest.approx(error(base) / math.sqrt(2), rel=1e-3)
    with pytest.raises(ValueError, match=r"shape \(400, 5\)"):
        bootstrap_interval(base, generator=rng())


def test_sign_flips_agree_with_all_patterns() -> None:
    for values in ([1.0, 2.0, 3.0, 4.0, 5.0], [0.3, -0.1, 0.2, 0.2, 0.4, -0.2, 0.1, 0.5]):
        patterns = itertools.product([-1, 1], repeat=len(values))
        sums = [abs(math.fsum(s * v for s, v in zip(one, values, strict=True))) for one in patterns]
        whole = sum(one >= abs(math.fsum(values)) - 1e-12 for one in sums) / len(sums)
        assert exact_sign_flip_p(values) == whole
        assert sign_flip_p(values, generator=rng()) == pytest.approx(whole, abs=0.01)
    assert exact_sign_flip_p([1.0, 2.0, 3.0, 4.0, 5.0]) == 2 / 32
    oracle = stats.permutation_test(
        (DISCRETE,), np.sum, permutation_type="samples", n_resamples=3000, batch=500,
        rng=np.random.default_rng(0),
    ).pvalue  # fmt: skip
    assert sign_flip_p(DISCRETE, generator=rng()) == pytest.approx(oracle, abs=0.005)


def test_sign_flips_count_what_was_seen() -> None:
    assert sign_flip_p(np.ones(60), generator=rng(), flips=99) == 1 / 100
    assert sign_flip_p(np.zeros(60), generator=rng()) == 1.0
    assert exact_sign_flip_p(np.zeros(5)) == 1.0
    # 0.1 + 0.2 in another order is another number; a tie stays a tie.
    assert exact_sign_flip_p([0.1, 0.2, 0.3, -0.6]) == 1.0
    assert sign_flip_p([0.1, 0.2, 0.3, -0.6], generator=rng()) == 1.0


def test_nineteen_types_take_no_time() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, size=19)
    started = time.perf_counter()
    p = exact_sign_flip_p(values)
    assert time.perf_counter() - started < 2
    assert p == pytest.approx(sign_flip_p(values, generator=rng()), abs=0.015)


def test_crossed_bootstrap_holds_both_parts_of_the_spread() -> None:
    chance = np.random.default_rng(8)
    image = chance.normal(0, 1, size=(1, 900))
    seed = chance.normal(0, 0.15, size=(12, 1))
    own, other = 0.1 + image + seed, np.zeros((12, 900))
    found = crossed_interval(own, other, generator=rng(), resamples=4000)
    variance = image.var() / 900 + seed.var() / 12
    assert found.half_width == pytest.approx(1.96 * math.sqrt(variance), rel=0.06)
    assert found.mean == pytest.approx(float(own.mean()))
    assert found.count == 12
    # Not paired, spread of both methods' seeds counts.
    apart = crossed_interval(own, -own, generator=rng(), paired=False, resamples=4000)
    wide = 4 * image.var() / 900 + 2 * seed.var() / 12
    assert apart.half_width == pytest.approx(1.96 * math.sqrt(wide), rel=0.06)
    assert apart.mean == pytest.approx(2 * float(own.mean()))
    right = (chance.random((3, 2000)) < 0.8).astype(float)
    same = crossed_interval(right, right, generator=rng(), resamples=50)
    assert same.mean == 0.0
    assert math.isnan(same.low)  # no spread was measured
    # Three runs that gain the same, but for rounding, each on images of its own: none over runs.
    base = np.tile([[0.9], [0.8], [0.7]], (1, 8))
    shift = np.array([[1.0, 0, 0, 0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0, 0, 0, 0], [0] * 7 + [1.0]])
    for paired in (True, False):
        still = crossed_interval(shift, base * 0, generator=rng(), paired=paired, resamples=50)
        assert still.mean == pytest.approx(1 / 8)
        assert math.isnan(still.low)
        assert still.deviation == 0.0
    tenth = crossed_interval(base, base - 0.1, generator=rng(), resamples=50)
    assert math.isnan(tenth.high)
    # As bytes, 0 less 1 would be 255.
    whole = crossed_interval(np.uint8([[0, 1, 0]]), np.uint8([[1, 1, 1]]), generator=rng())
    assert whole.mean == pytest.approx(-2 / 3)
    alone = crossed_interval(right[:1], right[1:2], generator=rng(), resamples=2000)
    images = bootstrap_interval(right[0] - right[1], generator=rng(1), method="percentile")
    assert alone.low == pytest.approx(images.low, abs=2e-3)
    assert math.isnan(alone.deviation)


def confident(n: int, gap: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    sure = chance.beta(5, 1.5, size=n)
    return sure, chance.random(n) < np.clip(sure - gap, 0, 1)


def test_bootstrap_of_calibration_errors() -> None:
    from mixwright.lab.evaluation import reliability

    own, other = confident(3000, 0.10, 0), confident(3000, 0.0, 1)

    def error(one: tuple[np.ndarray, np.ndarray], rows: np.ndarray | slice = slice(None)) -> float:
        return reliability(*(torch.from_numpy(part[rows]) for part in one)).ece

    single = ece_interval(*own, generator=rng(), resamples=500)
    assert single.mean == pytest.approx(error(own))
    chance = np.random.default_rng(0)
    slow = [error(own, chance.integers(3000, size=3000)) for _ in range(500)]
    ends = 2 * error(own) - np.quantile(slow, [0.975, 0.025])  # mirrored at the error itself
    assert (single.low, single.high) == pytest.approx(tuple(ends), abs=0.003)
    # Bins are closed on the right: these two confidences are of different bins, and cancel nothing.
    edge = ece_interval([0.2] * 10 + [0.3] * 10, [1.0] * 10 + [0.0] * 10, generator=rng(), bins=5)
    assert edge.mean == pytest.approx((8 + 3) / 20)
    assert single.low < 0.1 < single.high
    assert single.deviation == pytest.approx(np.std([error(confident(3000, 0.1, s))
                                                     for s in range(60)]), rel=0.3)  # fmt: skip
    level = ece_interval(*other, generator=rng(), resamples=200)
    assert 0 <= level.low < 0.3 * level.mean  # at its noise floor: what resampling adds is out


TYPES = {"fog": 0.03, "snow": 0.01, "jpeg": 0.02, "pixelate": -0.005, "contrast": 0.015}
FAMILIES = {"fog": "weather", "snow": "weather", "jpeg": "digital", "pixelate": "digital",
            "contrast": "digital"}  # fmt: skip


def test_consistency_over_types() -> None:
    found = across_types(TYPES, generator=rng(), families=FAMILIES)
    values = list(TYPES.values())
    assert found.p_t == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(values).pvalue)
    assert found.p_exact == exact_sign_flip_p(values)
    assert (found.ahead, found.behind) == (4, 1)
    assert found.families == pytest.approx({"weather": 0.02, "digital": 0.01})
    assert found.bca.low < found.interval.mean < found.bca.high
    for same in (0.0, 0.02):  # a t test needs spread; flips of signs do not
        still = across_types(dict.fromkeys(TYPES, same), generator=rng())
        assert math.isnan(still.p_t)
        assert math.isnan(still.interval.low)
        assert still.bca.low == still.bca.high == pytest.approx(same)
        assert still.p_exact == (1.0 if same == 0 else 2 / 2**5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval([1.0], generator=rng()), "at least 2 images"),
        (lambda: bootstrap_interval([1.0, math.nan], generator=rng()), "1 of them not finite"),
        (lambda: bootstrap_interval([1, 2], generator=rng(), level=95), "level is 95"),
        (lambda: bootstrap_interval([1, 2], generator=rng(), method="t"), "method is 't'"),
        (lambda: sign_flip_p([1.0], generator=rng(), flips=0), "flips is 0"),
        (lambda: crossed_interval([[1.0]], [[1.0], [2.0]], generator=rng()), "as many runs"),
        (lambda: ece_interval([0.5], [1.0, 0.0], generator=rng()), "1 confidences, 2 outcomes"),
        (lambda: exact_sign_flip_p(np.ones(23)), r"shape \(23,\); expected 1 to 22"),
        (lambda: across_types({"a": 1.0}, generator=rng()), "1 types"),
        (lambda: across_types(TYPES, generator=rng(), families={}), "'fog'.* have no family"),
    ],
)  # fmt: skip
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
