"""Sections on clean images: accuracy, what differs, calibration, the gap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.analysis.made import BASE, accurate, calibrated, gained, six_groups
from lab.reports.pages import cells, drawings, drawn, made_group, page_of, sections_of, tables
from mixwright.lab.analysis.statistics import largest_t_quantile
from mixwright.lab.reports.evaluation_page import summary
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.formatting import MINUS, NONE
from mixwright.lab.reports.palette import BASELINE, method_shades
from mixwright.lab.reports.sections.accuracy import write as write_accuracy
from mixwright.lab.reports.sections.calibration import write as write_calibration

RAW, EMA, TEACHER = "trained weights", "EMA", "own teacher"


def test_accuracy_has_intervals_over_runs_where_there_are_several() -> None:
    section = sections_of("accuracy", six_groups())["accuracy"]
    (table,) = tables(section)
    rows = cells(table)
    none, ema = rows[f"None, {RAW}"], rows[f"None, {EMA}"]
    # 60, 62 and 61: 4.3027 / sqrt(3) standard deviations of 1.
    assert none["top-1, %"] == "61.0 ± 2.5"
    assert none["top-5, %"] == "90.0 ± 0.0"
    assert none["mean over classes, %"] == "60.0 ± 2.5"
    assert none["median of last 10, %"] == "59.0 ± 2.5"
    assert ema["median of last 10, %"] == NONE  # its column was not recorded
    assert none["hardest class"] == "d 30.0"
    assert "the run has 8 epochs" in table.caption
    assert table.keys[0] == "none raw"
    assert "t interval over runs" in section.protocol
    assert section.reading.startswith("Whether methods differ is asked below")
    assert drawn(section) == ["top1"]


def test_a_single_run_has_an_interval_over_images() -> None:
    sections = sections_of("accuracy", [accurate("none", "raw", [0.6])])
    section = sections["accuracy"]
    assert [*sections] == ["accuracy"]  # nothing to compare it with
    # Wilson: 1.96 sqrt(0.6 * 0.4 / 400 + 1.96**2 / 800**2) / (1 + 1.96**2 / 400) = 0.0478
    assert cells(tables(section)[0])[f"None, {RAW}"]["top-1, %"] == "60.0 ± 4.8"
    assert "Wilson" in section.protocol
    assert section.reading == ""
    assert drawn(section) == ["top1"]


def test_the_dots_lie_where_the_table_says() -> None:
    section = sections_of("accuracy", six_groups()[:2])["accuracy"]
    with styled():
        (axes,) = drawings(section)["top1"].make(6.6).axes
    ticks, whisker, dot = axes.get_lines()[:3]
    assert list(ticks.get_xdata()) == pytest.approx([60, 62, 61])
    assert list(whisker.get_xdata()) == pytest.approx([61 - 2.4841, 61 + 2.4841], abs=1e-3)
    assert list(dot.get_xdata()) == pytest.approx([61])
    assert dot.get_markerfacecolor() == "white"  # trained weights


def test_classes_without_images_and_protocols_that_are_missing_leave_no_column() -> None:
    group = accurate("none", "raw", [0.6, 0.62])
    bare: dict[str, Any] = {"per_class": [None] * 6, "protocols": None, "top5": None}
    group = replace(group, summaries=tuple(summary | bare for summary in group.summaries))
    (table,) = tables(sections_of("accuracy", [group])["accuracy"])
    assert table.head == ("", "top-1, %", "mean over classes, %")
    assert table.caption == ""


def test_the_hardest_class_is_the_hardest_on_average() -> None:
    group = accurate("none", "raw", [0.6, 0.62])
    shares = ([0.9, 0.8, None, 0.3, 0.7, 0.5], [0.9, 0.8, 0.1, 0.8, 0.7, 0.3])
    group = replace(
        group,
        summaries=tuple(
            summary | {"per_class": own}
            for summary, own in zip(group.summaries, shares, strict=True)
        ),
    )
    (table,) = tables(sections_of("accuracy", [group])["accuracy"])
    assert cells(table)[f"None, {RAW}"]["hardest class"] == "f 40.0"


def test_what_differs_is_claimed_from_adjusted_values_alone() -> None:
    section = sections_of("accuracy", six_groups())["significance"]
    runs, images = map(cells, tables(section))
    mixup, cutmix = runs[f"Mixup, {RAW}"], runs[f"Cutmix, {RAW}"]
    # As in test_significance: 67/36 squared points on four degrees of freedom, two methods.
    error = (67 / 36 * 2 / 3) ** 0.5
    half = largest_t_quantile(0.95, count=2, freedom=4) * error
    assert cutmix == {
        "For new runs": f"Cutmix, {RAW}", "difference, points": f"+10.00 ± {half:.2f}",
        "95 % interval": f"+{10 - half:.2f} to +{10 + half:.2f}", "p": "0.001",
        "smallest shown": "4.9", "no worse by 0.3": "yes", "R": "3",
    }  # fmt: skip
    assert mixup["difference, points"] == f"+0.33 ± {half:.2f}"
    assert (mixup["p"], mixup["no worse by 0.3"]) == ("0.94", "not shown")
    assert runs[f"Cutmix, {EMA}"]["difference, points"] == f"{MINUS}2.83 ± 0.72"  # to the EMA
    assert runs[f"Cutmix, {TEACHER}"]["difference, points"] == "+9.67 ± 1.43"  # to the EMA, too
    assert images[f"Cutmix, {RAW}"]["p Holm"] == "< 0.001"
    assert images[f"Cutmix, {RAW}"]["n"] == "400"
    for words in (
        "With trained weights: Cutmix 71.0 against 61.0: 10 points above no mixing, at every seed. "
        "Mixup 61.3 (0.3 above, at 2 of 3 seeds). Beyond chance (p = 0.001, for both methods at "
        "once): Cutmix above. Chance is not ruled out for Mixup. These 3 seeds "
        "would have shown a true difference of 4.9 points four times in five.",
        "With averaged weights (EMA): Cutmix 63.2 against 66.0: 2.8 points below the EMA of no "
        "mixing, at every seed. This is beyond chance (p = 0.003).",
        "With own teacher: Cutmix 75.7 against 66.0: 9.7 points above the EMA of no mixing",
    ):
        assert words in section.reading, words
    assert drawn(section) == ["differences", "ranks"]
    # Sums of ranks 8, 7 and 3 over three seeds: exp(-7 / 3) = 0.097.
    caption = drawings(section)["ranks"].caption
    assert caption.startswith("Mean rank by top-1 over 3 seeds")
    assert caption.endswith("p = 0.097.")


def test_intervals_over_images_are_own_less_baseline() -> None:
    """Right on every image against right on none, so that every resample is the same."""
    groups = [accurate("none", "raw", [0.0, 0.0]), accurate("a", "raw", [1.0, 1.0])]
    _, images = tables(sections_of("accuracy", groups)["significance"])
    row = cells(images)[f"A, {RAW}"]
    assert row["95 % interval, these runs"] == "+100.00 to +100.00"
    assert row["new runs and images"] == NONE  # both runs gain the same: no spread was measured
    assert row["p Holm"] == "< 0.001"
    # Where one run of two is ahead on every image, images leave no doubt, but runs drawn anew are
    # both of the one kind, or both of the other, once in four times.
    groups = [accurate("none", "raw", [0.0, 0.0]), accurate("a", "raw", [1.0, 0.0])]
    _, images = tables(sections_of("accuracy", groups)["significance"])
    row = cells(images)[f"A, {RAW}"]
    assert row["95 % interval, these runs"] == "+50.00 to +50.00"
    assert row["new runs and images"] == "0.00 to +100.00"


def test_the_figure_of_differences_has_their_intervals() -> None:
    section = sections_of("accuracy", six_groups()[:3])["significance"]
    with styled():
        (axes,) = drawings(section)["differences"].make(6.6).axes
    lines = [list(line.get_xdata()) for line in axes.get_lines()]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        f"Mixup, {RAW}", f"Cutmix, {RAW}",
    ]  # fmt: skip
    half = largest_t_quantile(0.95, count=2, freedom=4) * (67 / 36 * 2 / 3) ** 0.5
    assert lines[3] == pytest.approx([10 - half, 10 + half])
    assert lines[4] == pytest.approx([10])


def test_ranks_are_drawn_best_first() -> None:
    section = sections_of("accuracy", six_groups())["significance"]
    with styled():
        (axes,) = drawings(section)["ranks"].make(6.6).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [f"Cutmix, {RAW}", f"Mixup, {RAW}", f"None, {RAW}"]
    dots = {round(-float(line.get_ydata()[0])): float(line.get_xdata()[0])
            for line in axes.get_lines() if line.get_marker() == "o"}  # fmt: skip
    assert dots == pytest.approx({0: 1, 1: 7 / 3, 2: 8 / 3})
    # The ruler of the critical difference begins at the best rank that there can be.
    (ruler,) = [line for line in axes.get_lines() if list(line.get_ydata()) == [0.95, 0.95]]
    marks = [float(line.get_xdata()[0]) for line in axes.get_lines() if line.get_marker() == "|"]
    assert min(ruler.get_xdata()) == min(marks) == 1


def test_an_interval_alone_is_no_claim() -> None:
    """Two more questions of the same runs: what stands alone is no claim among them."""
    alone = [accurate("none", "raw", BASE), accurate("a", "raw", gained(0.015, 0.020, 0.025))]
    assert "This is beyond chance" in sections_of("accuracy", alone)["significance"].reading
    more = [accurate("b", "raw", gained(0.03, -0.03, 0)), accurate("c", "raw", gained(0, 0, 0.03))]
    section = sections_of("accuracy", [*alone, *more])["significance"]
    assert "Chance is not ruled out for any of them" in section.reading
    assert "Beyond chance" not in section.reading


def test_images_show_the_adjusted_value() -> None:
    page = page_of({"accuracy": six_groups()})
    part = page.findings.parts["accuracy"]
    part.numbers["families"][0]["methods"][1] |= {"p_images": 0.012, "p_images_holm": 0.024}
    _, images = map(cells, tables(write_accuracy(part, page)["significance"]))
    assert images[f"Cutmix, {RAW}"]["p Holm"] == "0.024"


def test_the_summary_says_which_way_is_better() -> None:
    accuracies = [accurate("none", "raw", BASE), accurate("mixup", "raw", gained(0.2, 0.205, 0.2))]
    errors = [calibrated("none", [0.02, 0.021, 0.019]), calibrated("mixup", [0.1, 0.102, 0.099])]
    findings = page_of({"accuracy": accuracies, "calibration": errors}).findings
    words = summary(findings)
    assert words.startswith("With trained weights: Mixup 81.2 against 61.0: 20 points above")
    assert f"ECE: Mixup, {RAW} worse (8.0 at +20.2 points of top-1)" in words


def test_the_baseline_is_grey_and_the_first_method_has_the_first_colour() -> None:
    shades = page_of({"accuracy": six_groups()}).shades
    assert shades["none raw"] == shades["none ema"] == BASELINE
    assert shades["mixup raw"] == method_shades(["one", "two"], None)["one"]
    assert shades["cutmix raw"] == shades["cutmix teacher"] == method_shades(["a", "b"], None)["b"]


def test_one_seed_speaks_of_checkpoints_alone() -> None:
    groups = [accurate("none", "raw", [0.6]), accurate("a", "raw", [0.7])]
    section = sections_of("accuracy", groups)["significance"]
    assert section.reading == (
        "With trained weights: A 70.0 against 60.0: 10 points above no mixing. One seed: chance "
        "cannot be judged. Intervals over images speak of these checkpoints alone."
    )
    runs, images = map(cells, tables(section))
    row = runs[f"A, {RAW}"]
    assert (row["difference, points"], row["95 % interval"], row["p"]) == (
        "+10.00",
        NONE,
        NONE,
    )
    assert (row["no worse by 0.3"], row["R"]) == (NONE, "1")
    assert images[f"A, {RAW}"]["95 % interval, these runs"].startswith("+")
    assert drawn(section) == ["differences"]
    bare = [accurate(k, "raw", [0.6], arrays=False) for k in ("none", "a")]
    assert len(tables(sections_of("accuracy", bare)["significance"])) == 1  # no arrays were kept


def test_every_number_of_the_page_stands_in_the_record() -> None:
    numbers = page_of({"accuracy": six_groups()}).findings.parts["accuracy"].numbers
    raw = numbers["families"][0]
    assert raw["weights"] == "raw"
    cutmix = raw["methods"][1]
    assert cutmix["crossed"]["mean"] == pytest.approx(0.1)
    assert cutmix["images"]["mean"] == pytest.approx(0.1)
    assert cutmix["p_images_holm"] == pytest.approx(2 / 20_000)
    assert numbers["ranking"]["mean"] == pytest.approx([8 / 3, 7 / 3, 1])
    assert numbers["ranking"]["p"] == pytest.approx(0.09697, abs=1e-5)


def test_calibration_names_its_noise_floor_and_the_split() -> None:
    groups = [calibrated("none", [0.05]), calibrated("mixup", [0.02], arrays=False)]
    section = sections_of("calibration", groups)["calibration"]
    errors, scores = map(cells, tables(section))
    none, mixup = errors[f"None, {RAW}"], errors[f"Mixup, {RAW}"]
    # All images are sure by 0.96 and right: whatever is drawn, the error is 0.04, and the interval
    # is mirrored at it.
    assert none["ECE, 15 bins, %"] == none["ECE, 10 bins, %"] == "5.00 (4.00 to 4.00)"
    assert mixup["ECE, 15 bins, %"] == "2.00"  # no arrays were kept
    assert none["noise floor, %"] == "1.10"
    assert none["ECE as published, %"] == "2.50"
    assert (
        "sorts accuracies and confidences of the bins each by itself" in tables(section)[0].caption
    )
    assert none["equal mass, %"] == "5.10"
    assert none["per class, %"] == "0.40"
    assert none["root mean square, %"] == "7.00"
    assert none["largest bin, %"] == "10.0"
    assert none["too much confidence, points"] == "+5.0"
    row = scores[f"Mixup, {RAW}"]
    assert (row["NLL, nats"], row["Brier, 0 to 2"], row["entropy, nats"]) == (
        "1.234", "0.400", "0.600",
    )  # fmt: skip
    assert row["mean confidence, %"] == "80.0"
    assert (row["temperature"], row["ECE, 15 bins, after it, %"]) == ("1.25", "1.00")
    assert row["NLL after it, nats"] == "1.100"
    assert "fitted on 8 of them, drawn with seed 3, and judged on the other 12" in section.protocol
    assert "over images" in section.protocol
    assert drawn(section) == ["reliability"]


def test_calibration_of_several_runs() -> None:
    groups = [calibrated(f"m{k}", [0.05, 0.04]) for k in range(4)]
    section = sections_of("calibration", groups)["calibration"]
    assert "over runs" in section.protocol
    # 4.5 ± 12.706 * 0.7071 / sqrt(2), cut off at 0
    assert cells(tables(section)[0])[f"M0, {RAW}"]["ECE, 15 bins, %"] == "4.50 (0.00 to 10.85)"
    assert drawn(section) == ["reliability"]
    whole = groups[0].summaries[0] | {"temperature": None}
    del whole["ece_sorted"]  # as in records of older versions
    bare = made_group("none", "raw", [whole])
    section = sections_of("calibration", [bare])["calibration"]
    assert "ECE as published, %" not in tables(section)[0].head
    assert "published" not in tables(section)[0].caption
    row = cells(tables(section)[1])[f"None, {RAW}"]
    assert row["temperature"] == row["NLL after it, nats"] == NONE
    assert "fitted" not in section.protocol


def test_the_diagram_shows_the_pooled_bins_of_the_record() -> None:
    page = page_of({"calibration": [calibrated("none", [0.05, 0.15])]})
    part = page.findings.parts["calibration"]
    low, high = part.numbers["pooled"]["none raw"]
    assert (low["count"], high["count"]) == (20, 20)
    assert high["accuracy"] == pytest.approx(0.76)
    section = write_calibration(part, page)["calibration"]
    with styled():
        main, strip = drawings(section)["reliability"].make(3.7).axes
    heights = [bar.get_height() for bar in main.patches]
    assert heights == pytest.approx([50, 0, 76, 20])  # accuracy, then the gap to the confidence
    assert [bar.get_height() for bar in strip.patches] == pytest.approx([0.5, 0.5])
    assert [bar.get_x() for bar in strip.patches] == pytest.approx([100 * 7 / 15, 100 * 14 / 15])
    assert [text.get_text() for text in main.texts] == ["ECE 10.0 %"]


def test_gap_has_both_sides() -> None:
    found = {"train": {"top1": 0.9, "nll": 0.2, "images": 50}, "of": 70, "seed": 0,
             "test": {"top1": 0.7, "nll": 0.9, "images": 20}, "top1_gap": 0.2,
             "nll_gap": 0.7}  # fmt: skip
    section = sections_of("gap", [made_group("a", "", [found])])["gap"]
    assert section.protocol.startswith("50 of the 70 training images")
    (table,) = tables(section)
    assert table.rows == (("A", "90.0", "70.0", "+20.0", "0.200", "0.900", "0.700"),)
    whole = sections_of("gap", [made_group("a", "", [found | {"of": 50}])])["gap"]
    assert whole.protocol.startswith("All 50 training images")
