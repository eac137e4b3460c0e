"""The page of a comparison: one file that needs nothing outside itself, its numbers in the JSON."""

from __future__ import annotations

import dataclasses
import gc
import json
import math
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from lab.reports import fabricated
from lab.reports.cells import DASH, MINUS, TIMES, tables
from lab.reports.fabricated import fabricate, group_of, page_of, report, with_scores
from mixwright.lab.analysis.curves import AllCurves, all_curves
from mixwright.lab.analysis.findings import Arrays, Failure, Findings
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.analysis.store import write_findings
from mixwright.lab.data.load import load_data
from mixwright.lab.reports import figures
from mixwright.lab.reports.page import write_report
from mixwright.lab.reports.palette import method_shades
from mixwright.lab.reports.section import Card, Cards
from mixwright.lab.reports.sections import curves as curves_section
from mixwright.lab.reports.sections.scores import accuracy_figure, methods_of
from mixwright.lab.settings import decode
from mixwright.lab.training.folder import read_metrics

TAUGHT_WORDS = (
    *("Own teacher", "to EMA of none", "teacher, %", "own teacher</li>", "diamonds"),
    *("A method's own teacher averages", "What the mixer did", ">Warnings<"),
)


class Made(NamedTuple):
    folder: Path
    findings: Findings
    arrays: Arrays
    page: str

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.folder / "comparison.json").read_text())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("plain")
    failed = (Failure(name="gmix, seed 1", error="ValueError: <so> it was"),)
    made = fabricate(folder, methods=("none", "mixup", "cutmix"), failures=failed)
    return Made(folder, *made, report(folder, made))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("taught")
    methods = ("none", "mixup", "fmix", "cutmix:alpha=0.5", "cutmix:alpha=0.25")
    made = fabricate(folder, methods=methods, taught=("fmix",), seconds=dict.fromkeys(methods, 99.0)
                     | {"fmix": 149.0, "mixup": 104.0})  # fmt: skip
    return Made(folder, *made, report(folder, made))


class _Reader(HTMLParser):
    """Collects what a browser would fetch, and whether every element is closed."""

    VOID = ("meta", "img", "br", "input", "link", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "data")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "data")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_nothing_is_asked_for_outside(plain: Made, taught: Made) -> None:
    for page in (plain.page, taught.page):
        bare = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", page)
        assert not re.findall(r"https?:|//[a-z]|@import|<script|<link", bare)
        assert all(address == "none" or address.startswith(("data:", "#"))
                   for address in re.findall(r"url\(([^)]*)\)", page))  # fmt: skip
        reader = _Reader()
        reader.feed(page)
        assert reader.open == []
        assert reader.fetched
        assert all(
            address.startswith(("data:image/png;base64,", "#")) for address in reader.fetched
        )


def test_all_that_figures_refer_to_is_on_the_page(plain: Made, taught: Made) -> None:
    for page in (plain.page, taught.page):
        named = set(re.findall(r' id="([^"]*)"', page))
        asked = set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', page))
        assert {one or other for one, other in asked} <= named
        assert any(name.startswith("C") for name in named)  # marks that are drawn all at once


def test_garbage_is_collected_after_a_page_as_before_it(plain: Made, tmp_path: Path) -> None:
    for enabled in (False, True):
        (gc.enable if enabled else gc.disable)()
        write_report(plain.folder, tmp_path)
        assert gc.isenabled() is enabled
        assert gc.get_freeze_count() == 0


