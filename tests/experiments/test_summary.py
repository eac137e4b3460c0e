"""From result files to the record: intervals, pairs by seed, medians of steps."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from scipy import stats

from mixwright.experiments.grid import Planned, plan_runs
from mixwright.experiments.methods import parse_methods
from mixwright.experiments.record import Comparison, Failure, read_comparison, write_comparison
from mixwright.experiments.summary import summarise

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
        for run in method["runs"]:
            del run["teacher"], run["alarms"]
    (tmp_path / "comparison.json").write_text(json.dumps(old))
    assert read_comparison(tmp_path) == made


@pytest.mark.parametrize("text", ["", "[]", '{"format": 99}', "{"])
def test_a_file_that_is_no_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "comparison.json").write_text(text)
    with pytest.raises(ValueError, match=r"comparison\.json"):
        read_comparison(tmp_path)
    with pytest.raises(ValueError, match="no such file"):
        read_comparison(tmp_path / "nowhere.json")
