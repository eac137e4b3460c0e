"""The report: one file that needs nothing outside itself, and that a browser can show."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from mixwright.lab.analysis.comparison import Comparison, Failure
from mixwright.lab.reports.curves import read_curves
from mixwright.lab.reports.html import render_report, write_gallery, write_report
from mixwright.lab.reports.tables import headline
from torch import nn

from lab.reports.fabricated import fabricate
from mixwright.checkpoint import CheckpointError
from mixwright.lab.data.load import load_data
from mixwright.lab.experiments import saved
from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.experiments.saved import Saved
from mixwright.lab.reports import figures, html
from mixwright.lab.reports.gallery import Exhibit, exhibit
from mixwright.lab.reports.palette import method_shades
from mixwright.lab.training.recipe import Recipe

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CLASSES = ("<zero>", "one", "two", "three")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture(scope="module")
def record(folder: Path) -> Comparison:
    failed = (Failure("gmix, seed 1", "ValueError: <so> it was"),)
    return fabricate(folder, methods=("none", "mixup", "cutmix"), failures=failed)


@pytest.fixture(scope="module")
def exhibits() -> list[Exhibit]:
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return [
        exhibit(parse_method(text), images, torch.arange(4), CLASSES, count=2, seed=0)
        for text in ("mixup", "cutmix")
    ]


@pytest.fixture(scope="module")
def page(record: Comparison, folder: Path, exhibits: list[Exhibit]) -> str:
    return render_report(record, folder, exhibits)


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


def test_nothing_is_asked_for_outside(page: str) -> None:
    assert not re.findall(r"https?:|//[a-z]|@import|<script|<link", page)
    assert all(address == "none" or address.startswith(("data:", "#"))
               for address in re.findall(r"url\(([^)]*)\)", page))  # fmt: skip
    reader = _Reader()
    reader.feed(page)
    assert reader.open == []
    assert reader.fetched
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in reader.fetched)


def test_all_that_belongs_there_is_there(page: str, record: Comparison, folder: Path) -> None:
    text = re.sub(r"<[^>]+>", " ", page)
    for words in (
        "2 mixing methods, smallconv on digits",
        "paired by seed and corrected for 2 methods (Holm)",
        "not distinguishable from no mixing at 3 seeds",
        "Mean rank over 3 seeds",
        "test of all being alike: p = ",
        "86.5 ± 0.8",
        record.data["note"],
        "0123456789 with changes",
        "mixwright compare --seeds 3",
        "Runs that did not finish",
        "runs/cutmix-s2-0123abcd",
        "shared the machine",
    ):
        assert words in text, words
    assert "&lt;so&gt; it was" in page  # what a run printed is text, not markup
    assert "&lt;zero&gt;" in page
    assert page.count("<svg") >= 6 + 3  # three figures in two widths, a curve a method
    assert "var(--m1)" in page
    names = {path.name for path in (folder / "figures").iterdir()}
    assert names == {"accuracy.png", "difference.png", "ranks.png", "curves.png", "samples.png",
                         "cost-time.png"}  # fmt: skip
    for row in headline(record)[1:]:
        assert f"<td>{row.p_raw}</td>" in page
    assert page.count("p<sub>Holm</sub>") == 3  # a column for each kind of weights, and its note


TAUGHT_WORDS = (
    *("Own teacher", "to EMA of none", "teacher, %", "own teacher</li>", "diamonds"),
    *("A method's own teacher averages", "What the mixer did", "Alarms"),
)


def test_without_a_teacher_nothing_speaks_of_it(page: str) -> None:
    assert not [words for words in TAUGHT_WORDS if words in page]


def test_a_teacher_what_it_saw_and_its_alarms(tmp_path: Path) -> None:
    record = fabricate(tmp_path, methods=("none", "mixup", "fmix"), taught=("fmix",))
    page = unescape(render_report(record, tmp_path, []))
    assert not [words for words in TAUGHT_WORDS if words not in page]
    row = headline(record)[2]
    for cell in (row.teacher, row.against_teacher, row.ece[2], row.nll[2]):
        assert f">{cell}</td>" in page, cell
    assert page.count("<h3>mask largest</h3>") == 1
    assert "seed 0, epoch 3; seed 1, epochs 3 to 4; seed 2, epochs 3 to 5" in page
    raw = render_report(record, tmp_path, [])
    assert "masks &lt;vary&gt; by 0.003" in raw  # the last words on it, as text
    assert "mask &lt;spread&gt;</h3>" in raw
    reader = _Reader()
    reader.feed(raw)
    assert reader.open == []


def test_every_row_has_as_many_cells_as_its_head(tmp_path: Path) -> None:
    for taught in ((), ("fmix",)):
        record = fabricate(tmp_path, methods=("none", "fmix"), taught=taught)
        page = render_report(record, tmp_path, [])
        tables = re.findall(r"<table>.*?</table>", page, re.DOTALL)
        assert len(tables) == 4
        for table in tables:
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


def test_curves_hold_the_teacher_and_what_was_seen(tmp_path: Path) -> None:
    record = fabricate(tmp_path, methods=("none", "fmix"), taught=("fmix",), seeds=2)
    plain, own = (read_curves(method, tmp_path) for method in record.methods)
    assert plain.teacher.epochs == ()
    assert plain.seen == {}
    assert own.teacher.epochs == tuple(range(2, 21, 2))
    assert [*own.seen] == ["mask <spread>", "mask largest", "mask follows lam"]
    assert own.seen["mask largest"].mean[-1] == pytest.approx(0.7, abs=0.01)
    low = replace(own, teacher=replace(own.teacher, mean=(0.4,)))
    assert figures.lowest([low]) == pytest.approx(0.05)  # no curve ends below the axis
    shade = method_shades(["fmix"], None)["fmix"]
    with figures.styled():
        lines = [
            len(figures.curve_figure(one, None, shade, floor=0.0).axes[0].lines[-1].get_xdata())
            for one in (plain, own)
        ]
    assert lines == [0, 10]


def test_a_figure_has_the_same_bytes_each_time(record: Comparison) -> None:
    shades = method_shades([method.text for method in record.methods], record.baseline)
    with figures.styled():
        svgs = {
            figures.to_svg(figures.accuracy_figure(record, shades, width=4), shades, salt="a")
            for _ in range(2)
        }
    assert len(svgs) == 1
    assert "#0068a8" not in svgs.pop()  # every colour became a variable of the page


def test_one_method_and_one_seed(tmp_path: Path) -> None:
    page = render_report(fabricate(tmp_path, methods=("mixup",), seeds=1), tmp_path, [])
    assert "no differences to judge" in page
    made = {path.name for path in (tmp_path / "figures").iterdir()}
    assert not made & {"difference.png", "ranks.png"}


def test_gallery(exhibits: list[Exhibit], tmp_path: Path) -> None:
    path = write_gallery(exhibits, tmp_path / "new", title="Mixing <some>", note="A note.")
    page = path.read_text()
    assert "Mixing &lt;some&gt;" in page
    assert "http" not in page
    assert (tmp_path / "new" / "gallery.png").stat().st_size > 1000


class Even(nn.Module):
    """Four classes, the first by the brightness of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.fc = nn.Linear(4, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(images).relu().mean(dim=(2, 3)))


