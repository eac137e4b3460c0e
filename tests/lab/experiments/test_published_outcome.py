"""Our numbers beside the printed ones, by records that were made by hand."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from lab.reports.pages import made_group
from mixwright.lab.analysis.findings import About, Dataset, Findings, Part
from mixwright.lab.analysis.measures import with_statistics
from mixwright.lab.analysis.store import read_findings, write_findings
from mixwright.lab.experiments.published.load import find_item, read_item
from mixwright.lab.experiments.published.outcome import (
    Outcome,
    column_outcome,
    lead_words,
    outcome_of,
)
from mixwright.lab.reports.formatting import MINUS
from mixwright.lab.reports.published_tables import as_markdown, lead_sentences, outcome_tables
from mixwright.lab.reports.sections.published import read_outcome

ITEM = read_item(
    """
title = "mine"
paper = "ours"
[rows]
Vanilla = {method = "none"}
Good = {method = "mixup"}
Teacher = {method = "automix", weights = "teacher"}
[[steps]]
name = "runs"
command = "compare"
[[columns]]
head = "top-1"
step = "runs"
published = {Vanilla = 56.0, Good = 70.0, Teacher = 60.5}
contradicted = {Good = "elsewhere: 71"}
source = "Table 1"
leads = [["Good", "Teacher"]]
[[columns]]
head = "seconds"
step = "runs"
part = "cost"
path = "step_seconds"
scale = 1
weights = ""
better = "lower"
published = {Vanilla = 1.0, Good = 2.0}
source = "Table 1"
[scales.tiny]
about = "less"
steps = {runs = {epochs = 1}}
""",
    where="my.toml",
)


def scores(*values: float) -> list[dict[str, Any]]:
    return [{"protocols": {"median10": {"top1": value}}, "top1": 0.0} for value in values]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A comparison of three methods over three seeds, the third one with a teacher."""
    groups = [
        made_group("none", "raw", scores(0.50, 0.52, 0.54), baseline=True),
        made_group("mixup", "raw", scores(0.60, 0.62, 0.64)),
        made_group("automix", "raw", scores(0.10, 0.10, 0.10)),
        made_group("automix", "teacher", scores(0.49, 0.53, 0.55)),
    ]
    cost = [
        replace(made_group("none", "", [{"step_seconds": 0.5}] * 3), key="none"),
        replace(made_group("mixup", "", [{"step_seconds": 0.6}] * 3), key="mixup"),
    ]
    about = About(
        command="mixwright compare", finished="2024-01-01T00:00:00+00:00", seconds=1.0, machine={},
        commit=None, versions={},
        data=Dataset(name="d", note="", classes=("a",), train=1, test=1, shape=(3, 8, 8)),
    )  # fmt: skip
    parts = {
        "scores": Part(groups=with_statistics(groups)),
        "cost": Part(groups=with_statistics(cost)),
    }
    write_findings(tmp_path / "runs", Findings(kind="comparison", about=about, parts=parts), {})
    return tmp_path


def test_published_numbers_stand_beside_ours(folder: Path) -> None:
    found = column_outcome(ITEM.columns[0], ITEM, {"runs": folder / "runs"}, published_scale=True)
    vanilla, good, teacher = found.cells
    assert vanilla.ours is not None
    # 52 +- t(0.975, 2) * 2 / sqrt(3) = 52 +- 4.3027 * 1.1547
    assert vanilla.ours.mean == pytest.approx(52.0)
    assert vanilla.ours.high == pytest.approx(52.0 + 4.96828, abs=1e-4)
    assert (vanilla.difference, vanilla.covered) == (pytest.approx(-4.0), True)
    assert (good.difference, good.covered) == (pytest.approx(-8.0), False)
    assert good.contradicted == "elsewhere: 71"
    assert teacher.ours is not None  # the teacher's numbers, not those of its trained weights
    assert teacher.ours.mean == pytest.approx(100 * (0.49 + 0.53 + 0.55) / 3)
    assert teacher.weights == "teacher"


def test_leads_are_turned_so_that_the_published_first_is_ahead(folder: Path) -> None:
    found = column_outcome(ITEM.columns[0], ITEM, {"runs": folder / "runs"}, published_scale=True)
    by_pair = {(lead.first, lead.second): lead for lead in found.leads}
    assert list(by_pair) == [("Good", "Vanilla"), ("Teacher", "Vanilla"), ("Good", "Teacher")]
    good = by_pair["Good", "Vanilla"]
    assert (good.published, good.ours.mean) == (pytest.approx(14.0), pytest.approx(10.0))
    weak = by_pair["Teacher", "Vanilla"]
    assert weak.verdict == "as published?"  # 49 - 50, 53 - 52, 55 - 54
    assert weak.detectable is not None
    assert weak.showable == (weak.detectable <= 4.5)
    assert by_pair["Good", "Teacher"].published == pytest.approx(9.5)


