"""Every committed record of format 1: its numbers are those that it stored, and it has a page."""

from __future__ import annotations

import base64
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from lab.reports.cells import tables
from mixwright.lab.analysis.cost import Cost
from mixwright.lab.analysis.findings import Findings, Group
from mixwright.lab.analysis.ranking import Ranked
from mixwright.lab.analysis.significance import Significance
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.analysis.store import read_findings
from mixwright.lab.reports.page import write_report
from mixwright.lab.settings import decode

FORMAT_2 = Path(__file__).parents[1] / "fixtures" / "record-format-2"
RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
COMPARISONS = sorted(RESULTS.glob("cifar10-*/comparison.json"))
EVALUATION = RESULTS / "cifar10-resnet8-evaluation" / "evaluation.json"
THEORY, SPRITES = RESULTS / "theory" / "theory.json", RESULTS / "theory" / "sprites.json"

Raw = dict[str, Any]


def raw_of(path: Path) -> Raw:
    return json.loads(path.read_text())


def group_of(findings: Findings, part: str, key: str) -> Group:
    group = findings.parts[part].group(key)
    assert group is not None, key
    return group


def stored(interval: Raw) -> Interval:
    """As format 1 wrote it; null for NaN."""
    return Interval(**{name: float("nan") if value is None else value
                       for name, value in interval.items()})  # fmt: skip


def test_all_records_are_of_the_old_format() -> None:
    assert len(COMPARISONS) == 5
    for path in (*COMPARISONS, EVALUATION, THEORY, SPRITES):
        assert raw_of(path).get("format", 1) == 1


def named(path: Path) -> str:
    return path.parent.name


@pytest.mark.parametrize("path", COMPARISONS, ids=named)
def test_numbers_of_a_comparison(path: Path) -> None:
    raw, findings = raw_of(path), read_findings(path)
    spent = {one.key: one for one in
             decode(Cost, findings.parts["cost"].numbers, where="here").methods}  # fmt: skip
    assert list(spent) == [method["text"] for method in raw["methods"]]
    kinds = {"raw": 0, "ema": 0, "teacher": 0}
    for method in raw["methods"]:
        assert spent[method["text"]].step_seconds == method["step_seconds"]
        assert spent[method["text"]].step_ratio == method["relative_step"]
        for weights in kinds:
            group = findings.parts["scores"].group(f"{method['text']} {weights}")
            intervals = method.get(weights) or {}
            assert (group is None) == (not intervals)
            if group is None:
                continue
            kinds[weights] += 1
            assert (group.name, group.slug) == (method["label"], method["slug"])
            assert group.baseline == (method["text"] == raw["baseline"])
            for measure, interval in intervals.items():
                assert group.intervals[measure] == stored(interval)
            difference = method.get(f"difference_{weights}")
            assert ("top1" in group.differences) == (difference is not None)
            if difference is not None:  # how sure it is is judged anew
                old, now = stored(difference), group.differences["top1"].interval
                assert (now.mean, now.count) == (pytest.approx(old.mean), old.count)
            if weights in method.get("median", {}):
                median = group.intervals["protocols.median10.top1"]
                assert median == stored(method["median"][weights])
            for seed, folder, summary, run in zip(
                group.seeds, group.folders, group.summaries, method["runs"], strict=True
            ):
                assert (seed, folder) == (run["seed"], run["folder"])
                assert {name: summary[name] for name in run[weights]} == run[weights]
                assert summary["best"] == run["best"].get(weights)
                assert summary["protocols"] == run.get("protocols", {}).get(weights, {})
    assert kinds["raw"] == kinds["ema"] == len(raw["methods"])
    assert (kinds["teacher"] > 0) == (named(path).rpartition("-")[2] == "learned")
    ranking = decode(Ranked, findings.parts["scores"].numbers, where="here").ranking
    if raw.get("ranking"):
        assert ranking is not None
        assert [f"{text} raw" for text in raw["ranking"]["methods"]] == [*ranking.keys]
        for name in ("mean", "seeds"):
            assert [*getattr(ranking, name)] == raw["ranking"][name]
        assert (ranking.p, ranking.distance) == (raw["ranking"]["p"], raw["ranking"]["distance"])
    about = findings.about
    for name in ("command", "finished", "seconds", "machine", "commit", "versions", "recipe"):
        assert getattr(about, name) == raw[name]
    assert about.details == {"parallel": raw["parallel"], "parameters": raw["parameters"]}
    assert (about.data.name, about.data.train, about.data.test) == (
        raw["data"]["name"], raw["data"]["train"], raw["data"]["test"],
    )  # fmt: skip