def test_pictures_are_drawn_with_a_model_of_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = fabricate(tmp_path, methods=("none", "mixup"), seeds=2)
    mine = replace(record.methods[1], text="mixwright.mixers.snapmix:SnapMix")
    record = replace(record, methods=(record.methods[0], mine))
    data = load_data("digits")
    drawn: list[Exhibit] = []
    monkeypatch.setattr(html, "render_report", lambda _, __, shown: str(drawn.extend(shown)))
    write_report(record, tmp_path, data=data)
    assert "no run folder has one that can be read" in drawn[0].note  # these runs are made up
    asked: list[str] = []

    def one_left(path: Path, *, image_size: int, channels: int) -> Saved:
        asked.append(path.name)
        if path.name.startswith("mixup"):
            raise CheckpointError("gone")
        return Saved(Recipe(), data.classes, 1, Even(), Even())

    monkeypatch.setattr(saved, "load_saved", one_left)
    write_report(record, tmp_path, data=data)
    assert drawn[1].note == ""
    assert len(drawn[1].samples) == 5
    assert asked == ["mixup-s0-0123abcd", "mixup-s1-0123abcd", "none-s0-0123abcd"]


def test_a_browser_shows_it(page: str, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser installed; looked for {', '.join(BROWSERS)}")
    probe = """<script>
    const wide = document.documentElement.scrollWidth <= innerWidth;
    const drawn = [...document.images].filter(i => i.complete && i.naturalWidth > 0).length;
    document.title = `wide=${wide} drawn=${drawn} of=${document.images.length}`;
    </script></body>"""
    (tmp_path / "report.html").write_text(page.replace("</body>", probe), encoding="utf-8")
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=500,900",
            "--dump-dom",
            (tmp_path / "report.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    pictures = page.count("<img ")
    assert title[1] == f"wide=true drawn={pictures} of={pictures}"
