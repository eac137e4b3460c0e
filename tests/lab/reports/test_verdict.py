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
from mixwright.lab.analysis.findings import Difference, Findings, Part
from mixwright.lab.analysis.statistics import Interval
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


def against(findings: Findings, **found: tuple[float, float, float]) -> Findings:
    """Findings whose methods have these ends of an interval and this adjusted p-value."""
    return with_scores(
        findings,
        **{
            f"{method}_raw": replace(
                group_of(findings, f"{method} raw"),
                differences={
                    "top1": Difference(interval=interval(low, high), p=p_holm / 4, p_holm=p_holm)
                },
            )
            for method, (low, high, p_holm) in found.items()
        },
    )


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


def test_verdict_says_what_is_noise(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, methods=("none", "mixup", "cutmix", "fmix", "hmix"), seeds=3)
    made = against(
        made,
        mixup=(-0.01, 0.02, 1.0),
        cutmix=(0.01, 0.03, 0.0123),
        fmix=(-0.03, -0.01, 0.0004),
        hmix=(0.001, 0.03, 0.08),  # its interval alone leaves zero out
    )
    assert verdict(made.parts["scores"]).startswith(
        "Trained weights against no mixing, paired by seed and corrected for 4 methods (Holm): "
        f"CutMix is ahead (+2.0 ± 1.0 points, p_Holm = 0.012); FMix is behind ({MINUS}2.0 ± 1.0 "
        "points, p_Holm < 0.001); MixUp and HMix are not distinguishable from no mixing at 3 "
        "seeds. EMA against the EMA of no mixing, paired by seed and corrected"
    )
    table = table_of(made)
    assert clear(table, 2) == [False, False, True, True, False]
    assert column(table, 3) == [NONE, "1.00", "0.012", "< 0.001", "0.080"]
    assert column(table, 2) == [NONE, "+0.5 ± 1.5", "+2.0 ± 1.0", f"{MINUS}2.0 ± 1.0", "+1.6 ± 1.4"]
    assert "the interval of HMix leaves zero out; among 4 such" in " ".join(caveats(made))


def test_verdict_on_one_method_speaks_of_no_correction(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, methods=("none", "mixup"), seeds=3)
    assert verdict(against(made, mixup=(-0.01, 0.02, 0.5)).parts["scores"]).startswith(
        "Trained weights against no mixing, paired by seed: MixUp is not distinguishable from no "
        "mixing at 3 seeds. EMA against"
    )


def test_verdict_names_the_weights_that_are_best(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, methods=("none", "mixup"), seeds=3)
    for weights, words in (("raw", "trained weights"), ("ema", "EMA")):
        key = f"mixup {weights}"
        best = replace(
            group_of(made, key),
            intervals={**group_of(made, key).intervals, "top1": Interval(0.999, 0.99, 1, 3, 0.1)},
        )
        found = with_scores(made, **{f"mixup_{weights}": best})
        assert verdict(found.parts["scores"]).endswith(
            f"The highest mean top-1 is that of MixUp, {words}."
        )


def test_verdict_says_where_no_spread_was_measured(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, methods=("none", "mixup", "cutmix"), seeds=3)
    still = replace(
        group_of(made, "mixup raw"),
        differences={
            "top1": Difference(
                interval=Interval(0.01, math.nan, math.nan, 3, 0.0), p=math.nan, p_holm=math.nan
            )
        },
    )
    text = verdict(with_scores(made, mixup_raw=still).parts["scores"])
    assert (
        "MixUp differs by +1.0 points in every seed: no spread was measured, so no chance can be "
        "given."
    ) in text
    assert text.startswith("Trained weights against no mixing, paired by seed: CutMix is")


def test_caveats_name_the_methods_that_have_one_seed(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, methods=("none", "mixup"), seeds=3)
    group = group_of(made, "mixup raw")
    short = with_scores(made, mixup_raw=replace(group, seeds=group.seeds[:1]))
    text = " ".join(caveats(short))
    assert "MixUp has one seed: no interval can be given" in text
    assert "Student's t over 3 seeds" in text
    assert "One seed per method" not in text
    alone, _ = fabricate(tmp_path / "alone", methods=("none", "mixup"), seeds=1)
    assert "One seed per method" in " ".join(caveats(alone))


def test_verdict_claims_nothing_without_adjusted_values(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, methods=("none", "mixup", "cutmix"), seeds=3)
    unknown = against(made, mixup=(0.01, 0.02, math.nan), cutmix=(0.01, 0.02, math.nan))
    assert "ahead" not in verdict(unknown.parts["scores"])
    assert not any(clear(table_of(unknown), 2))
    assert column(table_of(unknown), 3) == [NONE] * 3


def test_verdict_without_ground_to_judge(tmp_path: Path) -> None:
    def of(*methods: str, seeds: int = 3) -> str:
        place = tmp_path / "-".join(methods)
        return verdict(fabricate(place, methods=methods, seeds=seeds)[0].parts["scores"])

    assert "One seed gives no interval" in of("none", "mixup", seeds=1)
    assert "no differences to judge" in of("mixup")
    assert "nothing to compare" in of("none")


def test_caveats_follow_the_record(tmp_path: Path) -> None:
    made, _ = fabricate(tmp_path, seeds=3)
    text = " ".join(caveats(made))
    assert "Student's t over 3 seeds" in text
    assert "worse than without mixing for 6 of 6" in text  # made so by fabricate
    assert "taken in turn on this machine" in text
    assert "after the 80 steps of such a run it spans about the last 10" in text
    assert "6 methods are compared with one baseline" in text
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
    assert column(quality, 3)[2] == "2.0 ± 0.0"
    assert column(quality, 6)[2] == "0.450 ± 0.000"
    own = group_of(made, "fmix teacher")
    sure = {"top1": Difference(interval=interval(0.01, 0.03), p=0.01, p_holm=0.01)}
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
    assert table.head == (
        "Method", "trained", "EMA", "teacher", "trained", "EMA", "teacher",
    )  # fmt: skip
    # ECE of the trained weights is 3, 5, 7 points, of the EMA half a point more; NLL rises by
    # 0.04 from 0.5, and that of the EMA by 0.03 from 0.51.
    assert column(table, 1) == ["3.0 ± 0.0", "5.0 ± 0.0", "7.0 ± 0.0"]
    assert column(table, 2) == ["3.5 ± 0.0", "5.5 ± 0.0", "7.5 ± 0.0"]
    assert column(table, 4) == ["0.500 ± 0.000", "0.540 ± 0.000", "0.580 ± 0.000"]
    assert column(table, 5) == ["0.510 ± 0.000", "0.540 ± 0.000", "0.570 ± 0.000"]


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


def test_seeds_that_are_not_shared_are_not_called_one_seed() -> None:
    groups = (
        made_group("none", "raw", [{"top1": 0.5}], seeds=[0], baseline=True),
        made_group("mixup", "raw", [{"top1": 0.6}, {"top1": 0.7}], seeds=[1, 2]),
    )
    assert verdict(Part(groups=groups)) == (
        "No method shares two seeds with no mixing: no difference can be told from chance."
    )
    one = (groups[0], made_group("mixup", "raw", [{"top1": 0.6}], seeds=[0]))
    assert verdict(Part(groups=one)).startswith("One seed gives no interval")


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