def residual_variance(scores: list[list[float]]) -> float:
    """Of methods by seeds, all of which are there: less both means, by hand."""
    table = np.array(scores)
    left = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    return float((left**2).sum() / ((len(table) - 1) * (table.shape[1] - 1)))


@pytest.mark.parametrize("path", COMPARISONS, ids=named)
def test_all_records_are_judged_alike(path: Path) -> None:
    """Every committed comparison: one spread for all methods, and Dunnett's distribution."""
    groups = [group for group in read_findings(path).parts["scores"].groups
              if group.weights == "raw"]  # fmt: skip
    others = [group for group in groups if not group.baseline]
    scores = {one.key: [run["top1"] for run in one.summaries] for one in groups}
    variance = residual_variance([*scores.values()])
    seeds = len(groups[0].seeds)
    for own in others:
        found = own.differences["top1"]
        assert (found.pooled, found.freedom) == (True, len(others) * (seeds - 1))
        assert found.interval.deviation == pytest.approx(math.sqrt(2 * variance))
        shape = 0.5 + 0.5 * np.eye(len(others))
        edge = np.full(len(others), abs(found.interval.mean) / math.sqrt(2 * variance / seeds))
        inside = stats.multivariate_t.cdf(
            edge, shape=shape, df=found.freedom, lower_limit=-edge, random_state=0
        )
        assert found.p == pytest.approx(1 - inside, abs=2e-3)
        assert (found.interval.low > 0 or found.interval.high < 0) == (found.p < 0.05)


def test_numbers_of_an_evaluation() -> None:
    raw, findings = raw_of(EVALUATION), read_findings(EVALUATION)
    measured = {name for model in raw["models"] for name in model["parts"]}
    assert [*findings.parts] == [name for name in raw["parts"] if name in measured]
    for name, part in findings.parts.items():
        assert part.options == raw["parts"][name]
        models = [model for model in raw["models"] if name in model["parts"]]
        pairs = [
            (group, seed, summary)
            for group in part.groups
            for seed, summary in zip(group.seeds, group.summaries, strict=True)
        ]
        assert len(pairs) == len(models)
        for model in models:
            (found,) = [
                (group, summary)
                for group, seed, summary in pairs
                if (group.key, seed) == (model["group"], model["seed"])
            ]
            assert found[1] == model["parts"][name]
            assert (found[0].label, found[0].weights) == (model["label"], model["weights"])
            assert found[0].baseline == (model["recipe"]["method"] == "none")
    judged = decode(Significance, findings.parts["accuracy"].numbers, where="here")
    assert len(judged.families[0].methods) == 5
    for method in judged.families[0].methods:
        assert method.images is None  # which images were right was never in the record


def test_numbers_of_theory() -> None:
    raw, findings = raw_of(THEORY), read_findings(THEORY)
    assert [*findings.parts] == [*raw["sections"]]
    for name, methods in raw["sections"].items():
        assert [group.key for group in findings.parts[name].groups] == [*methods]
        for key, method in methods.items():
            group = group_of(findings, name, key)
            assert group.label == method["label"]
            assert [*group.summaries] == method["seeds"]
    assert findings.about.versions == {"mixwright": raw["mixwright"], "torch": raw["torch"]}
    assert findings.about.data.shape == (3, *raw["size"])


def test_numbers_of_scenarios() -> None:
    raw, findings = raw_of(SPRITES), read_findings(SPRITES)
    for key, summaries in raw["summaries"].items():
        group = group_of(findings, "scenarios", key)
        for found, old in zip(group.summaries, summaries, strict=True):
            assert found == {
                "dataset_kind" if name == "rung" else name: value for name, value in old.items()
            }


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    shutil.copytree(RESULTS, tmp_path / "results")
    return tmp_path / "results"


def embedded(page: str, picture: Path) -> bool:
    return base64.b64encode(picture.read_bytes()).decode() in page


