"""Like is compared with like: the same weights, a teacher with the EMA, the same seeds."""

from __future__ import annotations

from dataclasses import replace

from lab.analysis.made import accurate, six_groups
from lab.reports.pages import made_group
from mixwright.lab.analysis.families import baseline_of, common_seeds, families


def test_like_is_set_against_like() -> None:
    groups = six_groups()
    bases = {group.key: baseline_of(group, groups) for group in groups}
    assert {key: base and base.key for key, base in bases.items()} == {
        "none raw": None, "mixup raw": "none raw", "cutmix raw": "none raw", "none ema": None,
        "cutmix ema": "none ema", "cutmix teacher": "none ema",
    }  # fmt: skip
    assert [len(family) for family in families(groups)] == [2, 1, 1]
    assert baseline_of(accurate("mixup", "ema", [0.5]), groups[:3]) is None
    assert baseline_of(accurate("package:model", "", [0.5]), groups) is None


def test_seeds_in_common_are_found_by_their_places() -> None:
    some = made_group("x", "raw", [{}, {}], seeds=(2, 0))
    assert common_seeds(some, six_groups()[0]) == [(0, 2), (1, 0)]


def test_a_seed_that_is_named_twice_is_one_pair() -> None:
    own = made_group("x", "raw", [{}, {}, {}], seeds=(0, 1, 0))
    base = made_group("none", "raw", [{}, {}, {}], seeds=(1, 0, 0))
    assert common_seeds(own, base) == [(0, 1), (1, 0)]


def test_the_last_epoch_is_set_against_the_last_and_the_best_against_the_best() -> None:
    last = six_groups()[:2]
    best = [
        replace(group, key=f"{group.method} (best.pt) raw", checkpoint="best.pt") for group in last
    ]
    for groups in ([*last, *best], [*best, *last]):
        found = {own.key: base.key for family in families(groups) for own, base in family}
        assert found == {"mixup raw": "none raw", "mixup (best.pt) raw": "none (best.pt) raw"}
        assert [len(family) for family in families(groups)] == [1, 1]
    assert families([last[1], best[0]]) == []  # nothing alike to be set against
