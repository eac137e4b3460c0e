"""From result files to findings: intervals, pairs by seed, tests, medians of steps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy import stats

from lab.reports.fabricated import (
    RECIPE,
    compared,
    finish,
    group_of,
    page_of,
    scores,
    warnings_of,
)
from mixwright.lab.analysis.cost import Cost
from mixwright.lab.analysis.curves import AllCurves
from mixwright.lab.analysis.findings import Failure, Findings, Group
from mixwright.lab.analysis.ranking import Ranked, Ranking
from mixwright.lab.analysis.statistics import largest_t_p
from mixwright.lab.analysis.store import read_findings, tidy_table, write_findings
from mixwright.lab.experiments.grid import Planned, plan_runs
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.reports import comparison_page
from mixwright.lab.reports.caveats import caveats
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.section import Cards
from mixwright.lab.reports.sections import curves
from mixwright.lab.settings import decode

TOP1 = {"none": [0.80, 0.82, 0.84], "mixup": [0.83, 0.84, 0.88]}
STEP = {"none": [0.010, 0.011, 0.030], "mixup": [0.012, 0.0132, 0.5]}
SETTINGS = RECIPE | {"epochs": 2}


def finished(run: Planned, top1: float, step: float = 0.01, **more: object) -> None:
    """The averaged weights are better than the trained ones by a point."""
    raw, ema = scores(top1, nll=1 - top1), scores(top1 + 0.01, ece=0.2, nll=1.1 - top1)
    finish(run, raw, ema, step=step, **more)  # type: ignore[arg-type]


def plan(out: Path, *methods: str, seeds: int = 3) -> list[Planned]:
    return plan_runs(parse_methods(methods), SETTINGS, seeds=seeds, out=out)


def made_of(out: Path, runs: list[Planned]) -> Findings:
    return compared(out, runs, failures=(Failure(name="x", error="y"),))[0]


def ranking_of(findings: Findings) -> Ranking | None:
    return decode(Ranked, findings.parts["scores"].numbers, where="here").ranking


def cost_of(findings: Findings) -> Cost:
    return decode(Cost, findings.parts["cost"].numbers, where="here")


def same(found: Findings, wanted: Findings, file: Path) -> bool:
    """Whether both would be written alike; NaN is no obstacle."""
    return (
        write_findings(file / "a", found, {}).read_text()
        == write_findings(file / "b", wanted, {}).read_text()
    )


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
        finished(run, TOP1[text][seed], STEP[text][seed])
    made = made_of(tmp_path, runs)
    none, mixup = group_of(made, "none raw"), group_of(made, "mixup raw")
    assert none.baseline
    assert not mixup.baseline
    assert none.differences == {}
    assert [spent.step_ratio for spent in cost_of(made).methods] == pytest.approx(
        [1.0, 1.2]  # medians 0.011 and 0.0132
    )
    assert cost_of(made).clock is None
    assert [(spent.cost, spent.front) for spent in cost_of(made).methods] == [(None, False)] * 2
    difference = mixup.differences["top1"].interval
    pairs = [own - base for own, base in zip(TOP1["mixup"], TOP1["none"], strict=True)]
    low, high = stats.t.interval(0.95, 2, loc=sum(pairs) / 3, scale=stats.sem(pairs))
    assert (difference.low, difference.high) == (pytest.approx(low), pytest.approx(high))
    assert difference.mean == pytest.approx(0.03)  # own less that of the baseline
    assert mixup.intervals["top1"].mean == pytest.approx(0.85)
    assert group_of(made, "mixup ema").intervals["top1"].mean == pytest.approx(0.86)
    assert mixup.intervals["ece"].mean == pytest.approx(0.1)
    assert group_of(made, "mixup ema").intervals["ece"].mean == pytest.approx(0.2)
    about = made.about
    assert (about.seconds, about.details["parallel"], about.details["parameters"]) == (
        12.0, 2, 59026,
    )  # fmt: skip
    assert about.failures == (Failure(name="x", error="y"),)
    assert about.recipe is not None
    assert not {"method", "seed"} & set(about.recipe)
    assert about.recipe["lr"] == 0.05
    assert (about.data.name, about.data.train, about.data.test) == ("digits", 100, 797)
    assert mixup.folders == tuple(
        f"runs/{run.folder.name}" for run in runs if run.method.text == "mixup"
    )


def test_p_values_are_adjusted_for_all_methods(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", "cutmix", "fmix")
    gains = {"none": [0, 0, 0], "mixup": [3, 2, 4], "cutmix": [1, 2, -1], "fmix": [-6, -5, -5]}
    for run in runs:
        text, seed = run.method.text, run.recipe.seed
        more = {"teacher": scores(TOP1["none"][seed] + 0.02)} if text == "fmix" else {}
        finished(run, TOP1["none"][seed] + gains[text][seed] / 100, **more)
    made = made_of(tmp_path, runs)
    assert group_of(made, "none raw").differences == {}
    others = ("mixup", "cutmix", "fmix")
    found = {text: group_of(made, f"{text} raw").differences["top1"] for text in others}
    # Less the means of methods and of seeds, squares add up to 2 + 48/9 - 1/6 = 43/6, on six
    # degrees of freedom.
    error = (43 / 36 * 2 / 3) ** 0.5
    for text in others:
        mean = sum(gains[text]) / 3
        assert found[text].interval.mean == pytest.approx(mean / 100)
        p = largest_t_p(abs(mean) / error, count=3, freedom=6)
        assert found[text].p == pytest.approx(p)
    assert found["fmix"].p < found["mixup"].p < 0.05 < found["cutmix"].p
    assert (found["cutmix"].above, found["cutmix"].below) == (2, 1)
    # Runs that agree to the last digit say nothing of how sure they are.
    taught = group_of(made, "fmix teacher").differences["top1"]
    assert math.isnan(taught.p)
    assert made.parts["scores"].group("mixup teacher") is None
    ranking = ranking_of(made)
    assert ranking is not None
    assert ranking.keys == ("none raw", "mixup raw", "cutmix raw", "fmix raw")
    assert ranking.mean == pytest.approx((8 / 3, 7 / 6, 13 / 6, 4.0))  # 82 + 2 twice
    assert ranking.seeds == (0, 1, 2)
    assert ranking.distance == pytest.approx(2.569 * math.sqrt(20 / 18), abs=1e-2)
    assert same(read_findings(write_findings(tmp_path, made, {})), made, tmp_path)


def test_ranks_want_three_methods_and_three_common_seeds(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", "cutmix")
    for run in runs:
        if (run.method.text, run.recipe.seed) != ("cutmix", 1):
            finished(run, 0.5 + 0.01 * run.recipe.seed)
    assert ranking_of(made_of(tmp_path, runs)) is None
    finished(next(run for run in runs if not run.finished), 0.5)
    assert ranking_of(made_of(tmp_path, runs)) is not None
    assert ranking_of(made_of(tmp_path, runs[:2])) is None


@pytest.mark.parametrize(
    ("damage", "missing"),
    [
        (lambda file: None, 0),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), 1),  # the last line is cut short
        (lambda file: file.write_bytes(b"\xff\xfe" + file.read_bytes()), 1),
        (lambda file: file.write_bytes(bytes(range(256))), 2),
        (lambda file: file.unlink(), 2),
        (lambda file: (file.unlink(), file.mkdir()), 2),
    ],
)
def test_epochs_that_are_damaged_are_named(
    tmp_path: Path, damage: Callable[[Path], object], missing: int
) -> None:
    runs = plan(tmp_path, "none", seeds=1)
    finished(runs[0], 0.5)
    file = runs[0].folder / "metrics.jsonl"
    lines = [
        {"epoch": e, "train": {"accuracy": 0.5}, "test": {"raw": {"top1": e / 10, "top5": None}}}
        for e in (1, 2)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    damage(file)
    said: list[str] = []
    made, _ = compared(tmp_path, runs, say=said.append)
    assert group_of(made, "none raw").intervals["top1"].mean == 0.5
    assert len(said) == (missing > 0)
    if missing:
        assert said[0].startswith(
            f"none, seed 0: {missing} of 2 epochs are missing or damaged in {file}; "
        )


def test_a_method_that_lost_all_its_epochs_has_an_empty_card(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", seeds=1)
    for run in runs:
        finished(run, 0.5)
    line = {"epoch": 1, "train": {"accuracy": 0.5}, "test": {"raw": {"top1": 0.5, "top5": None}}}
    (runs[1].folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    (runs[0].folder / "metrics.jsonl").write_bytes(bytes(range(256)))
    page = page_of(compared(tmp_path, runs))
    (block,) = curves.write(page.findings.parts["curves"], page)["curves"].blocks
    assert isinstance(block, Cards)
    with styled():
        axes = [card.make().axes[0] for card in block.cards[:1]]
    assert not any(len(line.get_xdata()) for one in axes for line in one.lines)


def test_a_result_of_a_newer_format_is_left_out_by_name(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", seeds=1)
    for run in runs:
        finished(run, 0.5)
    (runs[1].folder / "result.json").write_text('{"format": 99}')
    assert runs[1].finished  # it is not done anew
    said: list[str] = []
    made, _ = compared(tmp_path, runs, say=said.append)
    assert [group.key for group in made.parts["scores"].groups] == ["none raw", "none ema"]
    assert any(one.startswith("mixup, seed 0 is left out: ") and "99" in one for one in said)


@pytest.mark.parametrize("text", ["", '{"format": 2', "[]", "\0", '{"format": 2, "seed": 0}'])
def test_a_run_whose_result_is_damaged_has_not_finished(tmp_path: Path, text: str) -> None:
    (run,) = plan(tmp_path, "none", seeds=1)
    finished(run, 0.5)
    assert run.finished
    (run.folder / "result.json").write_text(text)
    assert not run.finished
    (run.folder / "result.json").unlink()
    (run.folder / "result.json").mkdir()
    assert not run.finished


def test_medians_of_the_last_epochs_stand_beside_the_last(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", seeds=2)
    for run in runs:
        finished(run, 0.5)
        if run.method.text == "none":
            lines = [
                {
                    "epoch": e,
                    "train": {"accuracy": 0.5},
                    "test": {"raw": {"top1": (e + run.recipe.seed) / 100, "top5": None}},
                }
                for e in range(1, 21)
            ]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (run.folder / "metrics.jsonl").write_text(text)
    made = made_of(tmp_path, runs)
    none = group_of(made, "none raw")
    protocols = none.summaries[0]["protocols"]
    assert protocols["median10"]["top1"] == pytest.approx(0.155)
    assert protocols["median11_compat"]["top1"] == pytest.approx(0.15)
    median = none.intervals["protocols.median10.top1"]
    assert median.mean == pytest.approx(0.16)
    assert median.count == 2
    assert group_of(made, "none ema").summaries[0]["protocols"] == {}
    mixup = group_of(made, "mixup raw")
    assert [summary["protocols"] for summary in mixup.summaries] == [{}, {}]
    assert not [path for path in mixup.intervals if path.startswith("protocols")]


def test_a_seed_that_is_missing_is_in_no_pair(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup")
    for run in runs:
        text, seed = run.method.text, run.recipe.seed
        if (text, seed) not in (("none", 1), ("mixup", 2)):
            finished(run, TOP1[text][seed], STEP[text][seed])
    mixup = group_of(made_of(tmp_path, runs), "mixup raw")
    assert mixup.seeds == (0, 1)
    difference = mixup.differences["top1"].interval
    assert difference.mean == pytest.approx(0.03)
    assert difference.count == 1
    assert math.isnan(difference.low)  # one pair
    assert math.isnan(mixup.differences["top1"].p)


def test_without_baseline_and_without_runs(tmp_path: Path) -> None:
    runs = plan(tmp_path, "mixup", seeds=1)
    with pytest.raises(ValueError, match="no run has finished"):
        made_of(tmp_path, runs)
    finished(runs[0], 0.5)
    made = made_of(tmp_path, runs)
    assert not any(group.baseline for group in made.parts["scores"].groups)
    (spent,) = cost_of(made).methods
    assert (spent.step_ratio, spent.ratio, spent.epochs_needed) == (None, None, None)


def test_findings_are_read_as_they_were_written(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", seeds=2)
    for run in runs:
        finished(run, TOP1[run.method.text][run.recipe.seed])
    made = made_of(tmp_path, runs)
    write_findings(tmp_path, made, {})
    assert same(read_findings(tmp_path), made, tmp_path)
    record = json.loads((tmp_path / "comparison.json").read_text())
    assert record["parts"]["scores"]["groups"][0]["method"] == "none"

    one = made_of(tmp_path, runs[:1])  # one seed: an interval without ends
    path = write_findings(tmp_path / "one", one, {})
    assert "NaN" not in path.read_text()
    assert math.isnan(group_of(read_findings(path), "none raw").intervals["top1"].low)


def taught(out: Path, gains: list[float]) -> Findings:
    runs = plan(out, "none", "mixup")
    warning = {"message": "flat", "first": 1, "last": 2}
    for run in runs:
        text, seed = run.method.text, run.recipe.seed
        teacher = None if text == "none" else scores(TOP1["none"][seed] + gains[seed])
        warned = (warning,) if (text, seed) == ("mixup", 1) else ()
        finished(run, TOP1[text][seed], teacher=teacher, warnings=warned)
    return made_of(out, runs)


def test_a_teacher_is_set_against_the_average_of_the_baseline(tmp_path: Path) -> None:
    gains = [0.02, 0.03, 0.07]
    made = taught(tmp_path, gains)
    assert made.parts["scores"].group("none teacher") is None
    own = group_of(made, "mixup teacher")
    assert own.intervals["top1"].mean == pytest.approx(0.86)
    assert own.intervals["ece"].mean == pytest.approx(0.1)
    # The averaged weights of the baseline are better than its trained ones by 0.01.
    pairs = [gain - 0.01 for gain in gains]
    low, high = stats.t.interval(0.95, 2, loc=sum(pairs) / 3, scale=stats.sem(pairs))
    difference = own.differences["top1"].interval
    assert difference.mean == pytest.approx(0.03)
    assert difference.low == pytest.approx(low)
    assert difference.high == pytest.approx(high)
    (row,) = warnings_of(made).rows
    assert (row.method, row.message) == ("mixup", "flat")
    assert [(spell.seed, spell.first, spell.last) for spell in row.spells] == [(1, 1, 2)]
    assert same(read_findings(write_findings(tmp_path, made, {})), made, tmp_path)


def test_runs_of_which_one_has_no_teacher_have_no_interval_of_it(tmp_path: Path) -> None:
    runs = plan(tmp_path, "mixup", seeds=2)
    finished(runs[0], 0.5, teacher=scores(0.5))
    finished(runs[1], 0.5)
    made = made_of(tmp_path, runs)
    assert [group.weights for group in made.parts["scores"].groups] == ["raw", "ema"]
    curves = decode(AllCurves, made.parts["curves"].numbers, where="here")
    assert curves.methods["mixup"].test["teacher"].epochs == ()


def test_every_measure_has_a_difference_of_its_own(tmp_path: Path) -> None:
    own: Group = group_of(taught(tmp_path, [0.0, 0.0, 0.03]), "mixup ema")
    # Means of TOP1 are 0.82 and 0.85; finished() makes NLL 1.1 less top-1, and ECE the same.
    assert own.differences["nll"].interval.mean == pytest.approx(-0.03)
    assert own.differences["ece"].interval.mean == pytest.approx(0.0)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 99}', "{"])
def test_a_file_that_is_no_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "comparison.json").write_text(text)
    with pytest.raises(ValueError, match=r"comparison\.json"):
        read_findings(tmp_path)
    with pytest.raises(ValueError, match="no such file"):
        read_findings(tmp_path / "nowhere.json")


def test_fields_that_methods_do_not_share_are_stored_and_said(tmp_path: Path) -> None:
    methods = parse_methods(["none", "mixup", "automix"])
    learned = {"min_lr": 0.05, "label_smoothing": 0.2}
    runs = plan_runs(methods, SETTINGS, seeds=1, out=tmp_path, learned=learned)
    for run in runs:
        finished(run, 0.8)
    findings = made_of(tmp_path, runs)
    plain = {"min_lr": 0.0, "label_smoothing": 0.0}
    assert findings.about.details["own_fields"] == {
        "none": plain, "mixup": plain, "automix": learned,
    }  # fmt: skip
    recipe = findings.about.recipe
    assert recipe is not None
    assert "min_lr" not in recipe
    assert recipe["epochs"] == 2
    page = page_of((findings, {}))
    rows = dict(comparison_page.heading(page).metadata)
    assert rows["Recipe by method"] == (
        "min lr 0 with none and mixup; label smoothing 0 with none and mixup; min lr 0.05 with "
        "automix; label smoothing 0.2 with automix"
    )
    assert any(
        "they differ in label smoothing and min lr, as the published" in text
        for text in caveats(findings)
    )
    alike = made_of(tmp_path, plan(tmp_path, "none", "mixup"))
    assert "own_fields" not in alike.about.details
    assert "Recipe by method" not in dict(comparison_page.heading(page_of((alike, {}))).metadata)


def test_runs_from_before_stand_beside_runs_that_measured_more(tmp_path: Path) -> None:
    """One of three runs without mixing knows nothing of temperatures and training images."""
    runs = plan(tmp_path, "none", "mixup")
    for run in runs:
        old = (run.method.text, run.recipe.seed) == ("none", 1)
        new = {} if old else {"ece_scaled": 0.02, "temperature": 1.5}
        clean = None if old else {"top1": 0.99, "nll": 0.04, "images": 100}
        finish(run, scores(0.8) | new, scores(0.81) | new, clean_train=clean)
    made = made_of(tmp_path, runs)
    none, mixup = group_of(made, "none raw"), group_of(made, "mixup raw")
    assert [run.get("clean_train", {}).get("top1") for run in none.summaries] == [0.99, None, 0.99]
    assert mixup.intervals["clean_train.top1"].mean == pytest.approx(0.99)
    assert mixup.intervals["ece_scaled"].mean == pytest.approx(0.02)
    assert "clean_train.top1" not in group_of(made, "mixup ema").intervals
    assert math.isnan(none.intervals["ece_scaled"].mean)
    assert "ece_scaled" not in mixup.differences
    assert mixup.differences["top1"].interval.count == 3
    table = tidy_table(made).splitlines()
    assert sum(",clean_train.top1,0.99" in line for line in table) == 5
    assert sum(",temperature,1.5" in line for line in table) == 10


def test_results_of_a_newer_format_alone_are_no_comparison(tmp_path: Path) -> None:
    runs = plan(tmp_path, "none", "mixup", seeds=1)
    for run in runs:
        finished(run, 0.5)
        (run.folder / "result.json").write_text('{"format": 99}')
    words = r"no result can be read. none, seed 0: .*format 99; .*or a newer one. So it is with 1"
    with pytest.raises(ValueError, match=words):
        compared(tmp_path, runs)
    with pytest.raises(ValueError, match="no run has finished"):
        compared(tmp_path, plan(tmp_path / "new", "none", seeds=1))