def test_pages_of_all_records(copies: Path) -> None:
    for path in sorted(copies.glob("cifar10-*/comparison.json")):
        raw = raw_of(path)
        page = write_report(path).read_text()
        heads, rows = tables(page)[0]
        assert [row[0] for row in rows] == [method["label"] for method in raw["methods"]]
        assert "p" in heads
        for row, method in zip(rows, raw["methods"], strict=True):
            top1 = method["raw"]["top1"]
            half = (top1["high"] - top1["low"]) / 2
            assert row[1] == f"{100 * top1['mean']:.1f} \N{PLUS-MINUS SIGN} {100 * half:.1f}"
        assert "Learning curves" in page  # of the files that were kept of the runs


def test_pages_show_the_figures_that_were_kept(copies: Path) -> None:
    folder = copies / EVALUATION.parent.name
    names = ("gradients-maps.png", "cam-mixtures.png")
    kept = {name: (folder / "figures" / name).read_bytes() for name in names}
    page = write_report(folder / "evaluation.json").read_text()
    for name, picture in kept.items():
        assert (folder / "figures" / name).read_bytes() == picture, name
        assert embedded(page, folder / "figures" / name), name
    assert 'id="significance"' in page
    theory = copies / "theory"
    maps = theory / "figures" / "moments-maps-exact.png"
    picture = maps.read_bytes()
    page = write_report(theory / "theory.json").read_text()
    assert maps.read_bytes() == picture
    assert embedded(page, maps)
    page = write_report(theory / "sprites.json").read_text()
    assert 'id="scenarios"' in page


def test_records_of_format_2_are_judged_anew_from_what_ran(tmp_path: Path) -> None:
    raw = raw_of(FORMAT_2 / "evaluation.json")
    assert (raw["format"], raw["kind"]) == (2, "evaluation")
    old = raw["parts"]["accuracy"]["numbers"]["families"][0]["methods"][1]
    assert {"runs", "simultaneous", "p", "p_holm", "not_worse", "images"} <= set(old)
    findings = read_findings(FORMAT_2 / "evaluation.json")
    assert findings.format == 3
    judged = decode(Significance, findings.parts["accuracy"].numbers, where="here")
    method = judged.families[0].methods[1]
    assert method.p_images == old["p_images"]  # its arrays are gone: kept as it was
    assert method.images == stored(old["images"])
    cutmix = group_of(findings, "accuracy", "cutmix raw")
    assert cutmix.summaries == tuple(raw["parts"]["accuracy"]["groups"][2]["summaries"])
    # As worked out by hand in test_significance: 67/36 squared points on four degrees of freedom.
    assert cutmix.differences["top1"].freedom == 4
    assert cutmix.differences["top1"].interval.deviation == pytest.approx(0.01 * (67 / 18) ** 0.5)
    page = write_report(FORMAT_2 / "evaluation.json", tmp_path).read_text()
    assert 'id="significance"' in page


def test_a_comparison_of_format_2_is_answered(tmp_path: Path) -> None:
    assert raw_of(FORMAT_2 / "comparison.json")["format"] == 2
    findings = read_findings(FORMAT_2 / "comparison.json")
    assert [*findings.parts][:2] == ["answer", "scores"]
    cutmix = group_of(findings, "scores", "cutmix raw")
    gains = [
        own["top1"] - base["top1"]
        for own, base in zip(
            cutmix.summaries, group_of(findings, "scores", "none raw").summaries, strict=True
        )
    ]
    t = abs(sum(gains)) / abs(gains[0] - gains[1])  # of two pairs, one degree of freedom
    assert cutmix.differences["top1"].p == pytest.approx(1 - 2 / math.pi * math.atan(t))
    page = write_report(FORMAT_2 / "comparison.json", tmp_path).read_text()
    assert 'id="answer"' in page
    assert "mixwright compare" in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 4, "methods": []}', "its format is 4; this version reads formats 1, 2 and 3"),
        ('{"shapes": []}', "no record of ours"),
        ("3", "no record of ours"),
        ('{"format": 1, "methods": [{"text": "none"}]}', r"one\.json: damaged .*'runs'"),
        ('{"format": 1, "models": [3], "parts": {}}', r"one\.json: damaged"),
        ('{"sections": {"moments": {"a": 3}}}', r"one\.json: damaged"),
    ],
)
def test_records_that_are_not_ours(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "one.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_findings(tmp_path / "one.json")
