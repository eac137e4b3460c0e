"""Sections on clean images: accuracy, calibration, the gap, what differs, and over types."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
from scipy import stats

from mixwright.lab.analysis.statistics import holm
from mixwright.lab.reports import figures
from mixwright.lab.reports.formatting import MINUS, NONE, p_value, points
from mixwright.lab.reports.palette import method_shades
from mixwright.lab.reports.sections.accuracy import accuracy
from mixwright.lab.reports.sections.calibration import calibration
from mixwright.lab.reports.sections.gap import gap
from mixwright.lab.reports.sections.judging import judge
from mixwright.lab.reports.sections.over_types import by_type, over_types
from mixwright.lab.reports.sections.pairing import baseline_of, common, families, weights_of
from mixwright.lab.reports.sections.reliability import pooled
from mixwright.lab.reports.sections.section import Group, Section, Shades
from mixwright.lab.reports.sections.significance import significance

IMAGES = 400
BASE = (0.60, 0.62, 0.61)


def right(share: float, seed: int, *shape: int) -> torch.Tensor:
    """As many of every row right as asked for, exactly."""
    order = torch.rand(*shape, IMAGES, generator=torch.Generator().manual_seed(seed)).argsort(-1)
    return order.argsort(-1) < round(share * IMAGES)


def accurate(key: str, scores: Sequence[float], *, baseline: bool = False) -> Group:
    """A group of the part ``Accuracy`` with one run a score."""
    found = [
        {
            "images": IMAGES, "classes": 6, "class_names": list("abcdef"), "top1": score,
            "top1_interval": [score - 0.05, score + 0.04], "top5": 0.9, "macro": score - 0.01,
            "per_class": [0.9, 0.8, None, 0.3, 0.7, 0.6], "protocol": "median10",
            "protocols": {"raw": {"median10": {"top1": score - 0.02, "top5": None, "epochs": [8],
                                               "note": "the run has 8 epochs"}}},
        }
        for score in scores
    ]  # fmt: skip
    arrays = [{"correct": right(score, seed)} for seed, score in enumerate(scores)]
    return Group(
        key=key, label=key.upper(), seeds=tuple(range(len(scores))), summaries=tuple(found),
        arrays=tuple(arrays), baseline=baseline,
    )  # fmt: skip


def gained(*gains: float) -> list[float]:
    return [base + gain for base, gain in zip(BASE, gains, strict=False)]


@pytest.fixture
def groups() -> list[Group]:
    return [
        accurate("none raw", BASE, baseline=True),
        accurate("mixup raw", gained(0.01, -0.02, 0.02)),
        accurate("cutmix raw", gained(0.100, 0.105, 0.095)),
        accurate("none ema", gained(0.05, 0.05, 0.05), baseline=True),
        accurate("cutmix ema", gained(0.02, 0.025, 0.02)),
        accurate("cutmix teacher", gained(0.15, 0.14, 0.15)),
    ]


def colours(groups: Sequence[Group]) -> Shades:
    return method_shades([group.key for group in groups], groups[0].key)


def drawn(section: Section) -> None:
    with figures.styled():
        for drawing in section.drawings:
            for width in (6.6, 3.7):
                figure = drawing.make(width)
                figure.canvas.draw()
                assert figure.get_figwidth() == width
    assert not plt.get_fignums()  # nothing goes through matplotlib's global state


def cells(section: Section, table: int = 0) -> dict[str, dict[str, str]]:
    """Row -> head -> cell."""
    one = section.tables[table]
    assert all(len(row) == len(one.head) for row in one.rows)
    assert len(one.keys) == len(one.rows)
    return {row[0]: dict(zip(one.head, row, strict=True)) for row in one.rows}


def test_like_is_set_against_like(groups: list[Group]) -> None:
    by_key = {group.key: group for group in groups}
    against = {
        key: base and base.key for key, group in by_key.items()
        for base in [baseline_of(group, groups)]
    }  # fmt: skip
    assert against == {
        "none raw": None, "mixup raw": "none raw", "cutmix raw": "none raw", "none ema": None,
        "cutmix ema": "none ema", "cutmix teacher": "none ema",
    }  # fmt: skip
    assert [len(family) for family in families(groups)] == [2, 1, 1]
    assert weights_of(accurate("package:model", [0.5])) == ""
    assert baseline_of(accurate("mixup ema", [0.5]), groups[:3]) is None
    some = Group(key="x raw", label="", seeds=(2, 0), summaries=())
    assert common(some, groups[0]) == [(0, 2), (1, 0)]


def test_accuracy_has_intervals_over_runs_where_there_are_several(groups: list[Group]) -> None:
    section = accuracy(groups, colours(groups))
    rows = cells(section)
    half = stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3)
    assert rows["NONE RAW"]["top-1, %"] == f"61.0 ± {100 * half:.1f}"
    assert rows["NONE RAW"]["median of last 10, %"] == f"59.0 ± {100 * half:.1f}"
    assert rows["NONE EMA"]["median of last 10, %"] == NONE  # its column was not recorded
    assert rows["NONE RAW"]["hardest class"] == "d 30.0"
    assert "the run has 8 epochs" in section.tables[0].caption
    drawn(section)
    alone = [accurate("none raw", [0.6], baseline=True)]
    section = accuracy(alone, colours(alone))
    assert cells(section)["NONE RAW"]["top-1, %"] == "60.0 ± 4.5"
    assert "Wilson" in section.protocol
    drawn(section)


def calibrated(key: str, errors: Sequence[float]) -> Group:
    """A group of the part ``Calibration``: two bins filled, the upper one too sure by twice."""
    found = []
    for error in errors:
        table = [
            {"low": b / 15, "high": (b + 1) / 15, "count": 0, "confidence": None, "accuracy": None}
            for b in range(15)
        ]
        table[7] |= {"count": 10, "confidence": 0.5, "accuracy": 0.5}
        table[14] |= {"count": 10, "confidence": 0.96, "accuracy": 0.96 - 2 * error}
        one = {"ece": error, "mce": 2 * error, "rms": 1.4 * error, "table": table, "floor": 0.011,
               "interval": [error - 0.01, error + 0.02]}  # fmt: skip
        found.append(
            {"images": 20, "headline_bins": 15, "bins": {"15": one, "10": one},
             "adaptive_ece": error, "classwise_ece": 0.004, "nll": 1.2345, "brier": 0.4,
             "entropy": 0.6, "confidence": 0.8, "accuracy": 0.8 - error, "overconfidence": error,
             "temperature": {"value": 1.25, "share": 0.5, "seed": 3, "fitted_on": 8,
                             "judged_on": 12, "ece_before": error, "ece_after": 0.01,
                             "nll_before": 1.2, "nll_after": 1.1}}
        )  # fmt: skip
    return Group(key=key, label=key, seeds=tuple(range(len(errors))), summaries=tuple(found))


def test_calibration_names_its_noise_floor_and_the_split() -> None:
    groups = [calibrated("none raw", [0.05]), calibrated("mixup raw", [0.02])]
    section = calibration(groups, colours(groups))
    rows = cells(section)
    assert rows["none raw"]["ECE, 15 bins, %"] == "5.00 (4.00 to 7.00)"
    assert rows["none raw"]["noise floor, %"] == "1.10"
    assert rows["none raw"]["too much confidence, points"] == "+5.0"
    scores = cells(section, 1)["mixup raw"]
    assert scores["NLL, nats"] == "1.234"
    assert scores["temperature"] == "1.25"
    assert scores["ECE, 15 bins, after it, %"] == "1.00"
    assert "fitted on 8 of them, drawn with seed 3, and judged on the other 12" in section.protocol
    assert "over images" in section.protocol
    drawn(section)
    many = [calibrated(f"{k} raw", [0.05, 0.04]) for k in range(4)]
    section = calibration(many, colours(many))
    assert "over runs" in section.protocol
    low = max(0, 4.5 - 100 * stats.t.ppf(0.975, 1) * 0.005)
    assert cells(section)["0 raw"]["ECE, 15 bins, %"].startswith(f"4.50 ({low:.2f} to 10.85")
    drawn(section)


def test_bins_of_runs_are_pooled_by_their_images() -> None:
    bins = pooled(calibrated("none raw", [0.05, 0.15]))
    assert [one[2] for one in bins] == [20, 20]
    assert bins[1][4] == pytest.approx(0.96 - 0.2)
    assert bins[1][:2] == (14 / 15, 1.0)


def test_gap_has_both_sides() -> None:
    found = {"train": {"top1": 0.9, "nll": 0.2, "images": 50}, "of": 70, "seed": 0,
             "test": {"top1": 0.7, "nll": 0.9, "images": 20}, "top1_gap": 0.2,
             "nll_gap": 0.7}  # fmt: skip
    group = Group(key="a", label="A", seeds=(None,), summaries=(found,))
    section = gap([group], {})
    assert section.protocol.startswith("50 of the 70 training images")
    assert section.tables[0].rows == (("A", "90.0", "70.0", "+20.0", "0.200", "0.900", "0.700"),)


def test_what_differs_is_claimed_from_adjusted_values_alone(groups: list[Group]) -> None:
    section = significance(groups, colours(groups))
    rows = cells(section)
    p = [stats.ttest_1samp(gains, 0).pvalue for gains in ([0.01, -0.02, 0.02],
                                                          [0.1, 0.105, 0.095])]  # fmt: skip
    assert [rows[k]["p Holm"] for k in ("MIXUP RAW", "CUTMIX RAW")] == [p_value(x) for x in holm(p)]
    assert rows["CUTMIX RAW"]["difference, points"].startswith("+10.00 ± 1.24")
    assert rows["CUTMIX RAW"]["95 % interval"] == "+8.76 to +11.24"
    wide = 0.5 * stats.t.ppf(1 - 0.0125, 2) / math.sqrt(3)
    assert rows["CUTMIX RAW"]["all at once"] == f"+{10 - wide:.2f} to +{10 + wide:.2f}"
    assert rows["MIXUP RAW"]["no worse by 0.3"] == "not shown"
    assert rows["CUTMIX RAW"]["no worse by 0.3"] == "yes"
    assert rows["CUTMIX EMA"]["difference, points"].startswith(MINUS)  # to the EMA of none
    assert rows["CUTMIX TEACHER"]["difference, points"].startswith("+")
    for words in (
        "Trained weights: CUTMIX RAW is ahead of no mixing; MIXUP RAW is not distinguishable from "
        "no mixing at 3 seeds. With the spread",
        "EMA: CUTMIX EMA is behind no mixing.",
        "Own teachers: CUTMIX TEACHER is ahead of no mixing.",
    ):
        assert words in section.reading, words
    images = cells(section, 1)
    assert images["CUTMIX RAW"]["p Holm"] == "< 0.001"
    assert images["CUTMIX RAW"]["n"] == "400"
    assert [drawing.name for drawing in section.drawings] == ["differences", "ranks"]
    assert "Mean rank by top-1 over 3 seeds" in section.drawings[1].caption
    drawn(section)


def test_an_interval_alone_is_no_claim() -> None:
    """Each of the methods would be ahead if it were asked alone."""
    groups = [accurate("none raw", BASE, baseline=True)]
    groups += [accurate(f"{k} raw", gained(0.02, 0.03, 0.035)) for k in "abc"]
    pairs = judge(families(groups)[0])
    assert all(pair.p < 0.05 < pair.p_holm and pair.runs.low > 0 for pair in pairs)
    section = significance(groups, colours(groups))
    assert "A RAW, B RAW and C RAW are not distinguishable" in section.reading
    assert "ahead" not in section.reading


def test_one_seed_speaks_of_checkpoints_alone() -> None:
    groups = [accurate("none raw", [0.6], baseline=True), accurate("a raw", [0.7])]
    section = significance(groups, colours(groups))
    assert "nothing can be said of the methods" in section.reading
    row = cells(section)["A RAW"]
    assert (row["95 % interval"], row["p Holm"], row["R"]) == (NONE, NONE, "1")
    pair = judge(families(groups)[0])[0]
    assert pair.images is not None
    assert pair.images.mean == pytest.approx(0.1)
    assert [drawing.name for drawing in section.drawings] == ["differences"]
    drawn(section)
    bare = [Group(g.key, g.label, g.seeds, g.summaries, baseline=g.baseline) for g in groups]
    assert len(significance(bare, colours(bare)).tables) == 1  # no arrays were kept


TYPES = ["snow", "frost", "fog", "contrast", "pixelate", "spatter"]


def corrupted(key: str, shares: Sequence[float], seeds: int = 2, **more: Any) -> Group:
    """A group of the part ``Corruption``: three severities, each type with its accuracy."""
    summaries, arrays = [], []
    for seed in range(seeds):
        told = torch.stack(
            # Severities of an image go together: three of them say no more than one.
            [
                right(share, 1000 * len(key) + 10 * seed + place).expand(3, -1)
                for place, share in enumerate(shares)
            ]
        )
        by_type = dict(zip(TYPES, told.double().mean(dim=(1, 2)).tolist(), strict=True))
        summaries.append({"types": TYPES, "severities": [1, 3, 5], "by_type": by_type})
        arrays.append({"correct": told.to(torch.uint8)})
    return Group(key=key, label=key, seeds=tuple(range(seeds)), summaries=tuple(summaries),
                 arrays=tuple(arrays), **more)  # fmt: skip


def test_consistency_over_types_and_each_type_clustered_by_image() -> None:
    base = corrupted("none raw", [0.5] * 6, baseline=True)
    gains = [0.1, 0.08, 0.2, 0.05, 0.0, -0.1]
    own = corrupted("a raw", [0.5 + gain for gain in gains])
    groups = [base, own, corrupted("b raw", [0.6] * 6)]
    found = by_type(own, base)
    assert found is not None
    assert [*found.differences.values()] == pytest.approx(gains)
    assert found.across.p_t == pytest.approx(stats.ttest_1samp(gains, 0).pvalue)
    assert found.across.families == pytest.approx(
        {"weather": 0.38 / 3, "digital": 0.025, "extra": -0.1}
    )
    told = [
        sum(one.arrays[seed]["correct"].double() for seed in (0, 1)).mean(dim=1) / 2
        for one in (own, base)
    ]
    per_image = told[0] - told[1]  # one value an image, over severities and runs
    z = per_image.mean(dim=1) / (per_image.std(dim=1) / math.sqrt(IMAGES))
    normal = holm((2 * stats.norm.sf(z.abs().numpy())).tolist())
    assert [*found.p_holm.values()] == pytest.approx(normal, abs=0.03)
    assert found.p_holm["fog"] < 0.001 < found.p_holm["contrast"] < 1
    assert found.p_holm["pixelate"] == 1.0
    section = over_types(groups, colours(groups))
    rows = cells(section)
    assert rows["a raw"]["ahead"] == "4 of 6"
    assert rows["a raw"]["families"] == "2 of 3"
    assert rows["b raw"]["difference, points"].startswith(points(0.1))
    adjusted = holm([found.across.p_exact, 2 / 64])
    assert [rows[k]["signs"] for k in ("a raw", "b raw")] == [p_value(p) for p in adjusted]
    drawn(section)
    assert over_types([base], colours([base])).tables == ()
    other = Group("c raw", "c", (7,), own.summaries[:1])
    assert by_type(other, base) is None
