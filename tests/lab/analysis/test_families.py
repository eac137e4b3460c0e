"""Like is compared with like: the same weights, a teacher with the EMA, the same seeds."""

from __future__ import annotations

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
