"""Gains on small and on large objects, and the interaction of the two."""

from __future__ import annotations

import math

import pytest

from lab.reports.pages import made_group
from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.scenarios import analyse, gain


def of_scores(
    name: str, *pairs: tuple[float, float], seeds: tuple[int, ...] | None = None
) -> Group:
    """Made-up accuracies on small and on large objects, a pair a seed."""
    summaries = [
        {
            "tasks": {"texture": {"small": {"top1": small}, "large": {"top1": large}}},
            "pair": ["cutmix", "mixup"],
        }
        for small, large in pairs
    ]
    return made_group(name, "", summaries, seeds=seeds, baseline=name == "none")


def test_the_interaction_is_the_papers() -> None:
    groups = [of_scores("mixup", (0.583, 0.677)), of_scores("cutmix", (0.644, 0.670))]
    found, arrays = analyse(groups)
    assert found is not None
    assert found.paired
    assert arrays == {}
    (difference,) = found.differences
    assert (difference.key, difference.base) == ("cutmix", "mixup")
    task = difference.tasks["texture"]
    assert task.small.mean == pytest.approx(0.061)
    assert task.large.mean == pytest.approx(-0.007)
    assert task.interaction.mean == pytest.approx(0.068)
    assert math.isnan(task.interaction.low)  # one seed


def test_the_interaction_is_paired_by_seed() -> None:
    """On small objects seeds gain 5, 6 and 7 points, and as much more than on large ones."""
    own = of_scores("cutmix", (0.56, 0.61), (0.37, 0.92), (0.78, 0.23), seeds=(2, 0, 1))
    other = of_scores("mixup", (0.31, 0.91), (0.71, 0.22), (0.51, 0.61), seeds=(0, 1, 2))
    task = gain(own, other).tasks["texture"]
    assert task.small.mean == pytest.approx(0.06)
    assert task.small.half_width == pytest.approx(4.3027 * 0.01 / math.sqrt(3), rel=1e-4)
    assert task.large.mean == pytest.approx((0 + 0.01 + 0.01) / 3)
    # 0.05 - 0, 0.06 - 0.01 and 0.07 - 0.01.
    assert task.interaction.mean == pytest.approx(0.16 / 3)
    assert task.interaction.count == 3


def test_who_is_set_against_whom() -> None:
    groups = [of_scores(name, (0.5, 0.5)) for name in ("none", "mixup", "hmix", "cutmix")]
    found, _ = analyse(groups)
    assert found is not None
    assert found.base == "none"
    assert [one.key for one in found.gains] == ["mixup", "hmix", "cutmix"]
    assert [(one.key, one.base) for one in found.differences] == [
        ("cutmix", "mixup"), ("none", "mixup"), ("hmix", "mixup"),
    ]  # fmt: skip
    found, _ = analyse(groups[1:])
    assert found is not None
    assert found.base == "mixup"  # the second of the pair, where there is no baseline
    found, _ = analyse([groups[0], groups[2]])
    assert found is not None
    assert not found.paired
    assert [(one.key, one.base) for one in found.differences] == [("hmix", "none")]


def test_without_common_seeds_there_are_no_gains() -> None:
    own, other = (
        of_scores("cutmix", (0.5, 0.5), seeds=(0,)), of_scores("mixup", (0.5, 0.5), seeds=(1,))
    )  # fmt: skip
    assert gain(own, other).tasks == {}
