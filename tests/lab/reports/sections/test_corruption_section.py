"""The sections of corruption: their numbers, their stars, and figures that can be drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from lab.analysis.made import corrupted
from lab.reports.pages import cells, drawings, drawn, made_group, page_of, sections_of, tables
from mixwright.lab.analysis.findings import Group
from mixwright.lab.evaluation.corruption.constants import BENCHMARK_TYPES, FAMILIES, TYPES
from mixwright.lab.reports.figures import styled, to_png
from mixwright.lab.reports.formatting import MINUS, NONE
from mixwright.lab.reports.section import Section

PICTURES = ("sample", "sheet")
SAMPLE = torch.randint(256, (3, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
SHEET = (SAMPLE + torch.arange(19 * 5).view(19, 5, 1, 1, 1)).to(torch.uint8)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def summary(gain: float, types: Sequence[str] = TYPES, **changes: Any) -> dict[str, Any]:
    """A summary as the evaluation writes it: a point less a type, five less a severity."""
    accuracy = {
        name: [0.9 + gain - 0.01 * k - 0.05 * s for s in range(1, 6)]
        for k, name in enumerate(types)
    }
    by_type = {name: mean(values) for name, values in accuracy.items()}
    whole = [by_type[name] for name in BENCHMARK_TYPES if name in by_type]
    return {
        "images": 50, "source": "generated", "regenerated": True, "constants": "cifar",
        "frost": "noise" if "frost" in types else None, "block": 100, "seed": 3,
        "types": list(types), "severities": [1, 2, 3, 4, 5], "accuracy": accuracy,
        "by_type": by_type,
        "by_severity": [mean([values[s] for values in accuracy.values()]) for s in range(5)],
        "families": {
            family: mean([by_type[name] for name in names if name in by_type])
            for family, names in FAMILIES.items() if any(name in by_type for name in names)
        },
        "mean": mean([*by_type.values()]),
        "mean_benchmark": mean(whole) if len(whole) == 15 else None,
        "mce": 1 - mean([*by_type.values()]), "clean": 0.95,
        "relative_drop": 0.95 - mean([*by_type.values()]),
    } | changes  # fmt: skip


def groups(
    *gains: float, seeds: int = 2, baseline: bool = True, types: Sequence[str] = TYPES
) -> list[Group]:
    return [
        made_group(
            f"m{place}",
            "raw",
            [summary(gain + 0.002 * seed, types) for seed in range(seeds)],
            [{"sample": SAMPLE, "sheet": SHEET}] * seeds,
            baseline=baseline and place == 0,
        )
        for place, gain in enumerate(gains)
    ]


def section(many: list[Group]) -> Section:
    return sections_of("corruption", many, pictures=PICTURES)["corruption"]


def test_tables_show_percent_and_paired_differences() -> None:
    found = section(groups(0.0, 0.02))
    by_method, by_type = tables(found)
    # Severities take 15 points off, the 19 types 9 on average, the 15 of the benchmark 7; two seeds
    # that differ by 0.2 add 0.1, with an interval of 12.706 * 0.1414 / sqrt(2).
    assert by_method.head == (
        "Method", "clean", "mean of 19", "of 15", "noise", "blur", "weather", "digital", "extra",
        "mCE", "drop", "mean to M0, trained weights",
    )  # fmt: skip
    own, other = by_method.rows
    assert own == (
        "M0, trained weights", "95.0 ± 0.0", "66.1 ± 1.3", "68.1 ± 1.3", "74.1 ± 1.3",
        "70.6 ± 1.3", "66.6 ± 1.3", "62.6 ± 1.3", "58.6 ± 1.3", "33.9 ± 1.3", "28.9 ± 1.3", NONE,
    )  # fmt: skip
    assert other[2] == "68.1 ± 1.3"
    assert other[-1] == "+2.0"  # both seeds gain the same: no spread was measured
    assert by_method.keys == ("m0 raw", "m1 raw")
    assert len(by_type.rows) == 19
    assert by_type.rows[0] == ("Gaussian noise", "noise", "75.1 ± 1.3", "77.1 ± 1.3")
    assert "Frost*" in [row[0] for row in by_type.rows]
    assert "regenerated" in found.protocol
    assert "Frost*" in found.reading


def test_official_files_and_pictures_bear_no_star() -> None:
    official = {"regenerated": False, "source": "official", "frost": None}
    found = section([made_group("m0", "raw", [summary(0.0, **official)])])
    assert "official files" in found.protocol
    assert "regenerated" not in found.protocol
    assert "Frost" in [row[0] for row in tables(found)[1].rows]
    assert "*" not in found.reading
    assert [*drawings(found)] == ["severities", "types"]


def test_alexnets_errors_are_read_out_where_they_were_measured() -> None:
    errors = {"ce": {"frost": 0.7}, "mce": 0.8124, "relative_mce": 1.0451}
    found = section([made_group("m0", "raw", [summary(0.0, imagenet=errors)])])
    assert "AlexNet's errors, mCE is 81.2 and relative mCE 104.5" in found.reading
    assert "AlexNet" not in section(groups(0.0)).reading


def test_what_changes_nothing_is_named() -> None:
    """Older records do not say."""
    found = section([made_group("m0", "raw", [summary(0.0, unchanged={"zoom_blur": [1, 2]})])])
    wanted = "Nothing changes in images of this size by zoom blur at severity 1 and 2."
    assert wanted in found.reading
    for none in ({}, {"unchanged": {}}):
        found = section([made_group("m0", "raw", [summary(0.0, **none)])])
        assert "Nothing changes" not in found.reading


@pytest.mark.parametrize("gains", [(0.0,), (0.0, 0.02, -0.03)])
@pytest.mark.parametrize("baseline", [True, False])
def test_figures_can_be_drawn(gains: tuple[float, ...], baseline: bool) -> None:
    found = section(groups(*gains, seeds=3 if baseline else 1, baseline=baseline))
    assert drawn(found) == ["severities", "types", "sheet"]


def test_the_matrix_says_what_the_table_says() -> None:
    with styled():
        figure = drawings(section(groups(0.0, 0.02, -0.03)))["types"].make(6.6)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words[:2] == ["+2.0", f"{MINUS}3.0"]
    assert words[-5:] == ["noise", "blur", "weather", "digital", "extra"]
    assert len(words) == 19 * 2 + 5


def test_a_matrix_of_one_model_has_severities_and_of_baselines_alone_accuracies() -> None:
    with styled():
        figure = drawings(section(groups(0.0, seeds=1)))["types"].make(6.6)
        assert [text.get_text() for text in figure.axes[0].texts[:5]] == [
            "85", "80", "75", "70", "65",
        ]  # fmt: skip
        both = [
            made_group("none", weights, [summary(0.0)], baseline=True) for weights in ("raw", "ema")
        ]
        figure = drawings(section(both))["types"].make(6.6)
    assert [text.get_text() for text in figure.axes[0].texts[:2]] == ["75", "75"]
    assert drawings(section(both))["types"].caption.startswith("Accuracy in percent by type, mean")


def test_curves_are_means_of_types_with_clean_images_before_them() -> None:
    with styled():
        figure = drawings(section(groups(0.0, seeds=1)))["severities"].make(6.6)
    (line,) = figure.axes[0].get_lines()
    assert list(line.get_xdata()) == [0, 1, 2, 3, 4, 5]
    assert list(line.get_ydata()) == pytest.approx([95, 76, 71, 66, 61, 56])


def test_few_types_at_one_severity() -> None:
    found = section(groups(0.0, 0.01, types=("fog", "contrast")))
    by_method, by_type = tables(found)
    assert by_method.head[2] == "mean of 2"
    assert len(by_type.rows) == 2
    assert drawn(found) == ["severities", "types", "sheet"]


def test_long_names_of_many_methods_leave_two_types_their_rows() -> None:
    many = [
        replace(group, label=f"AutoMix {place}, own teacher, mixed head")
        for place, group in enumerate(groups(*([0.01] * 10), baseline=False, types=TYPES[:2]))
    ]
    drawing = drawings(section(many))["types"]
    with styled():
        for width in (6.6, 3.7):  # a layout without room would warn, which fails
            to_png(drawing.make(width), io.BytesIO())


def test_the_sheet_is_drawn_from_what_was_stored() -> None:
    page = page_of({"corruption": groups(0.0)}, pictures={"corruption": PICTURES})
    sheet = drawings(section(groups(0.0)))["sheet"]
    assert set(sheet.needs) == set(page.arrays)
    with styled():
        figure = sheet.make(3.7)
    axes = [axes for axes in figure.axes if axes.get_visible()]
    titles = [one.get_title(loc="left") for one in axes]
    assert len(titles) == 20
    assert {"Clean", "Gaussian noise", "JPEG compression", "Saturate"} < set(titles)
    strip = torch.as_tensor(axes[titles.index("Frost*")].images[0].get_array())
    assert strip.shape == (16, 5 * 18 - 2, 4)
    frost = SHEET[TYPES.index("frost")].permute(0, 2, 3, 1)
    assert torch.equal(strip[:, :16, :3], frost[0])
    assert torch.equal(strip[:, 4 * 18 :, :3], frost[4])
    assert torch.equal(strip[:, 16:18], torch.full((16, 2, 4), 255, dtype=torch.uint8))
    clean = torch.as_tensor(axes[titles.index("Clean")].images[0].get_array())
    assert torch.equal(clean[:, :16, :3], SAMPLE.permute(1, 2, 0))
    assert not clean[:, 16:].any()  # the ground of the page shows


def test_consistency_over_types_is_shown_from_the_record() -> None:
    gains = [0.1, 0.08, 0.2, 0.05, 0.02, -0.12]
    other = [0.1, 0.12, 0.1, 0.12, 0.1, 0.12]
    many = [
        corrupted("none", [0.5] * 6),
        corrupted("a", [0.5 + gain for gain in gains]),
        corrupted("b", [0.5 + gain for gain in other]),
    ]
    for group in many:  # what the first section needs beside
        for found in group.summaries:
            found |= summary(0.0, found["types"]) | {"by_type": found["by_type"]}
    found = sections_of("corruption", many)["types"]
    (table,) = tables(found)
    assert table.keys == ("a raw", "b raw")
    a, b = (cells(table)[f"{name}, trained weights"] for name in "AB")
    # Of 64 patterns of signs 18 reach the sum of a, 20 its sum of ranks, and 2 those of b, which
    # Holm doubles. The variance of a is 0.05555 / 5, so its half is 2.5706 * 0.1054 / sqrt(6).
    assert a == {
        "Over types": "A, trained weights", "difference, points": "+5.50 ± 11.06",
        "bootstrap over types": a["bootstrap over types"], "ahead": "5 of 6", "p Holm, t": "0.26",
        "ranks": "0.31", "signs": "0.28", "families": "2 of 3", "R": "2",
    }  # fmt: skip
    assert (b["difference, points"], b["ahead"], b["families"]) == (
        "+11.00 ± 1.15",
        "6 of 6",
        "3 of 3",
    )
    assert (b["p Holm, t"], b["signs"]) == ("< 0.001", "0.062")
    assert drawn(found) == ["types"]
    with styled():
        (axes,) = drawings(found)["types"].make(6.6).axes
    dots = [
        line for line in axes.get_lines() if len(line.get_xdata()) == 1 and line.get_marker() == "o"
    ]
    assert [float(dot.get_xdata()[0]) for dot in dots[:6]] == pytest.approx(
        [100 * gain for gain in gains]
    )
    hollow = [dot.get_markerfacecolor() == "white" for dot in dots[:6]]
    assert hollow[2:5] == [False, True, True]  # 20, 5 and 2 points
    numbers = page_of({"corruption": many}).findings.parts["corruption"].numbers
    assert [method["p_exact_holm"] for method in numbers["methods"]] == [0.28125, 0.0625]
    assert [method["p_wilcoxon_holm"] for method in numbers["methods"]] == [0.3125, 0.0625]
    assert numbers["methods"][0]["p_t_holm"] == pytest.approx(0.257, abs=1e-3)
    assert numbers["methods"][0]["p_holm"]["fog"] < 0.001
    assert numbers["methods"][0]["agreeing"] == 2
    assert "types" not in sections_of("corruption", many[:1])
