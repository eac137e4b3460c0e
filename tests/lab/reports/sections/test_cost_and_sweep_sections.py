"""Sections on what methods cost and on sweeps: numbers by hand, figures at both widths."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from lab.reports.fabricated import fabricate, group_of, page_of
from lab.reports.pages import cells, drawings, drawn, tables
from mixwright.lab.analysis.cost import Cost, cost, pareto
from mixwright.lab.analysis.findings import Arrays, Findings, Group
from mixwright.lab.analysis.measures import with_statistics
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.formatting import NONE, TIMES
from mixwright.lab.reports.section import Section, Table
from mixwright.lab.reports.sections import cost as cost_section
from mixwright.lab.reports.sections import sweep as sweep_section
from mixwright.lab.settings import decode

RECIPE = {"data": "digits", "model": "smallconv", "epochs": 20}


def section_of(name: str, findings: Findings) -> Section | None:
    module = {"cost": cost_section, "sweep": sweep_section}[name]
    return module.write(findings.parts[name], page_of((findings, {}))).get(name)


def one_table(section: Section | None) -> Table:
    assert section is not None
    (table,) = tables(section)
    return table


def test_the_front_is_what_nothing_beats() -> None:
    points = [(3.0, 0.9), (1.0, 0.8), (2.0, 0.8), (1.0, 0.7), (4.0, 0.9), (3.0, 0.9)]
    assert pareto(points) == [1, 0, 5]
    assert pareto([]) == []


def timed(key: str, *seconds: float, top1: float = 0.8, step: float = 0.01) -> Group:
    runs = [{"top1": top1, "step_seconds": step, "seconds": one} for one in seconds]
    group = Group(key=key, name=key, label=key, method=key, baseline=key == "none", weights="raw",
                  seeds=tuple(range(len(runs))), summaries=tuple(runs))  # fmt: skip
    return with_statistics([group])[0]


def longer(made: Findings, seconds: float, epochs: int) -> Findings:
    """A comparison of no mixing alone, trained for longer."""
    part = dataclasses.replace(made.parts["cost"], groups=(timed("none", seconds),))
    recipe = {**RECIPE, "epochs": epochs}
    about = dataclasses.replace(made.about, recipe=recipe)
    return dataclasses.replace(made, about=about, parts={"cost": part, "scores": part})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, Arrays]:
    """Medians of 100, 105 and 150 seconds."""
    return fabricate(
        tmp_path_factory.mktemp("cost"),
        methods=("none", "mixup", "cutmix"),
        seconds={"none": 99.0, "mixup": 104.0, "cutmix": 149.0},
    )


@pytest.mark.parametrize(
    ("seconds", "place"), [(152.0, 2), (158.0, 3), (111.0, 0), (112.0, None), (91.0, 0), (90, None)]
)
def test_a_baseline_of_equal_time_is_the_nearest_within_a_tenth(
    made: tuple[Findings, Arrays], seconds: float, place: int | None
) -> None:
    others = [longer(made[0], 150.0, 30), longer(made[0], 160.0, 32)]
    groups = [timed("none", 100.0), timed("mixup", seconds)]
    found = cost(groups, scores=groups, recipe=RECIPE, others=others).methods
    assert [one.name for one in found] == [
        "none", "mixup", "none, 30 epochs", "none, 32 epochs",
    ]  # fmt: skip
    assert found[1].equal_time == place
    assert [one.equal_time for one in found if one.baseline] == [None] * 3
    alone = cost(groups[1:], scores=groups, recipe=RECIPE).methods[0]
    assert (alone.equal_time, alone.ratio, alone.epochs_needed) == (None, None, None)


def test_medians_means_and_ratios() -> None:
    groups = [
        timed("none", 10.0, 20.0, 60.0, step=0.010),
        timed("mixup", 30.0, 40.0, 140.0, top1=0.9, step=0.025),
        timed("cutmix", 50.5, top1=0.85),
    ]
    none, mixup, cutmix = cost(groups, scores=groups, recipe=RECIPE).methods
    assert (none.seconds, mixup.seconds) == (20.0, 40.0)
    assert [one.top1.mean for one in (none, mixup, cutmix)] == pytest.approx([0.8, 0.9, 0.85])
    assert (none.mean_seconds, mixup.mean_seconds) == (30.0, 70.0)
    assert mixup.ratio == pytest.approx(2.0)
    assert mixup.mean_ratio == pytest.approx(7 / 3)
    assert mixup.step_ratio == pytest.approx(2.5)
    assert mixup.seconds_a_step == pytest.approx(2800)
    assert (mixup.epochs_needed, cutmix.epochs_needed) == (40, 51)  # 20 epochs took 20 s: up
    assert [one.front for one in (none, mixup, cutmix)] == [True, True, False]


def test_cost(made: tuple[Findings, Arrays]) -> None:
    findings = made[0]
    stored = decode(Cost, findings.parts["cost"].numbers, where="here")
    assert [one.seconds for one in stored.methods] == [100.0, 105.0, 150.0]
    section = section_of("cost", findings)
    assert section is not None
    rows = cells(one_table(section))
    none = [summary["top1"] for summary in group_of(findings, "none raw").summaries]
    top1 = f"{100 * sum(none) / 3:.1f} ± "
    assert rows["No mixing"]["time of a run"] == "1 min 40 s"
    assert rows["No mixing"]["to no mixing"] == "1.00" + TIMES
    assert rows["No mixing"]["top-1, %"].startswith(top1)
    assert rows["CutMix"]["to no mixing"] == "1.50" + TIMES
    assert rows["MixUp"]["no mixing of equal time, %"].startswith(f"No mixing: {top1}")
    assert rows["CutMix"]["no mixing of equal time, %"] == NONE
    assert rows["CutMix"]["epochs that would take"] == "30"  # of 20 epochs
    assert "mixwright compare none --epochs 30" in section.reading
    assert "Up to 2 runs shared the machine" in section.reading
    assert drawn(section) == ["time"]


def test_cost_beside_a_baseline_that_took_as_long(made: tuple[Findings, Arrays]) -> None:
    findings = made[0]
    other = longer(findings, 148.0, 31)
    groups, scores = (findings.parts[name].groups for name in ("cost", "scores"))
    assert set(groups[0].first) == {"seconds", "step_seconds"}  # top-1 stands under scores
    found = dataclasses.asdict(cost(groups, scores=scores, recipe=RECIPE, others=[other]))
    part = dataclasses.replace(findings.parts["cost"], numbers=found)
    section = section_of(
        "cost", dataclasses.replace(findings, parts={**findings.parts, "cost": part})
    )
    assert section is not None
    rows = cells(one_table(section))
    assert rows["CutMix"]["no mixing of equal time, %"] == "none, 31 epochs: 80.0"
    assert "none, 31 epochs" in rows
    assert "The table names that run" in section.reading
    drawn(section)
    about = dataclasses.replace(other.about, recipe={**RECIPE, "model": "resnet8"})
    foreign = dataclasses.replace(other, about=about)
    with pytest.raises(ValueError, match="the model 'resnet8', this one 'smallconv'"):
        cost(groups, scores=scores, recipe=RECIPE, others=[foreign])


def test_cost_without_baseline_and_of_one_seed(tmp_path: Path) -> None:
    findings, _ = fabricate(tmp_path, methods=("mixup", "cutmix"), seeds=1)
    assert math.isnan(group_of(findings, "mixup raw").intervals["top1"].low)
    section = section_of("cost", findings)
    assert section is not None
    assert "none of equal time" in section.reading
    assert cells(one_table(section))["MixUp"]["to no mixing"] == NONE
    drawn(section)


def test_sweep(tmp_path: Path) -> None:
    texts = ("none", "miamix:p_self=0.2", "miamix:p_self=0", "miamix:p_self=0.1")
    findings, _ = fabricate(tmp_path, methods=texts)
    section = section_of("sweep", findings)
    assert section is not None
    table = one_table(section)
    assert [row[0] for row in table.rows] == ["0", "0.1", "0.2"]
    assert table.keys == (texts[2], texts[3], texts[1])
    none, small = (
        [summary["top1"] for summary in group_of(findings, f"{text} raw").summaries]
        for text in (texts[0], texts[2])
    )
    gain = 100 * (sum(small) - sum(none)) / 3
    assert str(table.rows[0][1]).startswith(f"{100 * sum(small) / 3:.1f} ± ")
    assert str(table.rows[0][2]).startswith(f"+{gain:.1f} ± ")
    assert "chosen on them" in section.reading
    assert drawn(section) == ["1"]
    with styled():
        (axes,) = drawings(section)["1"].make(6.6).axes
    tops = [
        sum(100 * summary["top1"] for summary in group_of(findings, f"{text} raw").summaries) / 3
        for text in (texts[2], texts[3], texts[1])
    ]
    lines = [list(line.get_ydata()) for line in axes.get_lines() if len(line.get_ydata()) == 3]
    assert lines == [pytest.approx(tops)]
    assert section_of("sweep", fabricate(tmp_path / "two", methods=("none", "mixup"))[0]) is None
    alone, _ = fabricate(tmp_path / "alone", methods=texts[1:], seeds=1)
    section = section_of("sweep", alone)
    assert section is not None
    assert one_table(section).head == ("p_self", "top-1, %")
    drawn(section)


@pytest.mark.parametrize(
    ("seconds", "unit", "place"),
    [(60.0, "s", 60.0), (120.0, "min", 2.0), (10800.0, "h", 3.0)],
)
def test_times_are_in_the_largest_unit_that_leaves_them_above_one_and_a_half(
    made: tuple[Findings, Arrays], seconds: float, unit: str, place: float
) -> None:
    page = page_of((made[0], {}))
    found = cost([timed("none", seconds)], recipe=RECIPE).methods
    figure = cost_section.cost_figure(found, page.shades, width=7.0)
    (axes,) = figure.axes
    assert axes.get_xlabel() == f"time of a run, {unit}"
    (mark,) = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert list(mark.get_xdata()) == [pytest.approx(place)]
