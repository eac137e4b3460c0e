"""A page of sections: whole in itself, safe against markup, with its figures beside it."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure

from lab.reports.pages import ABOUT, made_group
from mixwright.lab.analysis.findings import Findings, Part
from mixwright.lab.analysis.store import (
    arrays_beside,
    find_record,
    read_findings,
    write_findings,
)
from mixwright.lab.reports.page import SectionError, write_report
from mixwright.lab.reports.palette import BASELINE
from mixwright.lab.reports.section import Drawing, Page, Section, Table

WIDTHS: list[float] = []


def draw(width: float) -> Figure:
    WIDTHS.append(width)
    figure = Figure(figsize=(width, 1))
    figure.add_subplot().plot([0, 1], color=BASELINE.light)
    return figure


def write(part: Part, page: Page) -> dict[str, Section]:
    return {
        "first": Section(
            title="A <title>",
            protocol="What was done.",
            reading="What it says.",
            blocks=(
                Table(("", "top-1 %"), (("<b>none</b>", "64.0"),), "a caption", ("none",)),
                Drawing("lines", "Lines.", draw),
                Drawing("map", "A map.", draw, vector=False, needs=("first/none/map",)),
            ),
        )
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Findings of a part whose section is ours, stored."""
    name = "mixwright.lab.reports.sections.first"
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(write=write))
    group = made_group("none", "", [{"top1": 0.64}], baseline=True)
    about = replace(
        ABOUT,
        command="mixwright evaluate <x>",
        skipped=("CutMix: cam, because <reason>",),
        data=replace(ABOUT.data, note="Models & more"),
    )
    findings = Findings(kind="evaluation", about=about, parts={"first": Part(groups=(group,))})
    write_findings(tmp_path, findings, {"first/none/map": torch.zeros(2, 2)})
    WIDTHS.clear()
    return tmp_path


def test_everything_is_there_and_nothing_from_elsewhere(folder: Path) -> None:
    text = write_report(folder).read_text()
    for words in ("A &lt;title&gt;", "What was done.", "What it says.", "&lt;b&gt;none&lt;/b&gt;",
                  "64.0", "a caption", "Models &amp; more", "mixwright evaluate &lt;x&gt;",
                  "because &lt;reason&gt;", 'id="first"'):  # fmt: skip
        assert words in text
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert (folder / "figures" / "first-lines.png").stat().st_size > 500
    assert (folder / "figures" / "first-map.png").stat().st_size > 500


def test_lines_are_drawn_for_both_widths_and_take_the_colours_of_the_page(folder: Path) -> None:
    text = write_report(folder).read_text()
    assert {round(width, 1) for width in WIDTHS} == {6.6, 3.7}
    assert text.count("<svg") == 2
    assert "var(--m0)" in text
    assert text.count("data:image/png;base64,") == 2


def test_without_its_arrays_a_figure_is_the_one_that_was_stored(folder: Path) -> None:
    write_report(folder)
    file = folder / "figures" / "first-map.png"
    picture = file.read_bytes()
    arrays_beside(find_record(folder)).unlink()
    file.rename(folder / "kept.png")
    without = write_report(folder).read_text()
    assert "A map." not in without  # nothing to draw it from, and no picture
    assert "Lines." in without
    (folder / "kept.png").rename(file)
    text = write_report(folder).read_text()
    assert text.count(base64.b64encode(picture).decode()) == 2  # at both widths
    assert "A map." in text


def test_records_that_share_a_folder_have_pages_of_their_own(folder: Path) -> None:
    assert write_report(folder).name == "report.html"
    other = (folder / "evaluation.json").rename(folder / "mine.json")
    assert write_report(other).name == "mine.html"
    for name in ("evaluation.json", "comparison.json"):
        (folder / name).write_bytes(other.read_bytes())
    assert write_report(folder / "evaluation.json").name == "evaluation.html"
    with pytest.raises(ValueError, match=r"comparison\.json, evaluation\.json. Name the file"):
        write_report(folder)


def test_the_page_goes_where_it_is_told(folder: Path, tmp_path: Path) -> None:
    write_report(folder)
    picture = (folder / "figures" / "first-map.png").read_bytes()
    arrays_beside(find_record(folder)).unlink()
    page = write_report(folder, tmp_path / "new" / "folder")
    assert page == tmp_path / "new" / "folder" / "report.html"
    assert page.read_bytes() == write_report(folder).read_bytes()
    assert base64.b64encode(picture).decode() in page.read_text()  # the one that was stored
    assert (page.parent / "figures" / "first-lines.png").is_file()


@pytest.mark.parametrize("error", [KeyError("ours"), IndexError("ours"), ValueError("ours")])
def test_a_fault_of_ours_is_no_damage_and_costs_its_section_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(part: Part, page: Page) -> dict[str, Section]:
        raise error

    record = find_record(folder)
    findings = read_findings(record)
    name = "mixwright.lab.reports.sections.second"
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(write=fail))
    parts = {"second": findings.parts["first"], **findings.parts}
    write_findings(folder, replace(findings, parts=parts), {"first/none/map": torch.zeros(2, 2)})
    with pytest.raises(SectionError, match=r"report\.html is written, but for second,") as caught:
        write_report(folder)
    assert caught.value.__cause__ is error
    text = (folder / "report.html").read_text()
    assert "second failed, by a fault of mixwright" in text
    assert f"{type(error).__name__}: " in text
    assert "in fail" in text  # the place
    assert "A &lt;title&gt;" in text
    assert text.count("<svg") == 2


def test_a_figure_that_fails_costs_itself_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(width: float) -> Figure:
        raise KeyError("ours")

    def with_broken(part: Part, page: Page) -> dict[str, Section]:
        found = write(part, page)["first"]
        return {"first": replace(found, blocks=(Drawing("bad", "Bad.", broken), *found.blocks))}

    name = "mixwright.lab.reports.sections.first"
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(write=with_broken))
    with pytest.raises(SectionError, match="but for first: bad,"):
        write_report(folder)
    text = (folder / "report.html").read_text()
    assert "first: bad failed" in text
    assert "64.0" in text
    assert text.count("<svg") == 2


@pytest.mark.parametrize(
    "look",
    [
        lambda part: part.groups[0].intervals["gone"],
        lambda part: part.groups[0].first["gone"],
        lambda part: part.groups[1],
        lambda part: part.numbers["gone"],
    ],
)
def test_what_the_record_lacks_is_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch, look: Callable[[Part], object]
) -> None:
    def lacking(part: Part, page: Page) -> dict[str, Section]:
        look(part)
        return {}

    name = "mixwright.lab.reports.sections.first"
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(write=lacking))
    with pytest.raises(ValueError, match=r"evaluation\.json: damaged \(MissingError: .* not there"):
        write_report(folder)
    assert not (folder / "report.html").exists()