def test_all_that_belongs_there_is_there(plain: Made) -> None:
    page = plain.page
    text = unescape(re.sub(r"<[^>]+>", " ", page))
    for words in (
        "2 mixing methods, smallconv on digits",
        "for both methods at once",
        "Diagnosis",
        "Recommendation",
        "digits are a toy",
        "Mean rank over 3 seeds",
        "test of all being alike: p = ",
        "86.5 ± 0.8",
        plain.findings.about.data.note,
        "0123456789 with changes",
        "mixwright compare --seeds 3",
        "Runs that did not finish",
        "on a shared machine, up to 2 runs at a time",
        "What each method does",
        "Every run",
    ):
        assert words in text, words
    assert re.search(r"Seeds\s+0, 1, 2; a seed fixes", text)
    assert "runs/cutmix-s2-" in text
    assert "&lt;so&gt; it was" in page  # what a run printed is text, not markup
    assert page.count("<svg") >= 2 * 4 + 3  # four figures in two widths, a curve a method
    assert "var(--m1)" in page
    assert set(re.findall(r"var\((--\w+)\)", page)) <= set(re.findall(r"(--\w+):", page))
    names = {path.name for path in (plain.folder / "figures").iterdir()}
    assert names == {
        "accuracy-top1.png", "accuracy-difference.png", "accuracy-ranks.png", "cost-time.png",
        "curves-all.png", "samples-all.png",
    }  # fmt: skip
    order = re.findall(r'<section id="([a-z-]+)">', page)
    assert order == ["answer", "accuracy", "calibration", "cost", "samples", "curves", "caveats",
                     "failures", "runs"]  # fmt: skip


def test_classes_are_text_and_no_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_data("digits")
    renamed = dataclasses.replace(data, classes=("<zero>", *data.classes[1:]))
    monkeypatch.setattr(fabricated, "load_data", lambda _: renamed)
    page = report(tmp_path, fabricate(tmp_path, methods=("mixup",), seeds=1))
    assert "&lt;zero&gt; " in page
    assert "<zero>" not in page


def test_without_a_teacher_nothing_speaks_of_it(plain: Made) -> None:
    assert not [words for words in TAUGHT_WORDS if words in plain.page]


def test_a_teacher_its_numbers_and_its_warnings(taught: Made) -> None:
    page = unescape(taught.page)
    assert not [words for words in TAUGHT_WORDS if words not in page]
    assert page.count("<h3>mask largest</h3>") == 1
    assert "seed 0, epoch 3; seed 1, epochs 3 to 4; seed 2, epochs 3 to 5" in page
    assert "masks &lt;vary&gt; by 0.003" in taught.page  # the last words on it, as text
    assert "mask &lt;spread&gt;</h3>" in taught.page


def test_every_row_has_as_many_cells_as_its_head(plain: Made, taught: Made) -> None:
    for page, count in ((plain.page, 4), (taught.page, 5)):
        found = re.findall(r"<table>.*?</table>", page, re.DOTALL)
        assert len(found) == count
        for table in found:
            heads = re.findall(r"<tr.*?</tr>", table.partition("</thead>")[0], re.DOTALL)
            spans = [re.findall(r"<th(?: [^>]*)?>", head) for head in heads]
            widths = {
                sum(int(re.findall(r'colspan="(\d)"', th)[0]) if "colspan" in th else 1
                    for th in one)
                for one in spans
            }  # fmt: skip
            rows = re.findall(r"<tr.*?</tr>", table.partition("</thead>")[2], re.DOTALL)
            widths |= {len(re.findall(r"<t[hd](?: [^>]*)?>", row)) for row in rows}
            assert len(widths) == 1, table


# What a cell says of stored numbers, written here anew.


def rounded(value: float | None, digits: int = 1, scale: float = 100) -> str:
    if value is None:
        return DASH
    return f"{scale * value:.{digits}f}".replace("-", MINUS)


def with_half(interval: dict[str, Any] | None, digits: int = 1, scale: float = 100) -> str:
    if interval is None:
        return DASH
    half = (interval["high"] - interval["low"]) / 2
    return f"{rounded(interval['mean'], digits, scale)} ± {rounded(half, digits, scale)}"


