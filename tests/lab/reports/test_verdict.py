"""What a comparison's page and terminal say of its numbers, and what they must not say."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

from lab.reports.fabricated import (
    RECIPE,
    compared,
    fabricate,
    finish,
    group_of,
    page_of,
    scores,
    warnings_of,
    with_scores,
)
from lab.reports.pages import made_group
from mixwright.lab.analysis.findings import Findings, Group, Part
from mixwright.lab.analysis.measures import with_statistics
from mixwright.lab.analysis.statistics import Contrast, Interval
from mixwright.lab.experiments.grid import plan_runs
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.reports.caveats import caveats
from mixwright.lab.reports.comparison_page import closing, heading
from mixwright.lab.reports.formatting import MINUS, NONE
from mixwright.lab.reports.section import Cell, Table
from mixwright.lab.reports.sections.scores import write
from mixwright.lab.reports.sections.warnings import where
from mixwright.lab.reports.verdict import verdict


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 3, 0.0)


def judged(low: float, high: float, p: float) -> dict[str, Contrast]:
    """A difference in top-1 with these ends of its interval and this p-value."""
    found = interval(low, high)
    return {"top1": Contrast(interval=found, p=p, own=0.8, baseline=0.8 - found.mean, above=3,
                             below=0, detectable=0.02, freedom=8, pooled=True)}  # fmt: skip


def against(findings: Findings, **found: tuple[float, float, float]) -> Findings:
    """Findings whose methods have these ends of an interval and this p-value."""
    return with_scores(
        findings,
        **{
            f"{method}_raw": replace(
                group_of(findings, f"{method} raw"), differences=judged(low, high, p)
            )
            for method, (low, high, p) in found.items()
        },
    )


def part(**tops: list[float] | dict[str, list[float]]) -> Part:
    """Scores of methods by seed: of trained weights, or by set of weights."""
    groups: list[Group] = []
    for method, found in tops.items():
        by_weights = found if isinstance(found, dict) else {"raw": found}
        groups += [
            made_group(method, weights, [{"top1": top1} for top1 in scores],
                       baseline=method == "none")
            for weights, scores in by_weights.items()
        ]  # fmt: skip
    return Part(groups=with_statistics(groups))


def table_of(findings: Findings, section: str = "accuracy") -> Table:
    table = write(findings.parts["scores"], page_of((findings, {})))[section].blocks[0]
    assert isinstance(table, Table)
    assert all(len(row) == len(table.head) for row in table.rows)
    return table


def column(table: Table, place: int) -> list[str]:
    return [cell.text if isinstance(cell, Cell) else cell for row in table.rows
            for cell in [row[place]]]  # fmt: skip


def clear(table: Table, place: int) -> list[bool]:
    return [isinstance(row[place], Cell) and row[place].clear for row in table.rows]


def test_effects_come_first_and_chance_after() -> None:
    # Differences of 3.5 and 5.1 points: t = 4.3 / 0.8 with one degree of freedom, so
    # p = 1 - 2 / pi * atan(5.375) = 0.117.
    assert verdict(part(none=[0.642, 0.634], hmix=[0.677, 0.685])).startswith(
        "Hmix 68.1 against 63.8: 4.3 points above no mixing, at both seeds. Chance is not "
        "ruled out (p = 0.12). These 2 seeds would have shown a true difference of "
    )
    assert verdict(part(none=[0.512, 0.510, 0.514], cutmix=[0.290, 0.292, 0.288])).startswith(
        "Cutmix 29.0 against 51.2: 22 points below no mixing, at every seed. This is beyond chance"
    )


def test_a_verdict_on_several_methods() -> None:
    base = [0.60, 0.62, 0.61]
    text = verdict(
        part(
            none=base,
            a=[top1 + gain for top1, gain in zip(base, (0.040, 0.042, 0.041), strict=True)],
            b=[top1 + gain for top1, gain in zip(base, (-0.031, -0.030, -0.029), strict=True)],
            c=[top1 + gain for top1, gain in zip(base, (0.001, -0.003, -0.001), strict=True)],
        )
    )
    assert text.startswith(
        "A 65.1 against 61.0: 4.1 points above no mixing, at every seed. C 60.9 (0.1 below, at 2 "
        "of 3 seeds) and B 58.0 (3.0 below, at every seed). Beyond chance (p < 0.001, for all 3 "
        "methods at once): A above; B below. Chance is not ruled out for C."
    )
    assert "distinguish" not in text


def test_seeds_that_would_show_a_difference_are_named() -> None:
    found = part(none=[0.642, 0.634], hmix=[0.677, 0.685])
    assert verdict(found, {"hmix raw": 4}).endswith("to show the 4.3 of Hmix takes about 4.")
    assert verdict(found, {"hmix raw": None}).endswith(
        "no number of seeds in reach would show the 4.3 of Hmix."
    )


def test_twenty_methods_stay_readable() -> None:
    base, wobbles = [0.60, 0.62, 0.61], [0.001, 0.0, -0.001, 0.001, 0.0]
    methods = {
        f"m{place:02}": [
            top1 + 0.01 * (10 - place) + wobble
            for top1, wobble in zip(base, wobbles[place % 3 :], strict=False)
        ]
        for place in range(20)
    }
    text = verdict(part(none=base, **methods))
    assert text.startswith(
        "Best of 20: M00 71.0 against 61.0: 10 points above no mixing, at every seed. M01 70.0 "
        "(9.0 above) and M02 69.0 (8.0 above), each at every seed. 15 more lie between 7.0 below "
        "and 7.0 above. Last: M18 53.0 (8.0 below) and M19 52.0 (9.0 below), each at every seed. "
        "Beyond chance (p < 0.001, for all 20 methods at once): M00, M01, M02 and 7 more above; "
        "M11, M12, M13 and 6 more below. Chance is not ruled out for M10."
    )
    assert len(text) < 700


def test_methods_of_one_seed_are_named_without_a_judgement() -> None:
    """Two seeds of two methods, one seed of two more."""
    text = verdict(part(none=[0.642, 0.638], hmix=[0.677, 0.681], cutmix=[0.656], miamix=[0.669]))
    assert text.startswith(
        "Hmix 67.9 against 64.0: 3.9 points above no mixing, at both seeds. Miamix 66.9 against "
        "64.2 (2.7 above) and Cutmix 65.6 against 64.2 (1.4 above). "
    )
    assert text.endswith("Cutmix and Miamix: one seed, so chance cannot be judged.")
    one = verdict(part(none=[0.642], cutmix=[0.656]))
    assert one == (
        "Cutmix 65.6 against 64.2: 1.4 points above no mixing. One seed: chance cannot be judged."
    )


def test_a_method_that_varies_more_is_said_to_be_judged_apart() -> None:
    base = [0.60, 0.62, 0.61]
    fine = {name: [top1 + 0.02 + 0.001 * ((place + seed) % 3) for seed, top1 in enumerate(base)]
            for place, name in enumerate("abcd")}  # fmt: skip
    text = verdict(part(none=base, **fine, odd=[0.62, 0.10, 0.63]))
    assert "Runs of Odd vary far more than the others, so it is judged apart." in text
    assert "A, B, C and D above" in text


def test_weights_that_disagree_stand_in_one_sentence() -> None:
    found = part(
        none={"raw": [0.60, 0.62], "ema": [0.63, 0.65]},
        a={"raw": [0.58, 0.60], "ema": [0.65, 0.67], "teacher": [0.66, 0.68]},
    )
    assert verdict(found).endswith(
        "Weights disagree: A is 2.0 below with trained weights, 2.0 above with its averaged "
        "weights (EMA) and 3.0 above with its own teacher. "
        "The highest mean top-1 of all weights is 67.0: A, own teacher."
    )
    alike = part(
        none={"raw": [0.60, 0.62], "ema": [0.61, 0.63]},
        a={"raw": [0.63, 0.64], "ema": [0.62, 0.64]},
    )
    assert "disagree" not in verdict(alike)


def test_verdict_says_where_no_spread_was_measured() -> None:
    text = verdict(part(none=[0.5, 0.6, 0.7], a=[0.51, 0.61, 0.71]))
    assert text == (
        "A 61.0 against 60.0: 1.0 points above no mixing, at every seed. The difference of A is "
        "the same at every seed: no spread was measured, so chance cannot be judged."
    )


def test_a_level_method_is_neither_above_nor_below() -> None:
    assert verdict(part(none=[0.5, 0.6], a=[0.6, 0.5])).startswith(
        "A 55.0 against 55.0: level with no mixing. Chance is not"
    )


def test_a_method_that_is_nearly_level_is_level_at_no_number_of_seeds() -> None:
    close = verdict(part(none=[0.5, 0.6, 0.7], a=[0.5004, 0.6003, 0.7004], b=[0.4, 0.5, 0.6]))
    assert close.startswith(
        "A 60.0 against 60.0: level with no mixing. B 50.0 (10 below, at every seed)."
    )


def test_what_seeds_could_have_shown_is_said_of_methods_judged_apart_by_itself() -> None:
    odd = part(
        none=[0.60, 0.61, 0.605, 0.60, 0.61],
        calm=[0.60, 0.612, 0.605, 0.60, 0.611],
        even=[0.601, 0.61, 0.606, 0.60, 0.61],
        odd=[0.62, 0.10, 0.62, 0.63, 0.30],
    )
    text = verdict(odd)
    assert "These 5 seeds would have shown a true difference of 0.2 points four times in" in text
    # Differences of -15.1 on average with a deviation of 24.4: five seeds have an error of 10.9,
    # Bonferroni's quantile for three questions and four degrees of freedom is 3.96, and 5.2 errors
    # have a power of 80 %.
    assert "For Odd these 5 seeds would have shown a true difference of 57 points four" in text


def test_caveats_name_the_methods_that_have_one_seed(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, methods=("none", "mixup"), seeds=3)
    group = group_of(made, "mixup raw")
    short = with_scores(made, mixup_raw=replace(group, seeds=group.seeds[:1]))
    text = " ".join(caveats(short))
    assert "MixUp has one seed: what was seen is there, and chance cannot be judged" in text
    assert "Student's t over 3 seeds" in text
    assert "One seed per method" not in text
    alone, _ = fabricate(tmp_path / "alone", methods=("none", "mixup"), seeds=1)
    assert "One seed per method" in " ".join(caveats(alone))


def test_tables_show_what_is_beyond_chance(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, methods=("none", "mixup", "cutmix", "fmix"), seeds=3)
    found = against(
        made, mixup=(-0.01, 0.02, 0.9), cutmix=(0.01, 0.03, 0.0123), fmix=(-0.03, -0.01, 0.0004)
    )
    table = table_of(found)
    assert clear(table, 2) == [False, False, True, True]
    assert column(table, 3) == [NONE, "0.90", "0.012", "< 0.001"]
    assert column(table, 2) == [NONE, "+0.5 ± 1.5", "+2.0 ± 1.0", f"{MINUS}2.0 ± 1.0"]
    unknown = against(made, mixup=(0.01, 0.02, math.nan), cutmix=(0.01, 0.02, math.nan))
    assert clear(table_of(unknown), 2)[:3] == [False] * 3
    assert column(table_of(unknown), 3)[:3] == [NONE] * 3


def test_verdict_without_ground_to_judge(tmp_path: Path) -> None:
    assert "no differences to judge" in verdict(part(mixup=[0.5, 0.6]))
    assert "nothing to compare" in verdict(part(none=[0.5, 0.6]))
    apart = Part(
        groups=with_statistics(
            [
                made_group("none", "raw", [{"top1": 0.5}], seeds=[0], baseline=True),
                made_group("mixup", "raw", [{"top1": 0.6}, {"top1": 0.7}], seeds=[1, 2]),
            ]
        )
    )
    assert verdict(apart) == (
        "No method shares a seed with no mixing: there are no differences to judge."
    )


def test_caveats_follow_the_record(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, seeds=3)
    text = " ".join(caveats(made))
    assert "Student's t over 3 seeds" in text
    assert "worse than without mixing for 6 of 6" in text  # made so by fabricate
    assert "taken in turn on this machine" in text
    assert "after the 80 steps of such a run it spans about the last 10" in text
    assert "6 methods are compared with one baseline at once, by Dunnett's method" in text
    assert "(12 degrees of freedom)" in text  # of six methods and three seeds
    assert "fewer than ten epochs: " in text  # every other epoch was evaluated
    unmeasured, _ = fabricate(tmp_path / "not", ratios={})
    text = " ".join(caveats(unmeasured))
    assert "What training costs was not measured" in text
    assert "nothing is ranked by them" in text


def test_teachers_have_cells_of_their_own(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, methods=("none", "mixup", "fmix"), taught=("fmix",))
    table, quality = table_of(made), table_of(made, "calibration")
    assert table.spans == (
        ("", 1), ("Trained weights", 3), ("Averaged weights (EMA)", 3), ("Own teacher", 3), ("", 1),
    )  # fmt: skip
    for row in (*(row[7:10] for row in table.rows[:2]), *(row[3::3] for row in quality.rows[:2])):
        assert [str(cell) for cell in row] == [NONE] * len(row)
    # By hand, as fabricate draws them: the teacher is a point better than the trained weights,
    # the average of the baseline 0.4 points better than its own.
    raw = [summary["top1"] for summary in group_of(made, "fmix raw").summaries]
    base = [summary["top1"] for summary in group_of(made, "none raw").summaries]
    gains = [own + 0.01 - other - 0.004 for own, other in zip(raw, base, strict=True)]
    assert column(table, 7)[2].startswith(f"{100 * (sum(raw) / 3 + 0.01):.1f} ± ")
    assert column(table, 8)[2].startswith(f"+{100 * sum(gains) / 3:.1f} ± ")
    assert column(quality, 6)[2] == "2.0 ± 0.0"
    assert column(quality, 9)[2] == "0.450 ± 0.000"
    own = group_of(made, "fmix teacher")
    sure = judged(0.01, 0.03, 0.01)
    ahead = table_of(with_scores(made, fmix_teacher=replace(own, differences=sure)))
    assert clear(ahead, 8) == [False, False, True]
    assert column(ahead, 9)[2] == "0.010"
    runs = closing(page_of((made, {})))["runs"].blocks[0]
    assert isinstance(runs, Table)
    assert [cell == NONE for cell in column(runs, 4)] == [True] * 6 + [False] * 3
    assert "own teacher averages weights too" in " ".join(caveats(made))


def test_each_column_of_calibration_holds_its_own_weights(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, methods=("none", "mixup", "fmix"), taught=("fmix",))
    table = table_of(made, "calibration")
    assert table.head == ("Method", *("trained", "EMA", "teacher") * 3)
    top1 = group_of(made, "none raw").intervals["top1"].mean
    assert column(table, 1)[0].startswith(f"{100 * top1:.1f} ± ")
    # ECE of the trained weights is 3, 5, 7 points, of the EMA half a point more; NLL rises by
    # 0.04 from 0.5, and that of the EMA by 0.03 from 0.51.
    assert column(table, 4) == ["3.0 ± 0.0", "5.0 ± 0.0", "7.0 ± 0.0"]
    assert column(table, 5) == ["3.5 ± 0.0", "5.5 ± 0.0", "7.5 ± 0.0"]
    assert column(table, 7) == ["0.500 ± 0.000", "0.540 ± 0.000", "0.580 ± 0.000"]
    assert column(table, 8) == ["0.510 ± 0.000", "0.540 ± 0.000", "0.570 ± 0.000"]


def test_warnings_name_method_seeds_and_epochs(tmp_path: Path) -> None:
    fabricate(tmp_path, methods=("none", "fmix"), taught=("fmix",), seeds=2)
    settings = RECIPE | {"epochs": 20}
    runs = plan_runs(parse_methods(("none", "fmix")), settings, seeds=2, out=tmp_path)
    last = runs[-1]
    assert (last.method.text, last.recipe.seed) == ("fmix", 1)
    masks = {"message": "masks <vary> by 0.002", "first": 3, "last": 4}
    other = {"message": "too large", "first": 9, "last": 9}
    finish(last, scores(0.9), scores(0.9), warnings=(masks, other))
    made = compared(tmp_path, runs)[0]
    assert [(row.method, where(row), row.message) for row in warnings_of(made).rows] == [
        ("fmix", "seed 0, epoch 3; seed 1, epochs 3 to 4", "masks <vary> by 0.002"),
        ("fmix", "seed 1, epoch 9", "too large"),
    ]
    assert warnings_of(fabricate(tmp_path / "none", methods=("none", "fmix"))[0]).rows == ()


def test_every_run_and_the_metadata(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, methods=("none", "mixup"), seeds=2)
    page = page_of((made, {}))
    runs = closing(page)["runs"].blocks[0]
    assert isinstance(runs, Table)
    assert [row[:2] for row in runs.rows] == [
        ("No mixing", "0"), ("No mixing", "1"), ("MixUp", "0"), ("MixUp", "1"),
    ]  # fmt: skip
    first = dict(zip(runs.head, column_of_row(runs, 0), strict=True))
    top1 = group_of(made, "none raw").summaries[0]["top1"]
    assert first["top-1, %"] == f"{100 * top1:.1f}"
    assert first["EMA, %"] == f"{100 * (top1 + 0.004):.1f}"
    assert first["best epoch, %"] == f"{100 * top1:.1f} (epoch 18)"
    lines = (tmp_path / first["folder"] / "metrics.jsonl").read_text().splitlines()
    tops = [json.loads(lines[epoch - 1])["test"]["raw"]["top1"] for epoch in range(12, 21, 2)]
    assert first["median, %"] == f"{100 * sorted(tops)[2]:.1f}"
    assert (first["ECE, %"], first["NLL"], first["time"]) == ("3.0", "0.500", "9.0 s")
    assert first["folder"].startswith("runs/none-s0-")
    head = heading(page)
    words = dict(head.metadata)
    assert head.title == "1 mixing method, smallconv on digits"
    assert words["Command"] == "mixwright compare --seeds 3"
    assert "2 runs at a time" in words["Cost"]
    assert "lr 0.05" in words["Recipe"]
    assert "flip" not in words["Recipe"]
    assert "nesterov" in words["Recipe"]


def column_of_row(table: Table, place: int) -> list[str]:
    return [cell.text if isinstance(cell, Cell) else cell for cell in table.rows[place]]


def test_a_caveat_names_methods_that_work_outside_of_their_steps(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, methods=("none", "mixup", "cutmix"), seeds=2)
    numbers = json.loads(json.dumps(made.parts["cost"].numbers))
    for method, outside, ratio in zip(
        numbers["methods"], (False, True, False), (1.0, 2.04, 1.9), strict=True
    ):
        method |= {"outside": outside, "mean_ratio": ratio}
    spent = replace(made.parts["cost"], numbers=numbers)
    text = " ".join(caveats(replace(made, parts={**made.parts, "cost": spent})))
    assert "do not show all that MixUp (2.0x) cost:" in text
