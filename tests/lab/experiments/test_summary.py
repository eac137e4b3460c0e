"""From result files to the record: intervals, pairs by seed, medians of steps."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from mixwright.lab.analysis.comparison import Comparison, Failure, read_comparison, write_comparison
from mixwright.lab.analysis.significance_of_comparison import judged
from mixwright.lab.experiments.summary import summarise
from scipy import stats

from mixwright.lab.experiments.grid import Planned, plan_runs
from mixwright.lab.experiments.methods import parse_methods

TOP1 = {"none": [0.80, 0.82, 0.84], "mixup": [0.83, 0.84, 0.88]}
STEP = {"none": [0.010, 0.011, 0.030], "mixup": [0.012, 0.0132, 0.5]}
SETTINGS = {"epochs": 2, "warmup_epochs": 0}


def finish(run: Planned, top1: float, step: float, **more: object) -> None:
    scores = {"top1": top1, "top5": 1.0, "nll": 1 - top1, "ece": 0.1, "count": 10}
    result = {
        "seed": run.recipe.seed,
        "commit": "abc",
        "mixwright": "0",
        "torch": "2",
        "machine": {"device": "cpu"},
        "raw": scores,
        "ema": {**scores, "top1": top1 + 0.01},
        "best": {"raw": {**scores, "epoch": 1}, "ema": {**scores, "epoch": 2}},
        "step_seconds": step,
        "seconds": 2.0,
        "parameters": 7,
        **more,
    }
    run.folder.mkdir(parents=True)
    (run.folder / "result.json").write_text(json.dumps(result))


def plan(out: Path, *methods: str, seeds: int = 3) -> list[Planned]:
    return plan_runs(parse_methods(methods), SETTINGS, seeds=seeds, out=out)


def record(out: Path, runs: list[Planned]) -> Comparison:
    failures = (Failure("x", "y"),)
    data = {"name": "digits", "train": 100}
    return summarise(runs, failures, data=data, command="c", parallel=2, out=out)


def test_runs_are_planned_seed_by_seed(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", seeds=2)
    assert [(run.method.text, run.recipe.seed) for run in runs] == [
        ("none", 0), ("mixup", 0), ("none", 1), ("mixup", 1),
    ]  # fmt: skip
    assert len({run.folder for run in runs}) == 4
    assert runs[1].folder.name.startswith("mixup-s0-")
    again = plan(tmp_path, "mixup", "cutmix", seeds=1)
    assert again[0].folder == runs[1].folder  # other methods beside it change nothing
    with pytest.raises(ValueError, match="seeds is 0"):
        plan(tmp_path, "none", seeds=0)


def test_intervals_and_paired_differences(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup")
    for run in runs:
        text, seed = run.method.text, run.recipe.seed
        finish(run, TOP1[text][seed], STEP[text][seed])
    made = record(tmp_path, runs)
    none, mixup = made.methods
    assert made.baseline == "none"
    assert none.difference_raw is None
    assert none.relative_step == 1.0
    assert mixup.relative_step == pytest.approx(1.2)  # medians 0.011 and 0.0132
    difference = mixup.difference_raw
    assert difference is not None
    pairs = [own - base for own, base in zip(TOP1["mixup"], TOP1["none"], strict=True)]
    low, high = stats.t.interval(0.95, 2, loc=sum(pairs) / 3, scale=stats.sem(pairs))
    assert (difference.low, difference.high) == (pytest.approx(low), pytest.approx(high))
    assert mixup.raw["top1"].mean == pytest.approx(0.85)
    assert mixup.ema["top1"].mean == pytest.approx(0.86)
    assert (made.seconds, made.parallel, made.parameters) == (12.0, 2, 7)
    assert not {"method", "seed"} & set(made.recipe)


def test_p_values_are_adjusted_for_all_methods(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", "cutmix", "fmix")
    gains = {"none": [0, 0, 0], "mixup": [3, 2, 4], "cutmix": [1, 2, -1], "fmix": [-6, -5, -5]}
    for run in runs:
        text, seed = run.method.text, run.recipe.seed
        more = {"teacher": teacher(TOP1["none"][seed] + 0.02)} if text == "fmix" else {}
        finish(run, TOP1["none"][seed] + gains[text][seed] / 100, 0.01, **more)
    made = record(tmp_path, runs)
    none, *others = made.methods
    assert none.p == none.p_holm == {}
    p = {one.text: float(stats.ttest_1samp(gains[one.text], 0).pvalue) for one in others}
    for one in others:
        assert one.p["raw"] == pytest.approx(p[one.text])
    assert p["fmix"] < p["mixup"] < p["cutmix"]
    adjusted = [one.p_holm["raw"] for one in others]
    assert adjusted == pytest.approx([2 * p["mixup"], p["cutmix"], 3 * p["fmix"]])
    # Runs that agree to the last digit say nothing of how sure they are.
    assert math.isnan(others[2].p_holm["teacher"])
    assert math.isnan(others[2].p["teacher"])
    assert "teacher" not in others[0].p
    assert made.ranking is not None
    assert made.ranking.methods == ("none", "mixup", "cutmix", "fmix")
    assert made.ranking.mean == pytest.approx((8 / 3, 7 / 6, 13 / 6, 4.0))  # 82 + 2 twice
    assert made.ranking.seeds == (0, 1, 2)
    assert made.ranking.distance == pytest.approx(2.569 * math.sqrt(20 / 18), abs=1e-2)
    write_comparison(tmp_path / "comparison.json", made)
    assert read_comparison(tmp_path) == made


def test_ranks_want_three_methods_and_three_common_seeds(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", "cutmix")
    for run in runs:
        if (run.method.text, run.recipe.seed) != ("cutmix", 1):
            finish(run, 0.5 + 0.01 * run.recipe.seed, 0.01)
    assert record(tmp_path, runs).ranking is None
    finish(next(run for run in runs if not run.finished), 0.5, 0.01)
    ranking = record(tmp_path, runs).ranking
    assert ranking is not None
    assert record(tmp_path, runs[:2]).ranking is None


def test_medians_of_the_last_epochs_stand_beside_the_last(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", seeds=2)
    for run in runs:
        finish(run, 0.5, 0.01)
        if run.method.text == "none":
            lines = [
                {"epoch": e, "test": {"raw": {"top1": (e + run.recipe.seed) / 100, "top5": None}}}
                for e in range(1, 21)
            ]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (run.folder / "metrics.jsonl").write_text(text)
    none, mixup = record(tmp_path, runs).methods
    assert none.runs[0].protocols["raw"]["median10"]["top1"] == pytest.approx(0.155)
    assert none.runs[0].protocols["raw"]["median11_compat"]["top1"] == pytest.approx(0.15)
    assert none.median["raw"].mean == pytest.approx(0.16)
    assert none.median["raw"].count == 2
    assert "ema" not in none.median
    assert mixup.median == {}
    assert mixup.runs[0].protocols == {}


def test_records_of_before_are_read_and_can_be_judged() -> None:
    home = Path(__file__).parents[3] / "benchmarks" / "results"
    for name in ("cifar10-resnet8", "cifar10-resnet8-looking"):
        old = read_comparison(home / name)
        assert all(not method.p_holm for method in old.methods)
        new = judged(old)
        others = [method for method in new.methods if method.text != "none"]
        assert all(0 <= one.p["raw"] <= one.p_holm["raw"] <= 1 for one in others)
        for one in others:
            assert one.difference_raw is not None
            alone = one.difference_raw.low > 0 or one.difference_raw.high < 0
            assert alone == (one.p["raw"] < 0.05)  # the interval and the test are one thing


def test_a_seed_that_is_missing_is_in_no_pair(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup")
    for run in runs:
        text, seed = run.method.text, run.recipe.seed
        if (text, seed) not in (("none", 1), ("mixup", 2)):
            finish(run, TOP1[text][seed], STEP[text][seed])
    mixup = record(tmp_path, runs).methods[1]
    assert [run.seed for run in mixup.runs] == [0, 1]
    assert mixup.difference_raw is not None
    assert mixup.difference_raw.mean == pytest.approx(0.03)
    assert math.isnan(mixup.difference_raw.low)  # one pair


def test_without_baseline_and_without_runs(tmp_path: Path) -> None:
    runs = plan(tmp_path, "mixup", seeds=1)
    with pytest.raises(ValueError, match="no run has finished"):
        record(tmp_path, runs)
    finish(runs[0], 0.5, 0.01)
    made = record(tmp_path, runs)
    assert made.baseline is None
    assert made.methods[0].relative_step is None


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", seeds=2)
    for run in runs:
        finish(run, TOP1[run.method.text][run.recipe.seed], 0.01)
    made = record(tmp_path, runs)
    write_comparison(tmp_path / "comparison.json", made)
    assert read_comparison(tmp_path) == made
    assert json.loads((tmp_path / "comparison.json").read_text())["methods"][0]["text"] == "none"

    one = record(tmp_path, runs[:1])  # one seed: an interval without ends
    write_comparison(tmp_path / "one.json", one)
    assert "NaN" not in (tmp_path / "one.json").read_text()
    assert math.isnan(read_comparison(tmp_path / "one.json").methods[0].raw["top1"].low)


def teacher(top1: float) -> dict[str, float]:
    return {"top1": top1, "top5": 1.0, "nll": 0.3, "ece": 0.1, "count": 10}


def test_a_teacher_is_set_against_the_average_of_the_baseline(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup")
    gains = [0.02, 0.03, 0.07]
    alarm = {"said": "flat", "first": 1, "last": 2}
    for run in runs:
        text, seed = run.method.text, run.recipe.seed
        more = {} if text == "none" else {"teacher": teacher(TOP1["none"][seed] + gains[seed])}
        more |= {"alarms": [alarm]} if (text, seed) == ("mixup", 1) else {}
        finish(run, TOP1[text][seed], 0.01, **more)
    made = record(tmp_path, runs)
    none, mixup = made.methods
    assert none.teacher == {}
    assert none.difference_teacher is None
    assert mixup.teacher["top1"].mean == pytest.approx(0.86)
    assert mixup.teacher["ece"].mean == pytest.approx(0.1)
    assert mixup.difference_teacher is not None
    # The averaged weights of the baseline are better than its trained ones by 0.01.
    pairs = [gain - 0.01 for gain in gains]
    low, high = stats.t.interval(0.95, 2, loc=sum(pairs) / 3, scale=stats.sem(pairs))
    assert mixup.difference_teacher.mean == pytest.approx(0.03)
    assert mixup.difference_teacher.low == pytest.approx(low)
    assert mixup.difference_teacher.high == pytest.approx(high)
    assert [run.alarms for run in mixup.runs] == [[], [alarm], []]
    write_comparison(tmp_path / "comparison.json", made)
    assert read_comparison(tmp_path) == made


def test_runs_of_which_one_has_no_teacher_have_no_interval_of_it(tmp_path: Path) -> None:
    runs = plan(tmp_path, "mixup", seeds=2)
    finish(runs[0], 0.5, 0.01, teacher=teacher(0.5))
    finish(runs[1], 0.5, 0.01, teacher=None)
    method = record(tmp_path, runs).methods[0]
    assert method.teacher == {}
    assert [run.teacher is None for run in method.runs] == [False, True]


def test_a_record_of_before_there_were_teachers_is_read(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", seeds=2)
    for run in runs:
        finish(run, TOP1[run.method.text][run.recipe.seed], 0.01)
    made = record(tmp_path, runs)
    write_comparison(tmp_path / "comparison.json", made)
    old = json.loads((tmp_path / "comparison.json").read_text())
    for method in old["methods"]:
        del method["teacher"], method["difference_teacher"]
        del method["median"], method["p"], method["p_holm"]
        for run in method["runs"]:
            del run["teacher"], run["alarms"], run["protocols"]
    del old["ranking"]
    (tmp_path / "comparison.json").write_text(json.dumps(old))
    assert judged(read_comparison(tmp_path)) == made


@pytest.mark.parametrize("text", ["", "[]", '{"format": 99}', "{"])
def test_a_file_that_is_no_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "comparison.json").write_text(text)
    with pytest.raises(ValueError, match=r"comparison\.json"):
        read_comparison(tmp_path)
    with pytest.raises(ValueError, match="no such file"):
        read_comparison(tmp_path / "nowhere.json")