def test_less_is_better_where_a_column_says_so(folder: Path) -> None:
    found = column_outcome(ITEM.columns[1], ITEM, {"runs": folder / "runs"}, published_scale=True)
    assert [cell.missing for cell in found.cells] == ["", "", "cost of step runs has no automix"]
    (lead,) = found.leads
    # Published: Vanilla takes 1 second less, and so it is here, by 0.1; equal seeds have no spread.
    assert (lead.first, lead.second, lead.published) == ("Vanilla", "Good", 1.0)
    assert lead.ours.mean == pytest.approx(0.1)
    assert (lead.p, lead.detectable, lead.showable) == (None, None, None)
    assert lead.verdict == "as published?"


def test_a_row_without_a_number_takes_no_lead_away_without_a_word(folder: Path) -> None:
    """At a scale without the first row nothing is left to compare the others with."""
    tiny = replace(ITEM.scales["tiny"], rows=("Good", "Teacher"))
    item = replace(ITEM, scales={"tiny": tiny})
    found = outcome_of("mine", item.at("tiny"), "tiny", folders={"runs": folder / "runs"}, steps=())
    column = found.columns[0]
    assert [(lead.first, lead.second) for lead in column.leads] == [("Good", "Teacher")]
    assert column.lost == (("Good", "Vanilla"), ("Teacher", "Vanilla"))
    said = (
        "Not compared, since one of the two has no number of ours: Good against Vanilla; Teacher "
        "against Vanilla."
    )
    assert outcome_tables(found)[0][1].caption.endswith(said)
    assert f"tiny scale of top-1: {said}" in lead_sentences(found)
    assert read_outcome(Part(groups=(), numbers=asdict(found))).columns[0].lost == column.lost
    whole = column_outcome(ITEM.columns[0], ITEM, {"runs": folder / "runs"}, published_scale=True)
    assert whole.lost == ()


def outcome(folder: Path, scale: Any) -> Outcome:
    return outcome_of("mine", ITEM.at(scale), scale, folders={"runs": folder / "runs"}, steps=())


def test_another_scale_is_never_set_against_the_published_table(folder: Path) -> None:
    tiny = outcome(folder, "tiny")
    assert tiny.caution == (
        "tiny scale: other data, net and schedule; not the published table (less)"
    )
    cells = [cell for column in tiny.columns for cell in column.cells]
    assert {(cell.difference, cell.covered) for cell in cells} == {(None, None)}
    title, table = outcome_tables(tiny)[0]
    assert (title, table.head) == (
        "tiny scale of top-1, %",
        ("", "METHOD", "published", "ours, not the published table"),
    )
    assert table.rows[1] == ("Good", "mixup", "70.00 *", "62.00 ± 4.97")
    text = as_markdown(tiny)
    assert text.startswith("# mine, tiny scale\n")
    assert f"**{tiny.caution}**" in text
    assert "| Good | mixup | 70.00 * | 62.00 ± 4.97 |" in text


def test_at_the_published_scale_the_table_says_what_is_covered(folder: Path) -> None:
    paper = outcome(folder, "paper")
    assert paper.caution == ""
    _, table = outcome_tables(paper)[0]
    assert table.head[-2:] == ("difference", "interval covers it")
    assert table.rows[0] == ("Vanilla", "none", "56.00", "52.00 ± 4.97", f"{MINUS}4.00", "yes")
    assert table.rows[2][1] == "automix, teacher"
    assert "* Good: elsewhere: 71." in table.caption


def test_what_was_not_run_is_said(tmp_path: Path) -> None:
    found = column_outcome(ITEM.columns[0], ITEM, {}, published_scale=True)
    assert {cell.missing for cell in found.cells} == {"step runs was not run"}
    assert found.leads == ()
    found = column_outcome(ITEM.columns[0], ITEM, {"runs": tmp_path}, published_scale=True)
    assert {cell.missing for cell in found.cells} == {"step runs has no record"}
    odd = replace(ITEM.columns[0], path="nothing.here")
    found = column_outcome(odd, ITEM, {"runs": tmp_path}, published_scale=True)
    assert found.cells[0].ours is None


RECORDS = Path(__file__).parents[3] / "benchmarks" / "results" / "reproduce"


@pytest.mark.parametrize("name", sorted(folder.name for folder in RECORDS.iterdir()))
def test_committed_tables_are_those_of_their_records(name: str) -> None:
    record = RECORDS / name / f"{name}.json"
    found = read_outcome(read_findings(record).parts["published"])
    assert f"{found.item.replace(':', '-')}-{found.scale}" == name
    assert record.with_suffix(".md").read_text() == as_markdown(found)
    assert find_item(found.item).title == found.title


def test_words_say_whether_it_could_have_been_seen(folder: Path) -> None:
    good = outcome(folder, "paper").columns[0].leads[0]
    assert lead_words(good).startswith("as published, beyond chance; 14 could have been seen")
    small = replace(good, published=0.3, showable=False, verdict="against?")
    assert lead_words(small) == (
        "the other way, but it may be chance; 0.3 would hardly have been seen with 3 seeds"
    )
