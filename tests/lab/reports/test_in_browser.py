"""Pages as a browser shows them: on a phone and on a desk, by day and by night."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
import torch

from browser import Browser, browser_path
from lab.reports.fabricated import fabricate
from mixwright.lab.analysis.store import write_findings
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.experiments.samples import draw_samples
from mixwright.lab.reports.gallery import samples_of, write_gallery
from mixwright.lab.reports.page import write_report

pytestmark = pytest.mark.skipif(browser_path() is None, reason="no Chromium or Chrome here")

WIDTHS = pytest.mark.parametrize("width", [400, 1400])
SCHEMES = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Generator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with the widest tables that there are: own teachers, long names."""
    folder = tmp_path_factory.mktemp("report")
    methods = ("none", "mixup", "fmix", "cutmix:alpha=0.5,minmax=0.1;0.9", "cutmix:alpha=0.25")
    findings, arrays = fabricate(folder, methods=methods, taught=("fmix",))
    write_findings(folder, findings, arrays)
    return write_report(folder)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    classes = [f"a class with a long name {k}" for k in range(8)]
    found = [
        samples_of(*draw_samples(method, images, torch.arange(8), classes, count=6, seed=0))
        for method in parse_methods(("mixup", "cutmix"))
    ]
    folder = tmp_path_factory.mktemp("gallery")
    return write_gallery(found, folder, title="Mixing", note="A note.")


@WIDTHS
@SCHEMES
@pytest.mark.parametrize("name", ["report", "gallery"])
def test_nothing_is_cut_or_too_faint(
    browser: Browser, name: str, request: pytest.FixtureRequest, *, width: int, dark: bool
) -> None:
    page: Path = request.getfixturevalue(name)
    browser.show(page, width=width, dark=dark)
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 23, 28)" if dark else "rgb(253, 253, 251)")
    assert browser.faults() == []
    assert browser.errors == []
    outside = [url for url in browser.requests if not url.startswith(("file:", "data:"))]
    assert outside == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<p style='width: 500px'>Wide</p>", "the page is 5"),
        ("<div style='overflow: hidden'><table><td style='min-width: 500px'>Cut</table></div>",
         'TABLE "Cut"'),
        ("<div style='overflow-x: auto'><table><td style='min-width: 500px'>No key</table></div>",
         "not reached by keys"),
        ("<svg width='300'><text x='290' y='20'>Beyond the picture</text></svg>", "cut"),
        ("<img src='data:image/png;base64,AAAA' alt='Broken'>", 'not drawn:  IMG "Broken"'),
        ("<p style='color: #888'>Faint</p>", 'P "Faint": 3.54'),
        ("<div style='background: #333'><p>Black</p></div>", 'P "Black": 1.66'),
    ],
)  # fmt: skip
def test_faults_are_found(browser: Browser, tmp_path: Path, body: str, fault: str) -> None:
    """Pages that are wrong in one way each: #888888 has a luminance of 0.246, 1.05 / 0.296."""
    page = tmp_path / "page.html"
    style = "<style>svg { overflow: visible }</style>"
    page.write_text(f"<!doctype html><title>Made</title>{style}<body>{body}")
    browser.show(page, width=330)
    assert any(fault in found for found in browser.faults()), browser.faults()