def gain(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return DASH
    text = with_half(difference["interval"])
    return text if text.startswith(MINUS) else f"+{text}"


def p_text(difference: dict[str, Any] | None) -> str:
    if difference is None or difference["p"] is None:
        return DASH
    p = difference["p"]
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.0995 else f"{p:.2f}"


def section_of(page: str, name: str) -> str:
    (found,) = re.findall(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
    return found


def minutes(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{round(seconds) // 60} min {round(seconds) % 60} s"


def groups_of(record: dict[str, Any], part: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(one["method"], one["weights"]): one for one in record["parts"][part]["groups"]}


def step_cost(spending: dict[str, Any]) -> str:
    return f"{1 if spending['baseline'] else spending['step']['ratio']:.2f}{TIMES}"


@pytest.mark.parametrize("which", ["plain", "taught"])
def test_every_number_in_the_tables_stands_in_the_record(
    which: str, request: pytest.FixtureRequest
) -> None:
    made: Made = request.getfixturevalue(which)
    record = made.record
    found, spent = groups_of(record, "scores"), record["parts"]["cost"]["numbers"]["methods"]
    methods = [method for method, weights in found if weights == "raw"]
    kinds = ("raw", "ema", "teacher") if which == "taught" else ("raw", "ema")
    seconds = groups_of(record, "cost")
    accuracy, calibration, cost, *sweeps, runs = (rows for _, rows in tables(made.page))

    def of(method: str, weights: str) -> dict[str, Any]:
        missing = {"intervals": {}, "differences": {}, "summaries": None}
        return found.get((method, weights), missing)

    for method, row, quality, time, spending in zip(
        methods, accuracy, calibration, cost, spent, strict=True
    ):
        name = found[method, "raw"]["name"]
        cells = [
            cell
            for weights in kinds
            for difference in [of(method, weights)["differences"].get("top1")]
            for cell in (
                with_half(of(method, weights)["intervals"].get("top1")),
                gain(difference),
                p_text(difference),
            )
        ]
        assert row == [name, *cells, step_cost(spending)]
        top1, ece, nll = (
            [with_half(of(method, weights)["intervals"].get(measure), digits, scale)
             for weights in kinds]
            for measure, digits, scale in (("top1", 1, 100), ("ece", 1, 100), ("nll", 3, 1))
        )  # fmt: skip
        assert quality == [name, *top1, *ece, *nll]
        step = spending["step"]
        assert time == [
            name,
            f"{spending['cost']:.2f}{TIMES}",
            " to ".join(f"{step[end]:.2f}{TIMES}" for end in ("low", "high")) if step else DASH,
            minutes(spending["seconds"]),
            with_half(spending["top1"]),
            "on the front" if spending["front"] else "",
            DASH if spending["epochs_needed"] is None else str(spending["epochs_needed"]),
        ]
    rows = iter(runs)
    for method in methods:
        raw = found[method, "raw"]
        for place, seed in enumerate(raw["seeds"]):
            summary, others = raw["summaries"][place], kinds[1:]
            tops = [
                kept[place]["top1"] if (kept := of(method, weights)["summaries"]) else None
                for weights in others
            ]
            assert next(rows) == [
                raw["name"],
                str(seed),
                rounded(summary["top1"]),
                *(rounded(top1) for top1 in tops),
                rounded(summary["protocols"]["median10"]["top1"]),
                f"{rounded(summary['best']['top1'])} (epoch {summary['best']['epoch']})",
                rounded(summary["ece"]),
                rounded(summary["nll"], 3, 1),
                minutes(seconds[method, ""]["summaries"][place]["seconds"]),
                raw["folders"][place],
            ]
    assert next(rows, None) is None
    for rows in sweeps:
        (sweep,) = record["parts"]["sweep"]["numbers"]["sweeps"]
        assert rows == [
            [f"{value:g}", with_half(found[method, "raw"]["intervals"]["top1"]),
             gain(found[method, "raw"]["differences"]["top1"])]
            for value, method in zip(sweep["values"], sweep["methods"], strict=True)
        ]  # fmt: skip
        assert [row[0] for row in rows] == ["0.25", "0.5"]
    assert len(sweeps) == (which == "taught")


def test_judgement_and_ranks_stand_in_the_record(plain: Made) -> None:
    record = plain.record
    ranking = record["parts"]["scores"]["numbers"]["ranking"]
    (p,) = re.findall(r"test of all being alike: p = ([\d.]+)\.", plain.page)
    assert p == p_text({"p": ranking["p"]})
    assert len(ranking["mean"]) == len(ranking["keys"]) == 3
    assert ranking["distance"] == pytest.approx(2.343 * math.sqrt(12 / 18), abs=1e-2)
    answer = unescape(re.sub(r"<[^>]+>", " ", section_of(plain.page, "answer")))
    for method in ("mixup", "cutmix"):
        found = groups_of(record, "scores")[method, "raw"]["differences"]["top1"]
        sure = found["p"] < 0.05
        assert found["pooled"]
        assert found["freedom"] == 4
        assert f"{100 * found['own']:.1f}" in answer
        assert sure == (found["interval"]["low"] * found["interval"]["high"] > 0)
    assert answer.index("Effect") < answer.index("How sure") < answer.index("Diagnosis")
    assert answer.index("Diagnosis") < answer.index("Recommendation") < answer.index("mixwright")
    (lede,) = re.findall(r'<p class="lede">(.*?)</p>', plain.page)
    assert unescape(lede) in " ".join(answer.split())


def test_a_page_made_again_has_the_same_bytes(plain: Made, taught: Made) -> None:
    for made in (plain, taught):
        first = {
            path.name: path.read_bytes()
            for path in (made.folder / "report.html", *(made.folder / "figures").iterdir())
        }
        shutil.rmtree(made.folder / "runs", ignore_errors=True)
        shutil.rmtree(made.folder / "figures")
        (made.folder / "report.html").unlink()
        write_report(made.folder / "comparison.json")
        paths = (made.folder / "report.html", *(made.folder / "figures").iterdir())
        assert {path.name: path.read_bytes() for path in paths} == first


def test_curves_that_share_a_figure_are_those_of_figures_of_their_own(plain: Made) -> None:
    page = page_of((plain.findings, plain.arrays))

    def cards() -> tuple[Card, ...]:
        (block,) = curves_section.write(plain.findings.parts["curves"], page)["curves"].blocks
        assert isinstance(block, Cards)
        return block.cards

    with figures.styled():
        shared = [figures.to_svg(card.make(), (), salt=f"card {card.key}") for card in cards()]
        alone = [
            figures.to_svg(cards()[place].make(), (), salt=f"card {card.key}")
            for place, card in enumerate(cards())
        ]
    assert shared == alone
    assert len(set(shared)) == 3


def test_a_figure_is_drawn_once_for_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = list[str]()
    draw = Figure.draw

    def counted(figure: Figure, renderer: Any) -> None:
        drawn.append(type(renderer).__name__)
        draw(figure, renderer)

    monkeypatch.setattr(Figure, "draw", counted)
    with figures.styled():
        figure, axes = figures.canvas(3, 2)
        axes.plot([0, 1], [0, 1])
        axes.set_ylabel("high")
        figures.to_svg(figure, (), salt="s")
        left = axes.get_position().x0
        figures.to_png(figure, tmp_path / "figure.png")
    assert len(drawn) == 2
    assert axes.get_position().x0 == left  # the page and the file show the same
    assert left > 0.15  # there is room for the label: it was laid out


def test_curves_hold_the_teacher_and_diagnostics(tmp_path: Path) -> None:
    findings, _ = fabricate(tmp_path, methods=("none", "fmix"), taught=("fmix",), seeds=2)
    stored = decode(AllCurves, findings.parts["curves"].numbers, where="here")
    own, none = stored.methods["fmix"], stored.methods["none"]
    assert none.test["teacher"].epochs == ()
    assert none.diagnostics == {}
    assert own.test["teacher"].epochs == tuple(range(2, 21, 2))
    assert [*own.diagnostics] == ["mask <spread>", "mask largest", "mask follows lam"]
    assert own.diagnostics["mask largest"].mean[-1] == pytest.approx(0.7, abs=0.01)
    # By hand from the files: mean and range over two runs, epoch by epoch.
    one, other = (
        [line["test"]["ema"]["top1"] for line in read_metrics(folder) if line["test"]]
        for folder in sorted((tmp_path / "runs").glob("fmix-s*"))
    )
    assert own.test["ema"].mean == pytest.approx(
        [(a + b) / 2 for a, b in zip(one, other, strict=True)]
    )
    assert own.test["ema"].low == pytest.approx([*map(min, one, other)])
    assert own.test["ema"].high == pytest.approx([*map(max, one, other)])
    shade = method_shades(["fmix"], None)["fmix"]
    with figures.styled():
        lines: list[int] = []
        for curves in (none, own):
            figure, axes = figures.canvas(3.1, 2.1)
            curves_section.curves_panel(axes, curves, None, shade, floor=0.0)
            lines.append(len(figure.axes[0].lines[-1].get_xdata()))  # pyright: ignore
    assert lines == [0, 10]


def test_no_curve_ends_below_the_axis() -> None:
    def runs(top1: float) -> list[list[dict[str, Any]]]:
        test = {"raw": {"top1": 0.8}, "ema": {"top1": 0.8}, "teacher": {"top1": top1}}
        return [[{"epoch": 1, "train": {"accuracy": 0.9}, "test": test}]]

    assert all_curves({"fmix": runs(0.4)}).floor == pytest.approx(0.05)
    assert all_curves({"fmix": runs(0.3)}).floor == 0.0


def test_an_accuracy_axis_ends_where_no_accuracy_can_be(plain: Made) -> None:
    wide = Interval(mean=0.5, low=-1.5, high=2.5, count=2, deviation=0.2)
    group = group_of(plain.findings, "none raw")
    group = dataclasses.replace(group, intervals=group.intervals | {"top1": wide})
    findings = with_scores(plain.findings, none_raw=group)
    methods = methods_of(findings.parts["scores"])
    (axes,) = accuracy_figure(methods, page_of((findings, {})), width=7).axes
    assert axes.get_xlim() == (-2, 102)  # half a mark beyond 0 and 100 %
    ends = [
        segment[:, 0].tolist()
        for lines in axes.collections
        if isinstance(lines, LineCollection)
        for segment in lines.get_segments()
    ]
    assert [-150.0, 250.0] in ends


def test_a_figure_has_the_same_bytes_each_time(plain: Made) -> None:
    page = page_of((plain.findings, {}))
    methods = methods_of(plain.findings.parts["scores"])
    colours = list(dict.fromkeys(page.shades.values()))
    with figures.styled():
        svgs = {
            figures.to_svg(accuracy_figure(methods, page, width=4), colours, salt="a")
            for _ in range(2)
        }
    assert len(svgs) == 1
    assert "#0068a8" not in svgs.pop()  # every colour became a variable of the page


def test_one_method_and_one_seed(tmp_path: Path) -> None:
    page = report(tmp_path, fabricate(tmp_path, methods=("mixup",), seeds=1))
    assert "no differences to judge" in page
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert "accuracy-top1.png" in names
    assert not names & {"accuracy-difference.png", "accuracy-ranks.png"}


def test_a_page_without_its_arrays_takes_the_pictures_beside_it(tmp_path: Path) -> None:
    """Samples have none; what is drawn from numbers alone is drawn."""
    findings, _ = fabricate(tmp_path, methods=("none", "mixup"), seeds=1)
    page = write_report(write_findings(tmp_path, findings, {})).read_text()
    assert "What each method does" in page
    assert 'alt="mixed image"' not in page
