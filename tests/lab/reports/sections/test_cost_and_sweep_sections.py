"""Sections on what methods cost and on sweeps: numbers by hand, figures at both widths."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from lab.reports.fabricated import costs, fabricate, group_of, page_of
from lab.reports.pages import cells, drawings, drawn, tables
from mixwright.lab.analysis.cost import Cost, cost, pareto, read_cost
from mixwright.lab.analysis.findings import Arrays, Findings, Group
from mixwright.lab.analysis.measures import with_statistics
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.formatting import NONE, TIMES
from mixwright.lab.reports.palette import method_shades
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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, Arrays]:
    """Medians of 100, 105 and 150 seconds on the wall; steps that cost otherwise."""
    return fabricate(
        tmp_path_factory.mktemp("cost"),
        methods=("none", "mixup", "cutmix"),
        seconds={"none": 99.0, "mixup": 104.0, "cutmix": 149.0},
        ratios={"mixup": 1.04, "cutmix": 1.25},
    )


def test_without_a_baseline_costs_are_in_trainings_without_mixing_all_the_same() -> None:
    groups = [timed("mixup", 1000.0, step=0.1)]
    (alone,) = cost(groups, scores=groups, recipe=RECIPE, measured=costs({"mixup": 1.52})).methods
    assert (alone.ratio, alone.cost, alone.epochs_needed) == (None, 1.52, 31)


def test_medians_means_and_ratios() -> None:
    groups = [
        timed("none", 10.0, 20.0, 60.0, step=0.010),
        timed("mixup", 30.0, 40.0, 140.0, top1=0.9, step=0.025),
        timed("cutmix", 40.5, top1=0.85, step=0.03),
    ]
    measured = costs({"mixup": 1.5, "cutmix": 1.55})
    none, mixup, cutmix = cost(groups, scores=groups, recipe=RECIPE, measured=measured).methods
    assert (none.seconds, mixup.seconds) == (20.0, 40.0)
    assert [one.top1.mean for one in (none, mixup, cutmix)] == pytest.approx([0.8, 0.9, 0.85])
    assert (none.mean_seconds, mixup.mean_seconds) == (30.0, 70.0)
    assert mixup.ratio == pytest.approx(2.0)
    assert mixup.mean_ratio == pytest.approx(7 / 3)
    assert mixup.step_ratio == pytest.approx(2.5)
    assert mixup.seconds_a_step == pytest.approx(1200)
    assert [one.step_times for one in (none, mixup, cutmix)] == [1.0, 1.5, 1.55]
    assert (none.epochs_needed, mixup.epochs_needed, cutmix.epochs_needed) == (None, 30, 31)
    assert [one.front for one in (none, mixup, cutmix)] == [True, True, False]


def test_what_comes_before_the_first_epoch_is_part_of_the_cost() -> None:
    """A step of 1.2, and a search that takes as long as 0.4 of the training without mixing."""
    steps = costs({"mixup": 1.2})
    search = dataclasses.replace(steps.methods["mixup"], training=1.6)
    measured = dataclasses.replace(steps, methods={"mixup": search})
    # 1.6 / 1.2 times as long a step as the baseline's 1,000: up to 2,000 is explained.
    groups = [timed("none", 10.0), timed("mixup", 19.9)]
    found = cost(groups, scores=groups, recipe=RECIPE, measured=measured).methods[1]
    assert (found.cost, found.step_times, found.epochs_needed) == (1.6, 1.2, 32)
    groups[1] = timed("mixup", 20.1)
    found = cost(groups, scores=groups, recipe=RECIPE, measured=measured).methods[1]
    assert (found.outside, found.cost, found.step_times) == (True, None, 1.2)
    assert (found.front, found.epochs_needed) == (False, None)


def test_runs_that_were_paused_are_no_work_of_the_method() -> None:
    groups = [timed("none", 10.0, 11.0, 10.0), timed("mixup", 200.0, 12.5, 90.0)]
    found = cost(groups, scores=groups, recipe=RECIPE, measured=costs({"mixup": 1.2})).methods[1]
    assert (found.outside, found.cost, found.front) == (False, 1.2, False)


def test_a_method_that_was_not_measured_is_not_ranked() -> None:
    groups = [timed("none", 10.0), timed("mixup", 9.0, top1=0.9), timed("cutmix", 9.0)]
    none, mixup, cutmix = cost(
        groups, scores=groups, recipe=RECIPE, measured=costs({"cutmix": 1.2})
    ).methods
    assert (mixup.cost, mixup.front, mixup.epochs_needed) == (None, False, None)
    assert (none.front, cutmix.front, cutmix.epochs_needed) == (True, False, 24)


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
    assert rows["No mixing"]["cost of training"] == "1.00" + TIMES
    assert rows["No mixing"]["top-1, %"].startswith(top1)
    assert rows["CutMix"]["cost of training"] == "1.25" + TIMES
    assert rows["CutMix"]["a step, by round"] == f"1.15{TIMES} to 1.35{TIMES}"
    assert rows["CutMix"]["epochs that would cost"] == "25"  # of 20 epochs
    assert section.reading == (
        "CutMix costs over a tenth more than no mixing, which might gain as much from that time: "
        "with the option --equal-time it gets it, for CutMix 25 epochs."
    )
    assert "in 40 rounds" in section.protocol
    assert "on a shared machine, up to 2 runs at a time" in section.protocol
    assert "not ranked" in section.protocol
    assert drawn(section) == ["time"]


@pytest.mark.parametrize("old", [False, True])
def test_times_of_the_wall_clock_are_shown_and_not_ranked(tmp_path: Path, old: bool) -> None:
    """A comparison without costs, and a record in which the wall clock had ranked."""
    findings, _ = fabricate(
        tmp_path,
        methods=("none", "mixup", "cutmix"),
        seconds={"none": 99.0, "mixup": 104.0, "cutmix": 149.0},
        ratios={},
    )
    part = findings.parts["cost"]
    if old:
        new = ("step", "outside", "cost")
        ranked = {"front": True, "longer": None, "equal_time": 0, "epochs_needed": 30}
        methods = [
            {name: value for name, value in method.items() if name not in new} | ranked
            for method in part.numbers["methods"]
        ]
        part = dataclasses.replace(part, numbers={"epochs": 20, "methods": methods})
        findings = dataclasses.replace(findings, parts={**findings.parts, "cost": part})
    found = read_cost(part)
    for one in found.methods:
        assert (one.cost, one.front, one.epochs_needed, one.step_times) == (
            None, False, None, None,
        )  # fmt: skip
    section = section_of("cost", findings)
    assert section is not None
    table = one_table(section)
    assert table.head == ("Method", "time of a run", "top-1, %")
    assert cells(table)["CutMix"]["time of a run"] == "2 min 30 s"
    assert "wall clock on a shared machine, not ranked" in table.caption
    text = section.reading + section.protocol + table.caption
    assert "--epochs" not in text
    assert "Pareto" not in text
    assert "was not measured" in section.reading
    assert drawn(section) == []


def test_where_nothing_is_dear_nothing_is_asked(tmp_path: Path) -> None:
    findings, _ = fabricate(tmp_path, methods=("none", "mixup"), ratios={"mixup": 1.04})
    assert set(findings.parts["cost"].groups[0].first) == {"seconds", "step_seconds"}
    section = section_of("cost", findings)
    assert section is not None
    assert section.reading == "No method costs over a tenth more than no mixing."


def test_cost_without_baseline_and_of_one_seed(tmp_path: Path) -> None:
    findings, _ = fabricate(tmp_path, methods=("mixup", "cutmix"), seeds=1, ratios={"mixup": 1.04})
    assert math.isnan(group_of(findings, "mixup raw").intervals["top1"].low)
    section = section_of("cost", findings)
    assert section is not None
    assert "No run without mixing is among them" in section.reading
    assert "Not measured: CutMix" in section.reading
    rows = cells(one_table(section))
    assert [rows[name]["cost of training"] for name in ("MixUp", "CutMix")] == [
        "1.04" + TIMES, NONE,
    ]  # fmt: skip
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


def test_each_mark_stands_at_its_cost(made: tuple[Findings, Arrays]) -> None:
    found = read_cost(made[0].parts["cost"]).methods
    figure = cost_section.cost_figure(found, page_of((made[0], {})).shades, width=7.0)
    (axes,) = figure.axes
    assert axes.get_xlabel() == "cost of training, in that of no mixing"
    marks = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert [list(mark.get_xdata()) for mark in marks] == [[1.0], [1.04], [1.25]]


def test_methods_of_one_colour_have_marks_of_their_own(made: tuple[Findings, Arrays]) -> None:
    """Nine methods that mix have eight colours."""
    names = ["none", *"abcdefghi"]
    groups = [timed(name, 10.0) for name in names]
    found = cost(groups, scores=groups, recipe=RECIPE, measured=costs(dict.fromkeys(names[1:], 1)))
    figure = cost_section.cost_figure(found.methods, method_shades(names, "none"), width=7.0)
    drawn = [
        (line.get_markeredgecolor(), line.get_marker())
        for line in figure.axes[0].get_lines()
        if line.get_marker() not in ("None", None)
    ]
    assert len(drawn) == len(set(drawn)) == 10
    assert len({colour for colour, _ in drawn}) == 9


def test_costs_of_up_to_four_have_ticks_between() -> None:
    groups = [timed("none", 10.0), timed("adautomix", 40.0, step=0.04)]
    found = cost(groups, scores=groups, recipe=RECIPE, measured=costs({"adautomix": 4.03}))
    shades = method_shades(["none", "adautomix"], "none")
    (axes,) = cost_section.cost_figure(found.methods, shades, width=7.0).axes
    assert list(axes.get_xticks()) == [1, 1.5, 2, 3, 4]


def test_equal_costs_are_not_drawn_apart() -> None:
    """One of 1.00 and one of 1.03 stood at the two ends, with one tick between them."""
    groups = [timed("none", 10.0), timed("a", 10.0), timed("b", 10.0)]
    found = cost(groups, scores=groups, recipe=RECIPE, measured=costs({"a": 1.0, "b": 1.03}))
    shades = method_shades(["none", "a", "b"], "none")
    (axes,) = cost_section.cost_figure(found.methods, shades, width=7.0).axes
    low, high = axes.get_xlim()
    assert high / low == pytest.approx(1.5)
    assert low * high == pytest.approx(1.03)  # the marks are in the middle
    assert list(axes.get_xticks()) == [1, 1.2]


@pytest.mark.parametrize(
    ("methods", "message"),
    [(5, "methods is 5"), (None, "methods"), ([7], r"methods\[0\]"), (..., "methods")],
)
def test_a_damaged_part_is_named(
    made: tuple[Findings, Arrays], methods: object, message: str
) -> None:
    part = made[0].parts["cost"]
    numbers = {**part.numbers, "methods": methods}
    if methods is ...:
        del numbers["methods"]
    with pytest.raises(ValueError, match=f"the cost: .*{message}"):
        read_cost(dataclasses.replace(part, numbers=numbers))
