"""What a comparison at equal time says of itself: numbers by hand, figure at both widths."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lab.reports.fabricated import costs, fabricate, page_of
from lab.reports.pages import cells, drawings, drawn, tables
from lab.reports.sections.test_cost_and_sweep_sections import RECIPE, timed
from mixwright.lab.analysis.cost import cost, read_cost
from mixwright.lab.analysis.findings import Arrays, Findings
from mixwright.lab.analysis.store import read_findings, write_findings
from mixwright.lab.cli.table import print_comparison
from mixwright.lab.reports.caveats import caveats
from mixwright.lab.reports.comparison_page import heading
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.formatting import NONE, TIMES
from mixwright.lab.reports.section import Section
from mixwright.lab.reports.sections import cost as cost_section

SAID = "equal processor time: epochs none 20, mixup 16, cutmix 8"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, Arrays]:
    """20 epochs without mixing; of 1.25 and 2.4 times the cost 16 and 8 (20 / 2.4 = 8.3)."""
    folder = tmp_path_factory.mktemp("equal")
    findings, arrays = fabricate(
        folder,
        methods=("none", "mixup", "cutmix"),
        seconds={"none": 99.0, "mixup": 79.0, "cutmix": 39.0},
        ratios={"mixup": 1.25, "cutmix": 2.4},
        same_time=True,
    )
    return read_findings(write_findings(folder, findings, arrays)), arrays


def section_of(made: tuple[Findings, Arrays]) -> Section:
    return cost_section.write(made[0].parts["cost"], page_of(made))["cost"]


def test_costs_are_of_the_epochs_that_were_trained(made: tuple[Findings, Arrays]) -> None:
    found = read_cost(made[0].parts["cost"])
    assert found.own_epochs == {"none": 20, "mixup": 16, "cutmix": 8}
    assert [one.cost for one in found.methods] == pytest.approx([1.0, 1.25 * 0.8, 2.4 * 0.4])
    assert [one.step_times for one in found.methods] == [1.0, 1.25, 2.4]
    assert [one.epochs_needed for one in found.methods] == [None] * 3
    recipe = made[0].about.recipe or {}
    assert (recipe["epochs"], found.epochs) == (20, 20)


def test_what_comes_before_the_first_epoch_does_not_shrink_with_it() -> None:
    """0.4 of a plain training before it, then 8 of 20 epochs at 1.2: 0.4 + 0.48."""
    steps = costs({"mixup": 1.2})
    search = dataclasses.replace(steps.methods["mixup"], training=1.6)
    measured = dataclasses.replace(steps, methods={"mixup": search})

    def spent(seconds: float, step: float = 0.01) -> tuple[float | None, bool]:
        groups = [timed("none", 10.0), timed("mixup", seconds, step=step)]
        found = cost(groups, scores=groups, recipe=RECIPE, measured=measured,
                     own_epochs={"none": 20, "mixup": 8}).methods[1]  # fmt: skip
        return found.cost, found.outside

    assert spent(10.0)[0] == pytest.approx(0.88)
    # Of no mixing's 1,000 steps 0.88 / 1.2 are explained, and half as many again are allowed.
    assert spent(10.9)[1] is False
    assert spent(11.1) == (None, True)


def test_the_section_says_how_long_each_was_trained(made: tuple[Findings, Arrays]) -> None:
    section = section_of(made)
    assert section.title == "Accuracy at equal cost of training"
    assert section.protocol.startswith(SAID.replace("equal", "Equal", 1) + ". ")
    assert "as many epochs as cost no more than 20 without mixing" in section.protocol
    assert "the same for all" not in section.protocol  # fewer epochs are evaluated less often
    text = section.protocol + section.reading
    for untrue in ("Pareto", "--epochs", "trained until it cost as much", "of 20 epochs"):
        assert untrue not in text
    assert "no comparison at equal epochs" in section.reading
    (table,) = tables(section)
    rows = cells(table)
    assert [rows[name]["epochs"] for name in ("No mixing", "MixUp", "CutMix")] == ["20", "16", "8"]
    assert rows["CutMix"]["cost of a step"] == "2.40" + TIMES
    assert rows["CutMix"]["a step, by round"] == f"2.30{TIMES} to 2.50{TIMES}"
    assert rows["CutMix"]["cost of training"] == "0.96" + TIMES
    assert (rows["No mixing"]["a step, by round"], rows["No mixing"]["cost of training"]) == (
        NONE, "1.00" + TIMES,
    )  # fmt: skip
    assert drawn(section) == ["time"]


def test_the_figure_shows_top1_over_the_cost_so_far(made: tuple[Findings, Arrays]) -> None:
    section = section_of(made)
    with styled():
        (axes,) = drawings(section)["time"].make(6.6).axes
    # Every second epoch is evaluated: of CutMix 2, 4, 6 and 8, each 2.4 / 20 of a training.
    ways = [way for line in axes.lines if len(way := np.asarray(line.get_xdata())) > 2]
    assert sorted(len(way) for way in ways) == [4, 8, 10]
    (cutmix,) = (way for way in ways if len(way) == 4)
    assert list(cutmix) == pytest.approx([0.24, 0.48, 0.72, 0.96])
    assert max(max(way) for way in ways) == pytest.approx(1.0)


def test_without_curves_the_ends_stand_alone(made: tuple[Findings, Arrays]) -> None:
    findings, arrays = made
    none = {"epochs": [], "mean": [], "low": [], "high": []}
    numbers = {
        **findings.parts["curves"].numbers,
        "methods": {
            text: {**own, "test": {**own["test"], "raw": none}}
            for text, own in findings.parts["curves"].numbers["methods"].items()
        },
    }
    part = dataclasses.replace(findings.parts["curves"], numbers=numbers)
    bare = dataclasses.replace(findings, parts={**findings.parts, "curves": part})
    assert drawn(section_of((bare, arrays))) == ["time"]


def test_runs_that_take_longer_than_their_steps_are_named(made: tuple[Findings, Arrays]) -> None:
    findings, arrays = made
    part = findings.parts["cost"]
    methods = [dict(one) for one in part.numbers["methods"]]
    methods[2] |= {"outside": True, "cost": None}
    part = dataclasses.replace(part, numbers={**part.numbers, "methods": methods})
    changed = dataclasses.replace(findings, parts={**findings.parts, "cost": part})
    section = section_of((changed, arrays))
    assert "The time of CutMix is not equal" in section.reading
    assert cells(tables(section)[0])["CutMix"]["cost of training"] == NONE
    drawn(section)


def test_heading_caveats_and_table_say_it_too(made: tuple[Findings, Arrays]) -> None:
    head = heading(page_of(made))
    assert "the time of 20 epochs without mixing" in head.subtitle
    assert dict(head.metadata)["Training"] == SAID
    told = caveats(made[0])
    assert told[0].startswith("Methods had the same processor time, not the same epochs")
    assert "had more time" not in told[0]
    assert SAID in told[0]
    assert not [sentence for sentence in told if "published recipe" in sentence]
    assert "Recipe by method" not in dict(head.metadata)
    # 100 images in batches of 25: 8 epochs are 32 steps, of which EMA spans (10 + 32) / 9.
    (ema,) = (sentence for sentence in told if sentence.startswith("EMA is"))
    assert "after the 32 steps of the shortest run it spans about the last 5 of them" in ema
    console = Console(width=200, record=True, file=io.StringIO())
    print_comparison(made[0], console)
    assert SAID in " ".join(console.export_text().split())


def test_an_epoch_that_costs_more_than_there_is_is_named(tmp_path: Path) -> None:
    """Three epochs without mixing, of which one of CutMix costs 4.2, and two of MixUp 2.5."""
    findings, arrays = fabricate(
        tmp_path,
        methods=("none", "mixup", "cutmix"),
        epochs=3,
        seconds={"none": 99.0, "mixup": 69.0, "cutmix": 39.0},
        ratios={"mixup": 1.25, "cutmix": 4.2},
        same_time=True,
    )
    words = f"so CutMix (1.40{TIMES}) had more time than no mixing; more epochs for all (--epochs)"
    assert words in caveats(findings)[0]
    assert words in section_of((findings, arrays)).reading


def test_at_equal_epochs_nothing_of_it_is_said(tmp_path: Path) -> None:
    plain = fabricate(tmp_path, methods=("none", "mixup"), ratios={"mixup": 1.25})
    assert read_cost(plain[0].parts["cost"]).own_epochs == {}
    head = heading(page_of(plain))
    assert "· 20 epochs ·" in head.subtitle
    assert dict(head.metadata)["Training"] == "20 epochs"
    assert not [sentence for sentence in caveats(plain[0]) if "not the same epochs" in sentence]
